"""A period's rollups and pages against its transactions: a month is read anew and compared cell by cell, a year with
the pages of its months.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from bson.errors import BSONError

from catalog.calendar import Grain, Period
from catalog.collections import PAGES, PERIODS, ROLLUPS
from catalog.dimensions import day_number, day_of
from catalog.errors import InternalError
from catalog.measures import Parts
from catalog.purchases import DATE, PURCHASES
from pipelines.derived.columns import Array, Columns, read_columns
from pipelines.derived.pages import CENTS, PART_ROWS, read_pages, unpack
from pipelines.derived.slices import Slices, of_month, of_year, read_cells
from pipelines.derived.verification.findings import RESTORE, Checked, Difference
from pipelines.state.directory import as_built, read_marked
from store.bson.elements import decode
from store.bson.reply import id_of
from store.client import Document, Reads, Store

Cells = Mapping[str, Mapping[int, Parts]]
UNREADABLE = (ValueError, KeyError, TypeError, ZeroDivisionError)


def check_period(store: Store, period: Period) -> Checked:
    """Compare one period as of one snapshot; a stale one has nothing to compare."""
    checked = Checked()
    with store.snapshot() as reads:
        state = reads.find_one(PERIODS.name, {"_id": period.name}) or {}
        if not state or as_built(state) != state["changed"] or period.name in read_marked(reads):
            checked.stale = int(period.grain is Grain.MONTH)
            return checked
        if period.grain is Grain.YEAR:
            checked.years = 1
            checked.differences += _differing_year(reads, period, state, checked)
        else:
            checked.months = 1
            _check_month(reads, period, state, checked)
    if any(not each.remedy for each in checked.differences):
        checked.wrong.append(period)
    return checked


def _check_month(reads: Reads, month: Period, state: Document, checked: Checked) -> None:
    try:
        columns = read_columns(reads, month.start, month.last)
    except (InternalError, *UNREADABLE) as error:  # the rows themselves are told where each is compared
        checked.differences.append(Difference(month.name, "transactions", f"unreadable ({error})", "rows", RESTORE))
        return
    checked.differences += _differing_count(month, state, len(columns))
    checked.differences += _differing_cells(reads, month, of_month(columns, month), checked)
    checked.differences += _differing_page(reads, month, columns)
    checked.differences += _differing_parts(reads, month, state)


def _differing_count(period: Period, state: Document, rows: int) -> Iterator[Difference]:
    if state.get("rows") != rows:
        yield Difference(period.name, "rows of the period", str(state.get("rows")), str(rows))


def _differing_year(reads: Reads, year: Period, state: Document, checked: Checked) -> Iterator[Difference]:
    """A year against its months' pages, which are compared with the transactions."""
    rows = 0

    def counted() -> Iterator[Columns]:
        nonlocal rows
        for month in year.months:
            page = read_pages(reads, [month])
            rows += len(page)
            yield page

    try:
        expected = of_year(year, counted())
    except UNREADABLE as error:
        yield Difference(year.name, "page of a month", f"unreadable ({error})", "a page")
        return
    yield from _differing_count(year, state, rows)
    yield from _differing_cells(reads, year, expected, checked)


def _differing_cells(reads: Reads, period: Period, expected: Slices, checked: Checked) -> Iterator[Difference]:
    """Equal documents are equal bytes, as one encoder writes both; only differing ones are taken apart."""
    days = period.days if period.grain is Grain.MONTH else ()
    names = [period.name, *(day.name for day in days)]
    find = {"find": ROLLUPS.name, "filter": {"period": {"$in": names}}}
    replies = reads.replies(find, lambda reply: {id_of(each): each for each in reply.documents()})
    stored = {name: document for reply in replies for name, document in reply.items()}
    checked.cells += expected.cells
    state = reads.find_one(PERIODS.name, {"_id": period.name}) or {}
    if state.get("counts") != expected.counts:
        yield Difference(period.name, "counts in periods", "different", "the counts of the transactions")
    for document in expected.documents:
        right, name = document.raw, id_of(document.raw)
        found = stored.pop(name, None)
        if found != right:
            yield from _differences(period, name, _cells(found), _cells(right))
    for name, found in stored.items():
        yield from _differences(period, name, _cells(found), {})


def _cells(document: bytes | None) -> Cells:
    """The cells of a stored slice; none where it has another form."""
    try:
        return read_cells(decode(document)) if document else {}
    except (BSONError, *UNREADABLE, AttributeError):
        return {}


def _differences(period: Period, name: str, stored: Cells, right: Cells) -> Iterator[Difference]:
    if stored == right:  # both empty where a slice too many has no cells
        yield Difference(period.name, f"rollup {name}", "another encoding", "the standard encoding")
    for by in sorted({*stored, *right}):
        here, there = stored.get(by, {}), right.get(by, {})
        for code in sorted({*here, *there}):
            if here.get(code) != there.get(code):
                yield Difference(period.name, f"rollup {name}, {by} {code}", str(here.get(code)), str(there.get(code)))


def _differing_page(reads: Reads, month: Period, columns: Columns) -> Iterator[Difference]:
    try:
        page = read_pages(reads, [month])
    except UNREADABLE as error:
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


def _differing_parts(reads: Reads, month: Period, state: Document) -> Iterator[Difference]:
    """What a page says of itself: the columns are compared as what they hold."""
    begin, first = 0, day_number(month.start)
    found = reads.find(PAGES.name, {"month": day_of(first)}, sort=[("part", 1)])
    last = -1
    for part, page in enumerate(found):
        rows = min(PART_ROWS, max(state.get("rows", 0) - begin, 0))
        right = {"_id": f"{month.name}:{part}", "part": part, "built": state["built"], "rows": rows}
        stored = {name: page.get(name) for name in right}
        if stored != right:
            yield Difference(month.name, "page, metadata", str(stored), str(right))
        if page.get("columns", {}).keys() != {*(each.name for each in PURCHASES.dimensions), CENTS}:
            yield Difference(
                month.name, "page, columns", str(sorted(page.get("columns", {}))), "all dimensions and cents"
            )
            return
        try:
            days = unpack([page]).codes[DATE.name]
        except UNREADABLE:  # told already
            return
        if len(days) and (np.diff(days, prepend=last) < 0).any():
            yield Difference(month.name, "page", "days out of order", "days in ascending order")
        begin, last = begin + rows, int(days[-1]) if len(days) else last


def _rows(columns: Columns) -> Array:
    """All columns as one table."""
    return np.array([*columns.codes.values(), columns.cents], np.int64)


def _sorted(table: Array) -> Array:
    """The rows in an order that depends on nothing else."""
    return table[:, np.lexsort(table)]
