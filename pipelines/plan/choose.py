"""Choose what a question is read from: piece by piece along the calendar, the cheapest source that is exact.

Pure: no driver, no clock. What each source can do:

1. resident columns answer any part of a fresh month that this machine has in memory, without MongoDB;
2. rollups answer a fresh period where the dimensions of the rows and of the filters are at most two;
3. pages answer any part of a fresh month, whatever is asked;
4. transactions answer everything, and they alone answer for a month that was changed since it was built.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import date, timedelta
from itertools import groupby

from catalog.calendar import Grain, Period, Piece, tile
from catalog.errors import SourceRefused
from pipelines.ask.question import Interval, Question, Source
from pipelines.plan.reads import ColumnsRead, PagesRead, Plan, RawRead, Read, RollupRead
from pipelines.plan.refusals import ignored, refusals, warnings
from pipelines.plan.rollups import BY_DIMENSIONS
from pipelines.plan.shape import Shape, needed_dimensions, shape_of
from pipelines.state.version import Directory

PAGE_US, ROW_US = 60.0, 0.01
TRANSACTION_US = 0.5
"""What reading costs, in microseconds, beside SLICE_US and CELL_US."""


def plan(question: Question, directory: Directory, resident: Collection[Period] = ()) -> Plan:
    """The plan for a question.

    Attributes:
        resident: the fresh months that are in memory as columns.

    Raises:
        SourceRefused: the source that the question asks for cannot answer it exactly.
    """
    if question.source is Source.RAW:
        cost = sum(month.rows for month in directory.months.values()) * TRANSACTION_US
        return Plan((RawRead(question.first, question.last, cost),))
    columns, ranges = _divided(question, directory, resident)
    if not ranges:
        return Plan((columns,) if columns else (), ignored(columns.rows) if columns else ())
    pieces = tuple(piece for first, last in ranges for piece in _pieces(question, directory, first, last))
    shape = shape_of(question, directory)
    chosen = [_choose(question, piece, shape, directory) for piece in pieces]
    refused = refusals(question, directory, pieces, chosen, shape)
    if question.source is not Source.AUTO and any(read.source != question.source.value for read in chosen):
        raise SourceRefused(
            question.source.value, [f"{what}: {why}" for what, why in refused if what not in ("pages", "raw")]
        )
    reads = (*((columns,) if columns else ()), *_merge(chosen))
    return Plan(reads, refused, tuple(warnings(directory, pieces)))


Range = tuple[date, date]


def _divided(
    question: Question, directory: Directory, resident: Collection[Period]
) -> tuple[ColumnsRead | None, list[Range]]:
    """What is read from columns, and the other ranges of days in which there may be transactions."""
    months = directory.months_between(question.first, question.last)
    if not months:
        return None, []
    first = max(question.first or date.min, months[0].start)
    last = min(question.last or date.max, months[-1].last)
    if not resident or question.source not in (Source.AUTO, Source.COLUMNS):
        return None, [(first, last)]
    of: dict[bool, list[Range]] = {True: [], False: []}
    within, rows = months, directory.rows_of(months)
    if len(resident) == len(directory.months):
        of[True].append((first, last))
    else:
        within = tuple(month for month in months if month in resident)
        rows = sum(directory.months[month].rows for month in within)
        for is_resident, run in groupby(months, key=resident.__contains__):
            one, *others = run
            other = others[-1] if others else one
            of[is_resident].append((max(one.start, first), min(other.last, last)))
    if not of[True]:
        return None, of[False]
    return ColumnsRead(tuple(of[True]), within, rows, rows * ROW_US), of[False]


def _pieces(question: Question, directory: Directory, first: date, last: date) -> Iterator[Piece]:
    """The pieces of a range of days in which there may be transactions."""
    years = directory.fresh_years if _may_use_years(question) else frozenset()
    for piece in tile(first, last, years.__contains__):
        if piece.period.grain is Grain.YEAR or piece.period in directory.months:
            yield piece


def _may_use_years(question: Question) -> bool:
    needs = {*needed_dimensions(question), *(each.dimension for each in question.filters)}
    rollup = BY_DIMENSIONS.get(frozenset(needs))
    is_finer = question.interval not in (None, Interval.YEAR)
    return rollup is not None and Grain.YEAR in rollup.grains and not is_finer and question.source is not Source.PAGES


def _choose(question: Question, piece: Piece, shape: Shape | None, directory: Directory) -> Read:
    """The cheapest exact read for one piece."""
    rows = directory.rows[piece.period]
    if piece.period.grain is Grain.MONTH and directory.months[piece.period].stale:
        return RawRead(piece.first, piece.last, max(rows, 1) * TRANSACTION_US)
    pages_us = len(piece.period.months) * PAGE_US + rows * ROW_US
    periods = shape.periods(piece) if shape and question.source is not Source.PAGES else ()
    if shape and periods:
        rollup_us = sum(shape.cost_us(period) for period in periods)
        if rollup_us <= pages_us or question.source is Source.ROLLUP:
            first, last = piece.first, piece.last
            return RollupRead(shape.rollup, shape.slice_by, shape.cells_by, periods, first, last, rollup_us)
    months = (month for month in piece.period.months if month in directory.months)
    return PagesRead(tuple(Piece(max(m.start, piece.first), min(m.last, piece.last), m) for m in months), pages_us)


def _merge(chosen: Sequence[Read]) -> Iterator[Read]:
    """One read for all rollups, one for all pages, and one for each stretch of transactions."""
    rollups = [read for read in chosen if isinstance(read, RollupRead)]
    if rollups:
        one = rollups[0]
        periods = tuple(period for read in rollups for period in read.periods)
        first, last = min(read.first for read in rollups), max(read.last for read in rollups)
        cost = sum(read.cost_us for read in rollups)
        yield RollupRead(one.rollup, one.slice_by, one.cells_by, periods, first, last, cost)
    pages = [read for read in chosen if isinstance(read, PagesRead)]
    if pages:
        yield PagesRead(tuple(piece for read in pages for piece in read.pieces), sum(read.cost_us for read in pages))
    stretch: RawRead | None = None
    for read in chosen:
        if isinstance(read, RawRead):
            if stretch and stretch.last and read.first and stretch.last + timedelta(days=1) == read.first:
                stretch = RawRead(stretch.first, read.last, stretch.cost_us + read.cost_us)
            else:
                if stretch:
                    yield stretch
                stretch = read
    if stretch:
        yield stretch
