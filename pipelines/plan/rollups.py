"""The rollups: which sums are kept, and which questions each can answer exactly.

For each period there is a document for all transactions and one for each member of each dimension (a
*slice*); each holds the cells of every other dimension. So a pair of dimensions is kept both ways round,
and a question with one filter reads as few cells as one with none.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from catalog.calendar import Grain
from catalog.dimensions import Dimension
from catalog.purchases import DATE, PURCHASES

ALL = "all"
"""The `dimension` of the slice that holds all transactions of its period."""

TOTAL = "total"
"""The name of the cells of a slice that are its one total."""


@dataclass(frozen=True)
class Rollup:
    """Sums by a set of dimensions.

    Attributes:
        dimensions: none, one, or two of them.
        grains: the periods that it is kept for.
    """

    dimensions: frozenset[Dimension]
    grains: tuple[Grain, ...]

    @property
    def name(self) -> str:
        """Such as `segment×state`; `total` where there is no dimension."""
        return "×".join(sorted(dimension.name for dimension in self.dimensions)) or TOTAL

    def why_not(self, needed: Iterable[Dimension], filtered: Iterable[Dimension]) -> str | None:
        """Why it cannot answer a question exactly, or None where it can.

        Attributes:
            needed: the dimensions that the rows are split by.
            filtered: the dimensions of the filters.
        """
        for dimension in needed:
            if dimension not in self.dimensions:
                return f"cannot split by {dimension.name}"
        for dimension in filtered:
            if dimension not in self.dimensions:
                return f"cannot filter on {dimension.name}"
        return None


_LONG = (Grain.MONTH, Grain.YEAR)
DECLARED_ROLLUPS = (
    Rollup(frozenset(), (Grain.DAY, *_LONG)),
    *(Rollup(frozenset((each,)), (Grain.DAY, *_LONG)) for each in PURCHASES.filterable),
    Rollup(frozenset((DATE,)), (Grain.MONTH,)),  # a day's own document would say no more than its total
    *(Rollup(frozenset(pair), _LONG) for pair in combinations(PURCHASES.filterable, 2)),
    *(Rollup(frozenset((each, DATE)), (Grain.MONTH,)) for each in PURCHASES.filterable),
)
BY_DIMENSIONS = {rollup.dimensions: rollup for rollup in DECLARED_ROLLUPS}
