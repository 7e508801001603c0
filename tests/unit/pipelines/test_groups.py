"""An answer that could have more groups than a reply shows is refused before anything is read."""

from datetime import date, timedelta
from itertools import permutations
from math import perm

import pytest

from catalog.calendar import month_of
from catalog.errors import BadValue, UnknownName
from catalog.purchases import DATE, HOUR, PURCHASES, SEGMENT, STATE
from pipelines.ask.explore import EXPLORE, exploration, find_exploration
from pipelines.ask.queries import QUERIES, ByKey, Descending
from pipelines.ask.question import Filter, Interval, Question, ask
from pipelines.plan.groups import TooManyGroups, check_groups, most_groups
from pipelines.state.version import EMPTY, Directory, Month

VOCABULARY = PURCHASES.vocabulary
MONTHS = list(dict.fromkeys(month_of(date(2018, 1, 1) + timedelta(days=number)) for number in range(7 * 365)))


def directory(rows: int, *, is_stale: bool = False) -> Directory:
    """Seven years of months with this many transactions each."""
    return Directory(EMPTY, {month: Month(rows, 2, 1 if is_stale else 2) for month in MONTHS})


def test_every_declared_query_is_small_enough_by_any_interval() -> None:
    """With any number of transactions."""
    for query in QUERIES:
        for interval in (None, Interval.YEAR, Interval.QUARTER, Interval.MONTH, Interval.WEEK):
            check_groups(Question(query, interval=interval), directory(10**7))


def test_too_many_groups_are_refused_unless_there_are_fewer_transactions() -> None:
    """By date, hour and state, there are at most as many groups as transactions."""
    question = Question(exploration((DATE, HOUR, STATE)))
    check_groups(question, directory(100_000 // len(MONTHS)))
    with pytest.raises(TooManyGroups, match="at most 100,000"):
        check_groups(question, directory(100_000 // len(MONTHS) + 1000))


def test_a_range_and_filters_make_a_question_small_enough() -> None:
    """Only the requested days, hours and members count."""
    query = exploration((DATE, HOUR, STATE))
    some = Filter(STATE, (1, 2))
    january = Question(query, date(2020, 1, 1), date(2020, 1, 31), (some,))
    assert most_groups(january, directory(10**6)) == 31 * 24 * 2
    assert most_groups(Question(query, date(2020, 1, 1), date(2020, 1, 31)), directory(10**6)) == 31 * 24 * 51
    split = Question(exploration((HOUR, SEGMENT)), date(2020, 1, 2), date(2020, 3, 1), interval=Interval.MONTH)
    assert most_groups(split, directory(10**6)) == 3 * 24 * 6
    assert most_groups(Question(query, date(2040, 1, 1)), directory(10**6)) == 0


def test_a_stale_month_may_hold_any_number() -> None:
    """So only the number of combinations counts."""
    question = Question(exploration((HOUR, SEGMENT)))
    assert most_groups(question, directory(0, is_stale=True)) == 24 * 6
    assert most_groups(question, directory(1)) == min(24 * 6, len(MONTHS))


def test_the_same_dimensions_in_the_same_order_are_the_same_query() -> None:
    """Queries are compared by identity, and a cached answer must be found again."""
    one = find_exploration(["segment", "hour"])
    assert find_exploration(["segment", "hour"]) is one
    assert find_exploration(["hour", "segment"]) is not one
    assert find_exploration([]).by == ()


def test_no_more_explorations_are_kept_than_there_are_ways_to_order_three_dimensions() -> None:
    """Whatever clients send: refused requests leave nothing behind."""
    ways = [by for size in range(4) for by in permutations(PURCHASES.dimensions, size)]
    for by in ways:
        assert exploration(by).by == by
    for by in (*[(each, each) for each in PURCHASES.dimensions], *permutations(PURCHASES.dimensions[:6], 4)):
        with pytest.raises(BadValue):
            exploration(by)
    assert (
        exploration.cache_info().currsize
        == len(ways)
        == sum(perm(len(PURCHASES.dimensions), size) for size in range(4))
    )


@pytest.mark.parametrize(
    ("names", "error"),
    [
        (["segment", "segment"], BadValue), (["segment", "state", "hour", "date"], BadValue),
        (["Segment"], UnknownName), (["$where"], UnknownName), ([""], UnknownName), (["segment,state"], UnknownName),
    ],
)  # fmt: skip
def test_what_is_no_group_by_is_refused(names: list[str], error: type[Exception]) -> None:
    """At most three, each once, each a dimension."""
    with pytest.raises(error) as caught:
        find_exploration(names)
    assert "by" in str(caught.value)


def test_an_exploration_is_in_time_where_it_has_time_and_by_revenue_otherwise() -> None:
    """Like a line chart or a ranking."""
    for dimension in PURCHASES.dimensions:
        order = exploration((dimension,)).order
        assert isinstance(order, ByKey if dimension.in_time else Descending)


def test_an_exploration_echoes_what_it_groups_by() -> None:
    """So that the reply and its ETag reflect the whole question; only an exploration accepts `by`."""
    given = {"by": ["state", "hour"], "gender": ["male"]}
    query = find_exploration(given["by"])
    assert query.slug == EXPLORE
    assert ask(query, given, VOCABULARY).echo(VOCABULARY) == {"by": ["state", "hour"], "gender": ["Male"]}
    with pytest.raises(UnknownName):
        ask(QUERIES[0], {"by": ["state"]}, VOCABULARY)
