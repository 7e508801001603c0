"""What can be read, and the plan that is made of it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from catalog.calendar import Grain, Period, Piece
from catalog.dimensions import Dimension
from pipelines.plan.rollups import Rollup


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
class ColumnsRead:
    """Ranges of days to read from resident columns, all in fresh months.

    Attributes:
        stretches: the first and last day of each.
        months: the months that they lie in.
        rows: how many transactions these months have.
        cost_us: what it is thought to cost at most.
    """

    stretches: tuple[tuple[date, date], ...]
    months: tuple[Period, ...]
    rows: int
    cost_us: float
    source = "columns"

    def __str__(self) -> str:
        return f"columns of {span(self.months)}"


@dataclass(frozen=True)
class PagesRead:
    """Pages to read: pieces of fresh months."""

    pieces: tuple[Piece, ...]
    cost_us: float
    source = "pages"

    def __str__(self) -> str:
        return f"pages of {span([piece.period for piece in self.pieces])}"


@dataclass(frozen=True)
class RawRead:
    """Transactions to read: those of a range of days; None is open."""

    first: date | None
    last: date | None
    cost_us: float
    source = "raw"

    def __str__(self) -> str:
        return f"transactions {self.first or 'from the beginning'} to {self.last or 'the end'}"


Read = ColumnsRead | RollupRead | PagesRead | RawRead


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


def _names(periods: Sequence[Period], grain: Grain) -> str:
    return span([period for period in periods if period.grain is grain])


def span(periods: Sequence[Period]) -> str:
    """`2024-03` or `2019-01 to 2024-03 (63)`."""
    ordered = sorted(periods)
    if len(ordered) < 2:
        return ordered[0].name if ordered else ""
    return f"{ordered[0].name} to {ordered[-1].name} ({len(ordered)})"
