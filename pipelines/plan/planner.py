"""Choose what a question is read from: piece by piece along the calendar, the cheapest source that is exact.

Pure: no driver, no clock. What each source can do:

1. rollups answer a fresh period where the dimensions of the rows and of the filters are at most two;
2. pages answer any part of a fresh month, whatever is asked;
3. transactions answer everything, and they alone answer for a month that was changed since it was built.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from catalog.calendar import Grain, Period, Piece, days_between, tile, year_of
from catalog.dimensions import Dimension
from catalog.errors import SourceRefused
from catalog.purchases import DATE
from pipelines.ask.question import Interval, Question, Source
from pipelines.plan.rollups import BY_DIMENSIONS, ROLLUPS, Rollup
from pipelines.state.version import Directory

# What reading costs, in microseconds. Measured on 1M rows; only their ratios matter here.
SLICE_US, CELL_US = 6.0, 0.7
PAGE_US, ROW_US = 60.0, 0.01
TRANSACTION_US = 0.5


@dataclass(frozen=True)
class RollupRead:
    """Slices to read.

    Attributes:
        rollup: the rollup that they belong to.
        slice_by: the dimension whose members' slices are read; None reads those of all transactions.
        cells_by: the dimension of the cells; None reads each slice's total.
        periods: the periods, all fresh.
        first, last: the days that count, where the cells are by date and a period is cut.
        cost_us: what it is thought to cost.
    """

    rollup: Rollup
    slice_by: Dimension | None
    cells_by: Dimension | None
    periods: tuple[Period, ...]
    first: date
    last: date
    cost_us: float
    source = "rollup"

    def __str__(self) -> str:
        by = [
            f"{grain.value} {_names(self.periods, grain)}"
            for grain in Grain
            if any(p.grain is grain for p in self.periods)
        ]
        return f"{self.rollup.name} by {', '.join(by)}"


@dataclass(frozen=True)
class PagesRead:
    """Pages to read: pieces of fresh months."""

    pieces: tuple[Piece, ...]
    cost_us: float
    source = "pages"

    def __str__(self) -> str:
        return f"pages of {_span([piece.period for piece in self.pieces])}"


@dataclass(frozen=True)
class RawRead:
    """Transactions to read: those of a range of days; None is open."""

    first: date | None
    last: date | None
    cost_us: float
    source = "raw"

    def __str__(self) -> str:
        return f"transactions {self.first or 'from the beginning'} to {self.last or 'the end'}"


Read = RollupRead | PagesRead | RawRead


@dataclass(frozen=True)
class Plan:
    """What a question is read from; the reads never overlap, and cover the question's range together.

    Attributes:
        reads: the things to read.
        refused: what was not taken, and why.
        warnings: what should have been taken and is not there as a whole, in sentences.
    """

    reads: tuple[Read, ...]
    refused: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """The sources that take part, joined by `+`; `none` where there is nothing to read."""
        return "+".join(dict.fromkeys(read.source for read in self.reads)) or "none"


@dataclass(frozen=True)
class _Shape:
    """How the rollups would answer: which slices and cells, and what a period costs."""

    rollup: Rollup
    slice_by: Dimension | None
    cells_by: Dimension | None
    slices: int
    cells: int
    grains: tuple[Grain, ...]

    def cost_us(self, period: Period) -> float:
        days_in = (period.last - period.start).days + 1
        cells = days_in if self.cells_by and self.cells_by.is_date else self.cells
        return self.slices * (SLICE_US + cells * CELL_US)


def plan(question: Question, directory: Directory) -> Plan:
    """The plan for a question.

    Raises:
        SourceRefused: the source that the question asks for cannot answer it exactly.
    """
    if question.source is Source.RAW:
        cost = sum(month.rows for month in directory.months.values()) * TRANSACTION_US
        return Plan((RawRead(question.first, question.last, cost),))
    pieces = tuple(_pieces(question, directory))
    shape = _shape(question, directory)
    chosen = [_choose(question, piece, shape, directory) for piece in pieces]
    refused = _refused(question, directory, pieces, chosen, shape)
    if question.source is not Source.AUTO and any(read.source != question.source.value for read in chosen):
        raise SourceRefused(
            question.source.value, [f"{what}: {why}" for what, why in refused if what not in ("pages", "raw")]
        )
    return Plan(tuple(_merge(chosen)), refused, tuple(_warnings(directory, pieces)))


def needed_dimensions(question: Question) -> tuple[Dimension, ...]:
    """The dimensions that the rows are split by, the date among them where the interval cuts months."""
    cuts_months = question.interval in (Interval.DAY, Interval.WEEK) and DATE not in question.query.by
    return (*question.query.by, DATE) if cuts_months else question.query.by


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


def _shape(question: Question, directory: Directory) -> _Shape | None:
    """The cheapest way that the rollups have, or None."""
    needed = needed_dimensions(question)
    filtered = {each.dimension for each in question.filters}
    rollup = BY_DIMENSIONS.get(frozenset(needed) | filtered)
    if rollup is None:
        return None
    grains = rollup.grains if question.interval is None else tuple(g for g in rollup.grains if g is not Grain.DAY)
    ways: list[tuple[Dimension | None, Dimension | None]]
    dimensions = sorted(rollup.dimensions, key=lambda dimension: dimension.name)
    if len(dimensions) == 2:
        one, other = dimensions
        ways = [(one, other), (other, one)]
    elif dimensions:
        ways = [(None, dimensions[0]), (dimensions[0], None)]
    else:
        ways = [(None, None)]
    shapes = []
    for slice_by, cells_by in ways:
        if not (slice_by and slice_by.is_date):
            slices = _allowed(question, slice_by, directory) if slice_by else 1
            cells = len(directory.vocabulary[cells_by.name]) if cells_by and not cells_by.is_date else 1
            kept = grains if slice_by is None else tuple(grain for grain in grains if grain is not Grain.DAY)
            shapes.append(_Shape(rollup, slice_by, cells_by, slices, cells, kept))
    return min(shapes, key=lambda shape: (shape.slices * (SLICE_US + shape.cells * CELL_US), -len(shape.grains)))


def _allowed(question: Question, dimension: Dimension, directory: Directory) -> int:
    """How many members of a dimension the filters let through."""
    codes = set(range(len(directory.vocabulary[dimension.name])))
    for each in question.filters:
        if each.dimension is dimension:
            codes = codes - set(each.codes) if each.negated else codes & set(each.codes)
    return len(codes)


def _choose(question: Question, piece: Piece, shape: _Shape | None, directory: Directory) -> Read:
    """The cheapest exact read for one piece."""
    rows = directory.rows[piece.period]
    if piece.period.grain is Grain.MONTH and directory.months[piece.period].stale:
        return RawRead(piece.first, piece.last, max(rows, 1) * TRANSACTION_US)
    pages_us = len(piece.period.months) * PAGE_US + rows * ROW_US
    periods = _periods(piece, shape) if question.source is not Source.PAGES else ()
    if shape and periods:
        rollup_us = sum(shape.cost_us(period) for period in periods)
        if rollup_us <= pages_us or question.source is Source.ROLLUP:
            first, last = piece.first, piece.last
            return RollupRead(shape.rollup, shape.slice_by, shape.cells_by, periods, first, last, rollup_us)
    months = (month for month in piece.period.months if month in directory.months)
    return PagesRead(tuple(Piece(max(m.start, piece.first), min(m.last, piece.last), m) for m in months), pages_us)


def _periods(piece: Piece, shape: _Shape | None) -> tuple[Period, ...]:
    """The periods whose rollups make up a piece; none where they cannot."""
    if shape is None:
        return ()
    if piece.is_whole or (shape.cells_by and shape.cells_by.is_date):
        return (piece.period,)
    return days_between(piece.first, piece.last) if Grain.DAY in shape.grains else ()


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


def _refused(
    question: Question, directory: Directory, pieces: Sequence[Piece], chosen: Sequence[Read], shape: _Shape | None
) -> tuple[tuple[str, str], ...]:
    """What was not read, and why."""
    reasons: dict[str, str] = {}
    needed = needed_dimensions(question)
    filtered = tuple(each.dimension for each in question.filters)
    taken = {read.source for read in chosen}
    if shape is None:
        dimensions = {*needed, *filtered}
        for rollup in ROLLUPS:
            if rollup.dimensions and rollup.dimensions <= dimensions:
                reasons[rollup.name] = rollup.why_not(needed, filtered) or ""
        reasons["rollup"] = f"the rows and filters have {len(dimensions)} dimensions, the rollups two"
    else:
        single = BY_DIMENSIONS.get(frozenset(needed))
        if single and (why := single.why_not(needed, filtered)):
            reasons[single.name] = why
        if "pages" in taken:
            cut = any(
                isinstance(read, PagesRead) and not _periods(p, shape) for p, read in zip(pieces, chosen, strict=True)
            )
            reasons[shape.rollup.name] = "cannot cut a month" if cut else "the pages are cheaper"
    reasons |= {f"rollups and pages of {_span(months)}": why for months, why in _unusable(directory, pieces)}
    if years := _incomplete_years(directory, pieces):
        reasons[f"rollups of {_span(years)}"] = INCOMPLETE
    rows = sum(directory.rows[piece.period] for piece in pieces)
    if "pages" not in taken:
        reasons["pages"] = f"would read {rows:,} rows"
    if "raw" not in taken:
        reasons["raw"] = f"would scan {rows:,} transactions"
    return tuple(reasons.items())


CHANGED = "changed since they were built; refresh mends it"
UNRECORDED = "their documents in periods are missing; `python -m pipelines refresh` mends it"
INCOMPLETE = "something of them is missing; `python -m pipelines verify --repair` mends it"


def _unusable(directory: Directory, pieces: Sequence[Piece]) -> Iterator[tuple[list[Period], str]]:
    """The stale months among the pieces, by what makes them so."""
    if not directory.stale_months:
        return
    stale = {piece.period for piece in pieces}.intersection(directory.stale_months)
    changed = stale - directory.incomplete - directory.unrecorded
    incomplete, unrecorded = stale & directory.incomplete, stale & directory.unrecorded
    for months, why in ((changed, CHANGED), (unrecorded, UNRECORDED), (incomplete, INCOMPLETE)):
        if months:
            yield sorted(months), why


def _incomplete_years(directory: Directory, pieces: Sequence[Piece]) -> list[Period]:
    """The years that might have been taken as a whole and are incomplete."""
    if not directory.incomplete:
        return []
    return sorted(directory.incomplete & {year_of(piece.first) for piece in pieces})


def _warnings(directory: Directory, pieces: Sequence[Piece]) -> Iterator[str]:
    """What the answer does without, where it has to, in sentences."""
    for months, why in _unusable(directory, pieces):
        if why != CHANGED:
            yield f"Rollups and pages of {_span(months)}: {why}. Their transactions were read instead."
    if years := _incomplete_years(directory, pieces):
        yield f"Rollups of {_span(years)}: {INCOMPLETE}. Their months were read instead."


def _names(periods: Sequence[Period], grain: Grain) -> str:
    return _span([period for period in periods if period.grain is grain])


def _span(periods: Sequence[Period]) -> str:
    """`2024-03` or `2019-01 to 2024-03 (63)`."""
    ordered = sorted(periods)
    if len(ordered) < 2:
        return ordered[0].name if ordered else ""
    return f"{ordered[0].name} to {ordered[-1].name} ({len(ordered)})"
