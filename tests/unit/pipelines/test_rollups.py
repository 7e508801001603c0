"""The declared rollups: what is stored, what each can answer, and the reason if it cannot."""

from itertools import combinations

import pytest

from catalog.calendar import Grain
from catalog.dimensions import Dimension
from catalog.purchases import DATE, GENDER, PURCHASES, SEGMENT, STATE
from pipelines.ask.queries import QUERIES, Query
from pipelines.plan.rollups import BY_DIMENSIONS, DECLARED_ROLLUPS, Rollup


def test_every_dimension_and_every_pair_is_kept_once() -> None:
    """The total, the dimensions and their pairs; none is declared twice."""
    wanted = {frozenset[Dimension](), *(frozenset((each,)) for each in PURCHASES.dimensions)}
    wanted |= {frozenset(pair) for pair in combinations(PURCHASES.dimensions, 2)}
    assert [rollup.dimensions for rollup in DECLARED_ROLLUPS if rollup.dimensions not in wanted] == []
    assert set(BY_DIMENSIONS) == wanted
    assert len(DECLARED_ROLLUPS) == len(BY_DIMENSIONS) == len(wanted)


def test_names_tell_rollups_apart() -> None:
    """Each has its own name, regardless of the order of its dimensions."""
    assert len({rollup.name for rollup in DECLARED_ROLLUPS}) == len(DECLARED_ROLLUPS)
    assert (
        Rollup(frozenset((STATE, SEGMENT)), ()).name == Rollup(frozenset((SEGMENT, STATE)), ()).name == "segment×state"
    )
    assert Rollup(frozenset(), ()).name == "total"


def test_dates_are_kept_by_month_only_and_everything_else_by_year_too() -> None:
    """A year has no cells by date; a pair has no days."""
    for rollup in DECLARED_ROLLUPS:
        assert (Grain.YEAR in rollup.grains) == (DATE not in rollup.dimensions)
        assert (Grain.DAY in rollup.grains) == (len(rollup.dimensions) < 2 and DATE not in rollup.dimensions)
        assert Grain.MONTH in rollup.grains


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.slug)
def test_each_query_has_a_rollup_unfiltered_and_with_any_one_filter(query: Query) -> None:
    """The most common questions are never read from transactions."""
    assert BY_DIMENSIONS[frozenset(query.by)].why_not(query.by, ()) is None
    for each in PURCHASES.filterable:
        rollup = BY_DIMENSIONS[frozenset((*query.by, each))]
        assert rollup.why_not(query.by, (each,)) is None


REASONS = {
    "rows by another dimension": ((SEGMENT,), (STATE,), (), "cannot split by state"),
    "a filter on another dimension": ((SEGMENT,), (SEGMENT,), (GENDER,), "cannot filter on gender"),
    "rows come before filters": ((SEGMENT,), (STATE,), (GENDER,), "cannot split by state"),
    "the total cannot split": ((), (SEGMENT,), (), "cannot split by segment"),
    "the total cannot filter": ((), (), (SEGMENT,), "cannot filter on segment"),
    "days of a rollup without days": ((SEGMENT,), (SEGMENT, DATE), (), "cannot split by date"),
    "its own dimension": ((SEGMENT,), (SEGMENT,), (), None),
    "its own dimension, filtered by": ((SEGMENT,), (), (SEGMENT,), None),
    "less than it has": ((SEGMENT, STATE), (), (), None),
    "both of its own": ((SEGMENT, STATE), (STATE,), (SEGMENT, STATE), None),
}  # fmt: skip


@pytest.mark.parametrize("case", REASONS.values(), ids=REASONS)
def test_a_rollup_says_why_it_cannot_answer(
    case: tuple[tuple[Dimension, ...], tuple[Dimension, ...], tuple[Dimension, ...], str | None],
) -> None:
    """The first missing dimension and its use; None if it can answer."""
    dimensions, needed, filtered, reason = case
    assert Rollup(frozenset(dimensions), (Grain.MONTH,)).why_not(needed, filtered) == reason
