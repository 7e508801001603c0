"""Tiling a range of days: nothing twice, nothing left out, and no fewer pieces would do."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from catalog.calendar import Grain, Period, Piece, days_between, month_of, parse, tile, year_of
from pipelines.ask.question import Interval

ONE_DAY = timedelta(days=1)
SMALL = st.dates(date(2019, 10, 1), date(2022, 3, 31))
"""Short enough to try every tiling; with three year ends and a leap day."""

ranges = st.tuples(SMALL, SMALL).map(sorted)
wide_ranges = st.tuples(st.dates(), st.dates()).map(sorted)
year_sets = st.frozensets(st.integers(2019, 2022))
quick = settings(max_examples=40, deadline=None)


def span(first: date, last: date) -> list[date]:
    """The days from `first` to `last`."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def tiled(first: date, last: date, years: frozenset[int]) -> list[Piece]:
    """The tiling, if these years may be used."""
    return list(tile(first, last, lambda year: year.start.year in years))


def fewest(first: date, last: date, years: frozenset[int]) -> int:
    """The number of pieces in the best of all tilings, by dynamic programming over the days."""
    best = {first - ONE_DAY: 0}
    for end in span(first, last):
        options = []
        start = end
        while start >= first and (start.year, start.month) == (end.year, end.month):
            options.append(best[start - ONE_DAY] + 1)
            start -= ONE_DAY
        new_year = date(end.year, 1, 1)
        if (end.month, end.day) == (12, 31) and end.year in years and new_year >= first:
            options.append(best[new_year - ONE_DAY] + 1)
        best[end] = min(options)
    return best[last]


@quick
@given(ranges, year_sets)
def test_pieces_cover_each_day_of_the_range_once_and_in_order(range_: list[date], years: frozenset[int]) -> None:
    """Laid end to end, the pieces are the range: no overlap, no gap."""
    first, last = range_
    assert [day for piece in tiled(first, last, years) for day in span(piece.first, piece.last)] == span(first, last)


@quick
@given(ranges, year_sets)
@example([date(2020, 1, 1), date(2021, 12, 31)], frozenset({2020}))
@example([date(2020, 2, 29), date(2020, 2, 29)], frozenset())
def test_no_tiling_has_fewer_pieces(range_: list[date], years: frozenset[int]) -> None:
    """The greedy tiling is as short as the shortest of all tilings."""
    first, last = range_
    assert len(tiled(first, last, years)) == fewest(first, last, years)


@quick
@given(ranges, year_sets)
def test_each_piece_lies_in_its_period_and_only_months_are_cut(range_: list[date], years: frozenset[int]) -> None:
    """A year is whole and allowed; any other piece belongs to one month, and inner ones are whole."""
    first, last = range_
    pieces = tiled(first, last, years)
    for piece in pieces:
        assert piece.period.start <= piece.first <= piece.last <= piece.period.last
        assert piece.is_whole == (span(piece.first, piece.last) == span(piece.period.start, piece.period.last))
        if piece.period.grain is Grain.YEAR:
            assert piece.is_whole
            assert piece.period.start.year in years
        else:
            assert piece.period == month_of(piece.first)
    assert all(piece.is_whole for piece in pieces[1:-1])


@settings(max_examples=30, deadline=None)
@given(wide_ranges)
@example([date(9999, 12, 30), date.max])
@example([date.min, date(1, 1, 2)])
@example([date.max, date.max])
def test_the_first_and_the_last_year_of_all_are_tiled_as_any_other(range_: list[date]) -> None:
    """Ranges up to both ends of the calendar: first and last day are right, and each piece follows the previous one."""
    first, last = range_
    pieces = list(tile(first, last))
    assert (pieces[0].first, pieces[-1].last) == (first, last)
    assert all(after.first - before.last == ONE_DAY for before, after in pairwise(pieces))


def test_a_range_that_ends_before_it_begins_has_no_pieces() -> None:
    """Nothing is requested, nothing is read."""
    assert list(tile(date(2024, 1, 2), date(2024, 1, 1))) == []


TILINGS = {
    "one day": ((2024, 3, 15), (2024, 3, 15), ["2024-03"]),
    "a month": ((2024, 2, 1), (2024, 2, 29), ["2024-02!"]),
    "a leap February but its last day": ((2024, 2, 1), (2024, 2, 28), ["2024-02"]),
    "a common February": ((2023, 2, 1), (2023, 2, 28), ["2023-02!"]),
    "a year": ((2023, 1, 1), (2023, 12, 31), ["2023!"]),
    "a year but its last day": ((2023, 11, 1), (2024, 12, 30), ["2023-11!", "2023-12!"] + [
        f"2024-{month:02}!" for month in range(1, 12)] + ["2024-12"]),
    "over a new year": ((2023, 12, 31), (2024, 1, 1), ["2023-12", "2024-01"]),
    "cut, whole year, cut": ((2022, 12, 15), (2024, 1, 15), ["2022-12", "2023!", "2024-01"]),
    "two years": ((2023, 1, 1), (2024, 12, 31), ["2023!", "2024!"]),
}  # fmt: skip


@pytest.mark.parametrize("case", TILINGS.values(), ids=TILINGS)
def test_a_range_is_tiled_as_a_person_would(
    case: tuple[tuple[int, int, int], tuple[int, int, int], list[str]],
) -> None:
    """Named ranges and their pieces; `!` marks a whole period."""
    first, last, expected = case
    found = tile(date(*first), date(*last))
    assert [piece.period.name + "!" * piece.is_whole for piece in found] == expected


def test_a_year_that_may_not_be_used_is_tiled_by_its_months() -> None:
    """Twelve months instead, all whole."""
    pieces = tiled(date(2023, 1, 1), date(2024, 12, 31), frozenset({2024}))
    assert [piece.period.name for piece in pieces] == [f"2023-{month:02}" for month in range(1, 13)] + ["2024"]


@given(ranges)
def test_the_days_of_a_range_are_periods_of_one_day(range_: list[date]) -> None:
    """Each once, in order, first and last among them; a month's days are those of its range."""
    first, last = range_
    found = days_between(first, last)
    assert [period.start for period in found] == span(first, last)
    assert {(period.grain, period.start == period.last) for period in found} == {(Grain.DAY, True)}
    month = month_of(first)
    assert month.days == days_between(month.start, month.last)


@given(st.dates())
def test_a_period_ends_the_day_before_the_next_begins(day: date) -> None:
    """Month and year ends, leap years among them, for any day of the calendar."""
    for period in (month_of(day), year_of(day), Period(day, Grain.DAY)):
        assert period.start <= day <= period.last
        if period.last < date.max and period.grain is not Grain.DAY:
            following = period.last + ONE_DAY
            assert following.day == 1
            assert (month_of if period.grain is Grain.MONTH else year_of)(following) != period
        assert period.last == max(d for d in (day, period.last) if d.isoformat().startswith(period.name))


@pytest.mark.parametrize(("year", "length"), [(1900, 28), (2000, 29), (2023, 28), (2024, 29), (2100, 28)])
def test_february_is_as_long_as_its_year_says(year: int, length: int) -> None:
    """The Gregorian rule with its two exceptions."""
    assert month_of(date(year, 2, 3)).last == date(year, 2, length)


@given(st.dates())
def test_a_name_is_read_back_as_its_period(day: date) -> None:
    """2024 and 2024-03, also for years of fewer digits."""
    assert parse(month_of(day).name) == month_of(day)
    assert parse(year_of(day).name) == year_of(day)


@given(st.dates())
def test_a_year_is_made_of_its_twelve_months(day: date) -> None:
    """In order, the first beginning and the last ending with it; a month is its own only month."""
    year = year_of(day)
    months = year.months
    assert len(months) == 12
    assert (months[0].start, months[-1].last) == (year.start, year.last)
    assert all(after.start - before.last == ONE_DAY for before, after in pairwise(months))
    assert month_of(day) in months
    assert month_of(day).months == (month_of(day),)


@given(st.dates(), st.sampled_from(Interval))
def test_an_interval_begins_on_its_first_day(day: date, interval: Interval) -> None:
    """The latest day up to `day` on which an interval begins."""

    def begins(each: date) -> bool:
        return {
            Interval.DAY: True,
            Interval.WEEK: each.isoweekday() == 1,
            Interval.MONTH: each.day == 1,
            Interval.QUARTER: each.day == 1 and each.month in (1, 4, 7, 10),
            Interval.YEAR: each.day == 1 and each.month == 1,
        }[interval]

    start = interval.start(day)
    assert begins(start)
    assert start <= day
    assert not any(begins(each) for each in span(start, day)[1:] if interval is not Interval.DAY)


@given(st.dates(), st.sampled_from(Interval))
def test_the_first_day_of_an_interval_is_in_it(day: date, interval: Interval) -> None:
    """Folding twice is folding once."""
    assert interval.start(interval.start(day)) == interval.start(day)
