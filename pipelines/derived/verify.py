"""Prove the rollups and pages against the transactions, and the transactions against what they refer to.

Each fresh month is read anew from its transactions and compared cell by cell; each fresh year with the pages
of its months; the months' totals with what MongoDB's own `$group` says; references with the collections.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import bson
import numpy as np

from catalog.calendar import Grain, Period, month_of
from catalog.collections import CUSTOMERS, PERIODS, ROLLUPS, STATUS, TRANSACTIONS, VERIFICATION
from catalog.dimensions import DATE, REFERENCES, Vocabulary, day_number, day_of
from catalog.measures import LIFT, Parts
from pipelines.derived.ahead import ahead
from pipelines.derived.columns import Array, Columns, read_columns
from pipelines.derived.pages import read_pages
from pipelines.derived.slices import Slices, decode, of_month, of_year, slice_id
from pipelines.plan.compiler import match_transactions
from pipelines.plan.rollups import ALL, TOTAL
from pipelines.state.directory import as_built, bump_builds, bump_version, read_directory, read_marked
from pipelines.state.version import Directory
from store.client import Document, Session, Store, any_of, in_transaction, translated

Cells = Mapping[str, Mapping[int, Parts]]
_UNREADABLE = (ValueError, KeyError, TypeError, ZeroDivisionError)
SHOWN = 20
"""So many differences are told in full."""


@dataclass(frozen=True)
class Difference:
    """Something that is not as the transactions say.

    Attributes:
        period: the month or year.
        what: the rollup's slice and cell, the page, or the reference.
        stored, expected: what is there, and what should be.
    """

    period: str
    what: str
    stored: str
    expected: str


@dataclass
class Verification:
    """What a verification found.

    Attributes:
        data_version: of the data it began with.
        months, years, cells, rows: how many were compared.
        stale: the months that were not, as they wait for a refresh.
        differences: how many there are; `shown` tells the first of them.
        repaired: how many periods were built anew.
    """

    data_version: int
    months: int = 0
    years: int = 0
    cells: int = 0
    rows: int = 0
    stale: int = 0
    differences: int = 0
    shown: list[Difference] = field(default_factory=list)
    repaired: int = 0
    verified_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def ok(self) -> bool:
        """Whether everything is as it should be."""
        return not self.differences

    def summary(self) -> Document:
        """What is kept in the database and shown in replies."""
        document = asdict(self) | {"ok": self.ok}
        del document["shown"]
        return document

    def add(self, checked: "Checked") -> bool:
        """Count what was compared; whether something differs."""
        self.months += checked.months
        self.years += checked.years
        self.cells += checked.cells
        self.rows += checked.rows
        self.differences += len(checked.differences)
        self.shown += checked.differences[: SHOWN - len(self.shown)]
        return bool(checked.differences)


@dataclass
class Checked:
    """What was compared in one period, and what differs."""

    months: int = 0
    years: int = 0
    cells: int = 0
    rows: int = 0
    differences: list[Difference] = field(default_factory=list)


def verify(store: Store, progress: Callable[[int, int], None], *, repair: bool = False) -> Verification:
    """Compare everything; with `repair`, mark what differs as stale, so that a refresh builds it anew.

    Raises:
        StoreUnavailable: MongoDB is away.
    """
    with store.snapshot() as session:
        directory = read_directory(store, session)
    found = Verification(directory.version.number, stale=len(directory.stale_months))
    periods = [*directory.months, *sorted(directory.fresh_years)]
    wrong: list[Period] = []
    for number, (period, checked) in enumerate(
        ahead(lambda each: (each, _check(store, each, directory.vocabulary)), periods)
    ):
        progress(number, len(periods))
        if found.add(checked):
            wrong.append(period)
    progress(len(periods), len(periods))
    unknown = list(_unknown_months(store, directory))
    found.add(Checked(differences=[Difference(m.name, "month", "unknown", "a period document") for m in unknown]))
    wrong += unknown
    if repair:
        found.repaired = len(wrong)
        _mark(store, wrong)
    _keep(store, found)
    return found


def _check(store: Store, period: Period, vocabulary: Vocabulary) -> Checked:
    """Compare one period as of one snapshot; a stale one has nothing to compare."""
    checked = Checked()
    with store.snapshot() as session:
        state = store.db[PERIODS.name].find_one({"_id": period.name}, session=session) or {}
        if as_built(state) != state.get("changed") or period.name in read_marked(store, session):
            return checked
        if period.grain is Grain.YEAR:
            checked.years = 1
            checked.differences += _differing_year(store, session, period, checked)
        else:
            columns = read_columns(store, session, period.start, period.last, with_customers=True)
            checked.months, checked.rows = 1, len(columns)
            checked.differences += _differing_cells(store, session, period, of_month(columns, period), checked)
            checked.differences += _differing_page(store, session, period, columns)
            checked.differences += _differing_total(store, session, period, columns)
            checked.differences += _missing_customers(store, session, period, columns)
            checked.differences += _strangers(period, columns, vocabulary)
    return checked


def _differing_year(store: Store, session: Session, year: Period, checked: Checked) -> Iterator[Difference]:
    """A year against its months' pages, which are compared with the transactions."""
    try:
        expected = of_year(year, (read_pages(store, session, [month]) for month in year.months))
    except _UNREADABLE as error:
        yield Difference(year.name, "page of a month", f"unreadable ({error})", "a page")
        return
    yield from _differing_cells(store, session, year, expected, checked)


def _differing_cells(
    store: Store, session: Session, period: Period, expected: Slices, checked: Checked
) -> Iterator[Difference]:
    """Equal documents are equal bytes, as one encoder writes both; only differing ones are taken apart."""
    days = period.days if period.grain is Grain.MONTH else ()
    names = [period.name, *(day.name for day in days)]
    replies: Iterable[Any] = store.db[ROLLUPS.name].find_raw_batches({"period": {"$in": names}}, session=session)
    stored = {name: document for reply in replies for name, document in _split(reply)}
    checked.cells += expected.cells
    state = store.db[PERIODS.name].find_one({"_id": period.name}, session=session) or {}
    if state.get("counts") != expected.counts:
        yield Difference(period.name, "counts in periods", "others", "those of the transactions")
    for document in expected.documents:
        right = bytes(document.raw)
        name = next(_split(right))[0]
        found = stored.pop(name, None)
        if found != right:
            yield from _differences(
                period, name, decode(bson.decode(found)) if found else {}, decode(bson.decode(right))
            )
    for name, found in stored.items():
        yield from _differences(period, name, decode(bson.decode(found)), {})


def _split(reply: bytes) -> Iterator[tuple[str, bytes]]:
    """The documents of a reply as bytes, with their `_id`, which comes first and is text."""
    at = 0
    while at < len(reply):
        end = at + int.from_bytes(reply[at : at + 4], "little")
        text = at + 4 + len(b"\x02_id\0") + 4
        yield reply[text : reply.index(b"\0", text)].decode(), reply[at:end]
        at = end


def _differences(period: Period, name: str, stored: Cells, right: Cells) -> Iterator[Difference]:
    if stored == right:
        yield Difference(period.name, f"rollup {name}", "another form", "the form that the encoder writes")
    for by in sorted({*stored, *right}):
        here, there = stored.get(by, {}), right.get(by, {})
        for code in sorted({*here, *there}):
            if here.get(code) != there.get(code):
                yield Difference(period.name, f"rollup {name}, {by} {code}", str(here.get(code)), str(there.get(code)))


def _differing_page(store: Store, session: Session, month: Period, columns: Columns) -> Iterator[Difference]:
    try:
        page = read_pages(store, session, [month])
    except _UNREADABLE as error:
        yield Difference(month.name, "page", f"unreadable ({error})", f"{len(columns)} rows")
        return
    if len(page) == len(columns) and (_rows(page) == _rows(columns)).all():
        return
    stored, right = _sorted(_rows(page)), _sorted(_rows(columns))
    if stored.shape != right.shape:
        yield Difference(month.name, "page", f"{stored.shape[1]} rows", f"{right.shape[1]} rows")
    elif (differing := np.flatnonzero((stored != right).any(axis=0))).size:
        row = int(differing[0])
        yield Difference(
            month.name, f"page, {differing.size} rows, first", str(stored[:, row].tolist()), str(right[:, row].tolist())
        )


def _rows(columns: Columns) -> Array:
    """All columns as one table."""
    return np.array([*columns.codes.values(), columns.cents], np.int64)


def _sorted(table: Array) -> Array:
    """The rows in an order that depends on nothing else."""
    return table[:, np.lexsort(table)]


def _differing_total(store: Store, session: Session, month: Period, columns: Columns) -> Iterator[Difference]:
    """What MongoDB itself adds up."""
    pipeline = [{"$match": match_transactions((), month.start, month.last)}, {"$group": {"_id": None, **LIFT}}]
    groups = list(store.db[TRANSACTIONS.name].aggregate(pipeline, session=session))
    mongo = Parts(groups[0]["n"], groups[0]["p"], groups[0]["r"]) if groups else Parts(0, 0, 0)
    known = columns.cents[columns.cents >= 0]
    ours = Parts(len(columns), len(known), int(known.sum()))
    if mongo != ours:
        yield Difference(month.name, "total of the month", str(ours), str(mongo))
    stored = store.db[ROLLUPS.name].find_one({"_id": slice_id(ALL, 0, month)}, session=session)
    if stored and decode(stored)[TOTAL] != {0: mongo}:
        yield Difference(month.name, "total in the rollup", str(decode(stored)[TOTAL]), str(mongo))


def _missing_customers(store: Store, session: Session, month: Period, columns: Columns) -> Iterator[Difference]:
    """Customers that transactions name and nobody knows."""
    ids = np.unique(columns.customers).tolist() if columns.customers is not None else []
    known = store.db[CUSTOMERS.name].count_documents(any_of(ids), session=session) if ids else 0
    if known != len(ids):
        yield Difference(month.name, "customers", f"{known} of {len(ids)} exist", f"{len(ids)}")


def _strangers(month: Period, columns: Columns, vocabulary: Vocabulary) -> Iterator[Difference]:
    """Reference ids in transactions that no reference collection holds."""
    for dimension in REFERENCES:
        known = len(vocabulary[dimension.name])
        strange = columns.codes[dimension.name] >= known
        if strange.any():
            what = f"{dimension.field} of {np.count_nonzero(strange)} transactions"
            first = int(columns.codes[dimension.name][strange][0])
            yield Difference(month.name, what, f"first {first}", f"an _id of {dimension.collection}, below {known}")


def _unknown_months(store: Store, directory: Directory) -> Iterator[Period]:
    """Months that have transactions and no period document: somebody wrote past the loader."""
    later: dict[str, Any] = {}
    with translated():
        while found := store.db[TRANSACTIONS.name].find_one(later, {DATE.field: 1}, sort=[(DATE.field, 1)]):
            month = month_of(found[DATE.field].date())
            if month not in directory.months:
                yield month
            later = {DATE.field: {"$gt": day_of(day_number(month.last))}}


def _mark(store: Store, periods: Iterable[Period]) -> None:
    """Make periods stale, under a new data version: answers that were kept may be wrong, too."""
    starts = [day_number(period.start) for period in periods]
    if starts:
        with translated(), store.client.start_session() as session:
            in_transaction(session, lambda inner: bump_version(store, inner, starts))


def _keep(store: Store, found: Verification) -> None:
    """Keep the result, and let everybody read it anew."""

    def keep(session: Session) -> None:
        update = {"$set": {"result": found.summary()}}
        store.db[STATUS.name].update_one({"_id": VERIFICATION}, update, upsert=True, session=session)
        bump_builds(store, session)

    with translated(), store.client.start_session() as session:
        in_transaction(session, keep)
