"""Rebuild the pages and rollups of stale months from their transactions, and those of stale years from their months.

A month is read as of a snapshot, and written in a transaction that succeeds only if the month has not changed
since. So a refresh can run beside loads and other refreshes, and can be killed at any point: a month is stale
until its transaction commits, and correct afterwards.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from catalog.calendar import Grain, Period, parse
from catalog.collections import PAGES, PERIODS, REFRESH, ROLLUPS, STATUS
from catalog.dimensions import day_number, day_of
from catalog.purchases import PURCHASES
from pipelines.derived.ahead import ahead
from pipelines.derived.columns import Columns, read_columns
from pipelines.derived.pages import pack, read_whole_pages
from pipelines.derived.slices import of_month, of_year
from pipelines.plan.whole import NotWhole
from pipelines.state.directory import as_built, bump_builds, read_directory, record
from pipelines.state.lanes import fold_lanes
from store.bson.to_documents import Encoded
from store.client import Document, Reads, Session, Store, Transaction
from store.holder import end_session, is_alive, myself

Progress = Callable[[int, int], None]
"""Called with the periods done and the periods in all."""


@dataclass(frozen=True)
class Built:
    """A period, ready to be written.

    Attributes:
        period: the month or year.
        changed: the data version that it reflects.
        rows: how many transactions it has.
        counts: the number of transactions of each code.
        slices, pages: its documents.
    """

    period: Period
    changed: int
    rows: int
    counts: Mapping[str, bytes]
    slices: list[Encoded]
    pages: list[Document]


@dataclass(frozen=True)
class Refreshed:
    """The result of a refresh: how many months and years it built, and how many others changed meanwhile."""

    months: int
    years: int
    overtaken: int


def refresh(store: Store, progress: Progress = lambda done, total: None) -> Refreshed:
    """Rebuild all stale periods. What a load changes meanwhile is left for the next refresh.

    Raises:
        StoreUnavailable: MongoDB is unavailable; what was built stays.
    """
    store.transaction(record)
    with store.snapshot() as reads:
        directory = read_directory(reads)
    months, years = directory.stale_months, sorted(directory.stale_years)
    built = {Grain.MONTH: 0, Grain.YEAR: 0}
    total = len(months) + len(years)
    done = 0
    with store.session() as writing:
        if total:
            _take_over(store, writing)
            writing.transaction(fold_lanes)
        for periods in (months, years):  # a year is made of its months
            for found in ahead(lambda period: _build(store, period), periods):
                progress(done, total)
                done += 1
                if found and _write(writing, found):
                    built[found.period.grain] += 1
    progress(total, total)
    return Refreshed(built[Grain.MONTH], built[Grain.YEAR], total - sum(built.values()))


def _build(store: Store, period: Period) -> Built | None:
    """Build one period; None if it is already fresh, or if a month of the year is stale."""
    with store.snapshot() as reads:
        state = reads.find_one(PERIODS.name, {"_id": period.name}) or {}
        if as_built(state) == state.get("changed"):
            return None
        build = _read_month if period.grain is Grain.MONTH else _read_year
        return build(reads, period, state["changed"])


def _read_month(reads: Reads, month: Period, changed: int) -> Built:
    columns = read_columns(reads, month.start, month.last)
    pages = list(pack(columns, month, changed))
    slices = of_month(columns, month)
    return Built(month, changed, len(columns), slices.counts, slices.documents, pages)


def _read_year(reads: Reads, year: Period, changed: int) -> Built | None:
    names = [month.name for month in year.months]
    months = reads.find(PERIODS.name, {"_id": {"$in": names}})
    if any(as_built(month) != month["changed"] for month in months):
        return None
    rows = 0

    def columns() -> Iterator[Columns]:
        nonlocal rows
        for month in months:
            period = parse(month["_id"])
            try:
                found = read_whole_pages(reads, {period: (month["rows"], month["changed"])})
            except NotWhole:
                found = read_columns(reads, period.start, period.last)
            rows += len(found)
            yield found

    slices = of_year(year, columns())
    return Built(year, changed, rows, slices.counts, slices.documents, [])


def _take_over(store: Store, writing: Session) -> None:
    """End a transaction that a killed refresh left open, and record our own session."""
    mine = {"session": writing.name, "holder": myself(), "committed_at": datetime.now(UTC)}
    former = store.outside.find_and_update(STATUS.name, {"_id": REFRESH}, {"$set": mine}, upsert=True, former=True)
    if former and not is_alive(former["holder"], former["committed_at"]):
        end_session(store, former["session"])


def _write(writing: Session, built: Built) -> bool:
    """Replace the derived data of a period, if the period has not changed since it was read."""
    period = built.period

    def replace(transaction: Transaction) -> bool:
        mine = {"_id": period.name, "changed": built.changed}
        made = {"built": built.changed, "format": PURCHASES.fingerprint, "rows": built.rows, "counts": built.counts}
        now = {"$set": made}
        if not transaction.update(PERIODS.name, mine, now).modified_count:
            return False
        is_month = period.grain is Grain.MONTH
        names = [period.name, *(day.name for day in period.days if is_month)]
        transaction.delete(ROLLUPS.name, {"period": {"$in": names}})
        if is_month:
            transaction.delete(PAGES.name, {"month": day_of(day_number(period.start))})
        if built.slices:
            transaction.insert(ROLLUPS.name, built.slices)
        if built.pages:
            transaction.insert(PAGES.name, built.pages)
        bump_builds(transaction)
        return True

    return writing.transaction(replace)
