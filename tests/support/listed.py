"""Labelled groups as a list, for sentences."""

from collections.abc import Sequence

from catalog.dimensions import UNKNOWN
from catalog.measures import NOTHING, Measure, Parts


class Listed:
    """Groups in the order of their labels."""

    def __init__(self, groups: Sequence[tuple[str, Parts]]) -> None:
        self.groups = groups

    def leader(self, measure: Measure) -> tuple[str, Parts] | None:
        """The one with the highest measure."""
        known = [group for group in self.groups if group[0] != UNKNOWN] or self.groups
        return max(known, key=lambda group: measure.whole(group[1]) or 0, default=None)

    def of(self, label: str) -> Parts:
        """The one of that label."""
        return dict(self.groups).get(label, NOTHING)
