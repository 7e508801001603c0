"""Verify the database: derived data against the transactions, and everything else that is stored twice.

Each fresh month is rebuilt from its transactions and compared cell by cell; each fresh year with the pages of its
months; each transaction with itself and its customer; loads, quarantine and vocabulary with their rows.
`docs/verification.md` says what this proves, and what only the files can prove.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from catalog.calendar import Grain, Period
from catalog.collections import PERIODS, STATUS, TRANSACTIONS, VERIFICATION
from pipelines.derived.ahead import ahead
from pipelines.derived.verification.account import check_account
from pipelines.derived.verification.findings import SHOWN, Checked, Difference, Verification
from pipelines.derived.verification.mend import mend
from pipelines.derived.verification.periods import check_period
from pipelines.derived.verification.rows import ROWS, check_rows, ranges
from pipelines.derived.verification.strays import named_period
from pipelines.state.directory import bump_builds, read_version
from pipelines.state.version import EMPTY, Version
from store.client import Reads, Store, Transaction

__all__ = ["SHOWN", "Difference", "Verification", "verify"]

Progress = Callable[[int, int], None]


def verify(store: Store, progress: Progress, *, repair: bool = False) -> Verification:
    """Compare everything.

    With `repair`, derived data that differ are marked as stale, so that a refresh rebuilds them, and missing customers
    are recreated from their transactions. Other differences are only reported, with their remedy.

    Raises:
        StoreUnavailable: MongoDB is unavailable.
    """
    with store.snapshot() as reads:
        version, periods = _recorded(reads)
    found = Verification(version.number)
    every = Checked()

    def work() -> Iterator[Callable[[], Checked]]:
        for period in periods:
            yield partial(check_period, store, period)
        for span in ranges(store):
            yield partial(check_rows, store, span)

    with ThreadPoolExecutor(1) as beside:
        account = beside.submit(check_account, store)  # MongoDB is at work there, and we are not
        total = len(periods) + store.outside.estimate(TRANSACTIONS.name) // ROWS + 1
        for number, checked in enumerate(ahead(lambda check: check(), work()), 1):
            progress(min(number, total), total)
            found.add(checked)
            every.gather(checked)
        found.add(account.result())
        every.gather(account.result())
    progress(total, total)
    if repair:
        found.repaired = mend(store, every)
    _keep(store, found)
    return found


def _recorded(reads: Reads) -> tuple[Version, list[Period]]:
    """The version and the periods that have a document; a directory is refused where something was lost."""
    names = [each["_id"] for each in reads.find(PERIODS.name, fields={"_id": 1})]
    periods = sorted(filter(None, map(named_period, names)), key=lambda each: (each.grain is Grain.YEAR, each.start))
    return read_version(reads), periods


def _keep(store: Store, found: Verification) -> None:
    """Store the result, and make all readers read it again."""

    def keep(transaction: Transaction) -> None:
        update = {"$set": {"result": found.summary()}}
        transaction.update(STATUS.name, {"_id": VERIFICATION}, update, upsert=True)
        if read_version(transaction) != EMPTY:  # where it was lost a refresh makes a new one, not a look
            bump_builds(transaction)

    store.transaction(keep)
