"""Any group-by as a query, beside those that are declared."""

from collections.abc import Sequence
from functools import cache

from catalog.dimensions import Dimension
from catalog.errors import BadValue, UnknownName
from catalog.measures import REVENUE
from catalog.purchases import PURCHASES
from pipelines.ask.queries import ByKey, Descending, Panel, Query
from pipelines.ask.sentences import Leader, Summary

EXPLORE = "explore"
BY = "by"
MOST_DIMENSIONS = 3


@cache  # at most 1 + 10 + 90 + 720 are ever kept: what is refused is not
def exploration(by: tuple[Dimension, ...]) -> Query:
    """The query that groups by these dimensions, in this order; the same one each time, so its answers can be kept.

    Rows with a date or an hour are in the order of their groups, others have the highest revenue first.

    Raises:
        BadValue: there are more than three, or one is repeated.
    """
    said = ", ".join(dimension.name for dimension in by)
    if len(by) > MOST_DIMENSIONS:
        raise BadValue(BY, said, f"{len(by)} dimensions were given, at most {MOST_DIMENSIONS} are allowed.")
    if len(set(by)) < len(by):
        repeated = next(each.name for number, each in enumerate(by) if each in by[:number])
        raise BadValue(BY, said, f"{repeated!r} was given more than once.")
    names = " and ".join(dimension.label.lower() for dimension in by)
    in_time = any(dimension.in_time for dimension in by)
    return Query(
        slug=EXPLORE,
        title=f"Purchases by {names}" if by else "All purchases",
        question=f"How are purchases divided by {names}?" if by else "What do all purchases bring?",
        by=by,
        order=ByKey() if in_time or not by else Descending(REVENUE),
        sentence=Leader(REVENUE, "{} brings most") if by else Summary(),
        panel=Panel.LINE if in_time else Panel.BAR if by else Panel.FIGURE,
    )


def find_exploration(names: Sequence[str]) -> Query:
    """The query that groups by the dimensions of these names.

    Raises:
        UnknownName: one of them is not a dimension.
        BadValue: there are too many, or one is repeated.
    """
    for name in names:
        if name not in PURCHASES.by_name:
            raise UnknownName(BY, name, PURCHASES.by_name)
    return exploration(tuple(PURCHASES.by_name[name] for name in names))
