"""Build the pages and rollups of stale months from their transactions, and those of stale years from their months.

A month is read as of a snapshot, and written in a transaction that goes through only if nobody has changed
the month since that snapshot. So a refresh may run beside loads and beside other refreshes, and may be
killed anywhere: a month is stale until its transaction commits, and then it is right.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bson.raw_bson import RawBSONDocument
from pymongo import WriteConcern
from pymongo.read_concern import ReadConcern

from catalog.collections import PAGES, PERIODS, ROLLUPS
from catalog.dimensions import day_number, day_of
from pipelines.calendar import Grain, Period
from pipelines.columns import Columns, read_columns
from pipelines.directory import bump_layout, read_directory
from pipelines.pages import pack
from pipelines.slices import encode, of_month, of_year
from store.client import Session, Store, translated

Progress = Callable[[int, int], None]
"""Called with the periods done and the periods in all."""


Built = tuple[int, list[RawBSONDocument], Columns | None]
"""Rows, encoded slices, and for a month its columns."""


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
    with store.snapshot() as session:
        directory = read_directory(store, session)
    stale = [*directory.stale_months, *sorted(directory.stale_years)]
    built = {Grain.MONTH: 0, Grain.YEAR: 0}
    for number, period in enumerate(stale):
        progress(number, len(stale))
        built[period.grain] += _refresh_one(store, period)
    progress(len(stale), len(stale))
    return Refreshed(built[Grain.MONTH], built[Grain.YEAR], len(stale) - sum(built.values()))


def _refresh_one(store: Store, period: Period) -> bool:
    """Build one period; False where it was changed or built by somebody else meanwhile."""
    with store.snapshot() as session:
        state = store.db[PERIODS.name].find_one({"_id": period.name}, session=session) or {}
        if state.get("built") == state.get("changed"):
            return False
        found = (
            _read_month(store, session, period) if period.grain is Grain.MONTH else _read_year(store, session, period)
        )
    return found is not None and _write(store, period, state["changed"], *found)


def _read_month(store: Store, session: Session, month: Period) -> Built:
    columns = read_columns(store, session, month.start, month.last)
    return len(columns), [encode(*each) for each in of_month(columns, month)], columns


def _read_year(store: Store, session: Session, year: Period) -> Built | None:
    """None where one of its months is stale."""
    names = [month.name for month in year.months]
    months = list(store.db[PERIODS.name].find({"_id": {"$in": names}}, session=session))
    if any(month.get("built") != month["changed"] for month in months):
        return None
    starts = [day_of(day_number(month.start)) for month in year.months]
    slices = store.db[ROLLUPS.name].find({"grain": Grain.MONTH.value, "start": {"$in": starts}}, session=session)
    return sum(month["rows"] for month in months), [encode(*each) for each in of_year(year, slices)], None


def _write(
    store: Store, period: Period, changed: int, rows: int, slices: list[RawBSONDocument], columns: Columns | None
) -> bool:
    """Replace what was built of a period, if nobody has changed the period since it was read."""

    def replace(session: Session) -> bool:
        mine = {"_id": period.name, "changed": changed}
        state = store.db[PERIODS.name].update_one(mine, {"$set": {"built": changed, "rows": rows}}, session=session)
        if not state.modified_count:
            return False
        rollups, pages = store.db[ROLLUPS.name], store.db[PAGES.name]
        start, last = day_of(day_number(period.start)), day_of(day_number(period.last))
        rollups.delete_many({"grain": period.grain.value, "start": start}, session=session)
        if period.grain is Grain.MONTH:
            rollups.delete_many({"grain": Grain.DAY.value, "start": {"$gte": start, "$lte": last}}, session=session)
            pages.delete_many({"month": start}, session=session)
        if slices:
            rollups.insert_many(slices, session=session)
        if columns:
            pages.insert_many(list(pack(columns, period, changed)), session=session)
        bump_layout(store, session)
        return True

    with translated(), store.client.start_session() as session:
        return session.with_transaction(replace, ReadConcern("snapshot"), WriteConcern("majority", j=True))
