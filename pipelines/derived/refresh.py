"""Build the pages and rollups of stale months from their transactions, and those of stale years from their months.

A month is read as of a snapshot, and written in a transaction that goes through only if nobody has changed
the month since that snapshot. So a refresh may run beside loads and beside other refreshes, and may be
killed anywhere: a month is stale until its transaction commits, and then it is right.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from bson.raw_bson import RawBSONDocument

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
from store.client import Document, Session, Store, in_transaction, translated
from store.holder import end_session, is_alive, myself, session_name

Progress = Callable[[int, int], None]
"""Called with the periods done and the periods in all."""


@dataclass(frozen=True)
class Built:
    """A period, ready to be written.

    Attributes:
        period: the month or year.
        changed: the data version that it is as of.
        rows: how many transactions it has.
        counts: how many of them each code has.
        slices, pages: its documents.
    """

    period: Period
    changed: int
    rows: int
    counts: Mapping[str, bytes]
    slices: list[RawBSONDocument]
    pages: list[Document]


@dataclass(frozen=True)
class Refreshed:
    """What a refresh did: how many months and years it built, and how many others were changed meanwhile."""

    months: int
    years: int
    overtaken: int


def refresh(store: Store, progress: Progress = lambda done, total: None) -> Refreshed:
    """Build what is stale. What a load changes meanwhile is left for the next refresh.

    Raises:
        StoreUnavailable: MongoDB is away; what was built stays.
    """
    with translated(), store.client.start_session() as session:
        in_transaction(session, lambda inner: record(store, inner))
    with store.snapshot() as session:
        directory = read_directory(store, session)
    months, years = directory.stale_months, sorted(directory.stale_years)
    built = {Grain.MONTH: 0, Grain.YEAR: 0}
    total = len(months) + len(years)
    done = 0
    with translated(), store.client.start_session() as writing:
        if total:
            _take_over(store, writing)
            in_transaction(writing, lambda session: fold_lanes(store, session))
        for periods in (months, years):  # a year is made of its months
            for found in ahead(lambda period: _build(store, period), periods):
                progress(done, total)
                done += 1
                if found and _write(store, writing, found):
                    built[found.period.grain] += 1
    progress(total, total)
    return Refreshed(built[Grain.MONTH], built[Grain.YEAR], total - sum(built.values()))


def _build(store: Store, period: Period) -> Built | None:
    """Build one period; None where it is fresh meanwhile, or a year has a stale month."""
    with store.snapshot() as session:
        state = store.db[PERIODS.name].find_one({"_id": period.name}, session=session) or {}
        if as_built(state) == state.get("changed"):
            return None
        read = _read_month if period.grain is Grain.MONTH else _read_year
        return read(store, session, period, state["changed"])


def _read_month(store: Store, session: Session, month: Period, changed: int) -> Built:
    columns = read_columns(store, session, month.start, month.last)
    pages = list(pack(columns, month, changed))
    slices = of_month(columns, month)
    return Built(month, changed, len(columns), slices.counts, slices.documents, pages)


def _read_year(store: Store, session: Session, year: Period, changed: int) -> Built | None:
    names = [month.name for month in year.months]
    months = list(store.db[PERIODS.name].find({"_id": {"$in": names}}, session=session))
    if any(as_built(month) != month["changed"] for month in months):
        return None
    rows = 0

    def columns() -> Iterator[Columns]:
        nonlocal rows
        for month in months:
            period = parse(month["_id"])
            try:
                found = read_whole_pages(store, session, {period: (month["rows"], month["changed"])})
            except NotWhole:
                found = read_columns(store, session, period.start, period.last)
            rows += len(found)
            yield found

    slices = of_year(year, columns())
    return Built(year, changed, rows, slices.counts, slices.documents, [])


def _take_over(store: Store, writing: Session) -> None:
    """End the transaction that a refresh may have left open when it was killed, and name our own session."""
    mine = {"session": session_name(writing), "holder": myself(), "committed_at": datetime.now(UTC)}
    former = store.db[STATUS.name].find_one_and_update({"_id": REFRESH}, {"$set": mine}, upsert=True)
    if former and not is_alive(former["holder"], former["committed_at"]):
        end_session(store, former["session"])


def _write(store: Store, writing: Session, built: Built) -> bool:
    """Replace what was built of a period, if nobody has changed the period since it was read."""
    period = built.period

    def replace(session: Session) -> bool:
        mine = {"_id": period.name, "changed": built.changed}
        made = {"built": built.changed, "format": PURCHASES.fingerprint, "rows": built.rows, "counts": built.counts}
        now = {"$set": made}
        state = store.db[PERIODS.name].update_one(mine, now, session=session)
        if not state.modified_count:
            return False
        rollups, pages = store.db[ROLLUPS.name], store.db[PAGES.name]
        is_month = period.grain is Grain.MONTH
        names = [period.name, *(day.name for day in period.days if is_month)]
        rollups.delete_many({"period": {"$in": names}}, session=session)
        if is_month:
            pages.delete_many({"month": day_of(day_number(period.start))}, session=session)
        if built.slices:
            rollups.insert_many(built.slices, session=session)
        if built.pages:
            pages.insert_many(built.pages, session=session)
        bump_builds(store, session)
        return True

    return in_transaction(writing, replace)
