"""How the rollups would answer a question: from which slices, and from which cells of them. Pure."""

from dataclasses import dataclass

from catalog.calendar import Grain, Period, Piece, days_between
from catalog.dimensions import Dimension
from catalog.purchases import DATE
from pipelines.ask.question import Interval, Question
from pipelines.plan.rollups import BY_DIMENSIONS, Rollup
from pipelines.state.version import Directory

SLICE_US, CELL_US = 6.0, 0.7
"""What reading costs, in microseconds. Measured on 1M rows; only the ratios matter, also to those in `choose`."""


@dataclass(frozen=True)
class Shape:
    """How the rollups would answer: which slices and cells, and what a period costs."""

    rollup: Rollup
    slice_by: Dimension | None
    cells_by: Dimension | None
    slices: int
    cells: int
    grains: tuple[Grain, ...]

    def cost_us(self, period: Period) -> float:
        """What reading one period costs."""
        days_in = (period.last - period.start).days + 1
        cells = days_in if self.cells_by and self.cells_by.is_date else self.cells
        return self.slices * (SLICE_US + cells * CELL_US)

    def periods(self, piece: Piece) -> tuple[Period, ...]:
        """The periods whose rollups make up a piece; none where they cannot."""
        if piece.is_whole or (self.cells_by and self.cells_by.is_date):
            return (piece.period,)
        return days_between(piece.first, piece.last) if Grain.DAY in self.grains else ()


def shape_of(question: Question, directory: Directory) -> Shape | None:
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
            shapes.append(Shape(rollup, slice_by, cells_by, slices, cells, kept))
    return min(shapes, key=lambda shape: (shape.slices * (SLICE_US + shape.cells * CELL_US), -len(shape.grains)))


def _allowed(question: Question, dimension: Dimension, directory: Directory) -> int:
    """How many members of a dimension the filters let through."""
    codes = set(range(len(directory.vocabulary[dimension.name])))
    for each in question.filters:
        if each.dimension is dimension:
            codes = codes - set(each.codes) if each.negated else codes & set(each.codes)
    return len(codes)


def needed_dimensions(question: Question) -> tuple[Dimension, ...]:
    """The dimensions that the rows are split by, the date among them where the interval cuts months."""
    cuts_months = question.interval in (Interval.DAY, Interval.WEEK) and DATE not in question.query.by
    return (*question.query.by, DATE) if cuts_months else question.query.by
