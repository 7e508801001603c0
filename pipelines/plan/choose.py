"""Choose what a question is read from: piece by piece along the calendar, the cheapest source that is exact.

Pure: no driver, no clock. What each source can do:

1. rollups answer a fresh period where the dimensions of the rows and of the filters are at most two;
2. pages answer any part of a fresh month, whatever is asked;
3. transactions answer everything, and they alone answer for a month that was changed since it was built.
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from catalog.calendar import Grain, Piece, tile
from catalog.errors import SourceRefused
from pipelines.ask.question import Interval, Question, Source
from pipelines.plan.reads import PagesRead, Plan, RawRead, Read, RollupRead
from pipelines.plan.refusals import refusals, warnings
from pipelines.plan.rollups import BY_DIMENSIONS
from pipelines.plan.shape import Shape, needed_dimensions, shape_of
from pipelines.state.version import Directory

PAGE_US, ROW_US = 60.0, 0.01
TRANSACTION_US = 0.5
"""What reading costs, in microseconds, beside SLICE_US and CELL_US."""


def plan(question: Question, directory: Directory) -> Plan:
    """The plan for a question.

    Raises:
        SourceRefused: the source that the question asks for cannot answer it exactly.
    """
    if question.source is Source.RAW:
        cost = sum(month.rows for month in directory.months.values()) * TRANSACTION_US
        return Plan((RawRead(question.first, question.last, cost),))
    pieces = tuple(_pieces(question, directory))
    shape = shape_of(question, directory)
    chosen = [_choose(question, piece, shape, directory) for piece in pieces]
    refused = refusals(question, directory, pieces, chosen, shape)
    if question.source is not Source.AUTO and any(read.source != question.source.value for read in chosen):
        raise SourceRefused(
            question.source.value, [f"{what}: {why}" for what, why in refused if what not in ("pages", "raw")]
        )
    return Plan(tuple(_merge(chosen)), refused, tuple(warnings(directory, pieces)))


def _pieces(question: Question, directory: Directory) -> Iterator[Piece]:
    """The pieces of the question's range in which there may be transactions."""
    if not directory.months:
        return
    months = list(directory.months)
    first = max(question.first or date.min, months[0].start)
    last = min(question.last or date.max, months[-1].last)
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
