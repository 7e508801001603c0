"""Segments: questions answered from columns and running sums are what counting row by row gives."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.calendar import parse, year_of
from catalog.columns import NULL
from catalog.dimensions import DatePart, Dimension, date_of, day_number
from catalog.measures import Parts
from catalog.purchases import DATE, HOUR, MAX_AMOUNT_CENTS, PURCHASES, SEGMENT, STATE
from pipelines.ask.queries import ByKey, Query
from pipelines.ask.question import Filter, Interval, Question
from pipelines.ask.sentences import Summary
from pipelines.derived.columns import Columns
from pipelines.resident import evaluate, segment
from pipelines.resident.segment import Segment, TooLarge, build
from tests.support.columns import Row, columns_of, random_rows
from tests.support.naive import naively, random_question

MONTHS = [parse(name) for name in ("2023-01", "2023-02", "2023-11", "2023-12", "2024-01", "2024-02", "2024-12")]
"""Ends of years, a leap day, gaps."""

QUARTER = DatePart(
    name="quarter", label="Quarter", members=("Q1", "Q2", "Q3", "Q4"), part=lambda day: (day.month - 1) // 3,
    formula=str,
)  # fmt: skip
FIRST, LAST = MONTHS[0].start, MONTHS[-1].last
WAYS = list(product((2**16, 500, 0), (2**20, 10)))
"""How many cells have running sums, and how many groups are added up in one array."""


def segments_of(rows: list[Row]) -> dict[int, Segment]:
    """The segments of rows, by year."""
    years = sorted({date_of(codes[DATE.name]).year for codes, _ in rows})
    return {
        year: build(year, {}, columns_of([row for row in rows if date_of(row[0][DATE.name]).year == year]))
        for year in years
    }


def from_columns(segments: Mapping[int, Segment], question: Question, first: date, last: date) -> dict[object, Parts]:
    """The groups of a range of days, by the first day of their interval."""
    stretches = [
        (each, max(first, date(year, 1, 1)), min(last, date(year, 12, 31)))
        for year, each in segments.items()
        if first.year <= year <= last.year
    ]
    return dict(evaluate.evaluate(stretches, question).as_dict()) if stretches else {}


def row_by_row(rows: list[Row], question: Question, first: date, last: date) -> dict[object, Parts]:
    """The same, counted."""
    found: dict[object, Parts] = {}
    for key, parts in naively(rows, question, day_number(first), day_number(last)).items():
        if question.interval:
            key = (day_number(question.interval.start(date_of(key[0]))), *key[1:])
        found[key] = found[key].merge(parts) if key in found else parts
    return found


def some_rows(random: Random, count: int) -> list[Row]:
    """Rows of some of the months, some of them full and some with one row."""
    months = random.sample(MONTHS, random.randint(1, len(MONTHS)))
    largest = random.choice((1, MAX_AMOUNT_CENTS // 100))
    return [
        row for month in sorted(months) for row in random_rows(random, month, random.randint(1, count), largest, 60)
    ]


def some_range(random: Random) -> tuple[date, date]:
    """Days, or whole months, quarters or years; also beyond the data."""
    one, other = sorted(random.choices(range(day_number(FIRST) - 40, day_number(LAST) + 40), k=2))
    first, last = date_of(one), date_of(other)
    if random.random() < 0.5:
        interval = random.choice((Interval.MONTH, Interval.QUARTER, Interval.YEAR, Interval.WEEK))
        first = interval.start(first)
    if random.random() < 0.3:
        last = year_of(last).last
    return first, max(first, last)


@contextmanager
def bounds(cells: int, dense: int) -> Iterator[None]:
    """Running sums for so many cells, and one array for so many groups."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment, "MOST_CELLS", cells)
        patch.setattr(evaluate, "MOST_DENSE", dense)
        yield


def check(seed: int, count: int = 60) -> int:
    """One random question of random rows; gives how many groups it has."""
    random = Random(seed)
    rows = some_rows(random, count)
    segments = segments_of(rows)
    question, (first, last) = random_question(random), some_range(random)
    wanted = row_by_row(rows, question, first, last)
    assert from_columns(segments, question, first, last) == wanted, f"seed {seed}: {question} {first} {last}"
    return len(wanted)


@pytest.mark.parametrize(("cells", "dense"), WAYS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_an_answer_from_columns_is_what_counting_row_by_row_gives(cells: int, dense: int, seed: int) -> None:
    """With all running sums, some and none; groups in one array, and only those that occur."""
    with bounds(cells, dense):
        check(seed)


@pytest.mark.slow
@pytest.mark.parametrize(("cells", "dense"), WAYS)
def test_2000_answers_from_columns_are_what_counting_row_by_row_gives(cells: int, dense: int) -> None:
    """The same for longer."""
    with bounds(cells, dense):
        found = [check(seed, 200) for seed in range(2_000)]
    assert sum(map(bool, found)) > 1_000


@pytest.mark.parametrize("interval", [None, *Interval])
@pytest.mark.parametrize(
    "by",
    [(), (DATE,), (SEGMENT,), (DATE, SEGMENT), (STATE, HOUR), (HOUR, DATE, STATE)],
    ids=lambda by: "-".join(each.name for each in by) or "none",
)
def test_each_interval_with_ranges_that_cut_it(interval: Interval | None, by: tuple[Dimension, ...]) -> None:
    """A range that begins and ends in the middle of a day's neighbours, of a month, of a year; and a single day."""
    random = Random(7)
    rows = [row for month in MONTHS for row in random_rows(random, month, 80)]
    segments = segments_of(rows)
    query = Query("any", "", "", by, ByKey(), Summary())
    for first, last in (
        (date(2023, 1, 1), date(2024, 12, 31)),
        (date(2023, 1, 2), date(2024, 12, 30)),
        (date(2023, 1, 15), date(2023, 1, 15)),
        (date(2023, 2, 28), date(2023, 3, 1)),
        (date(2023, 12, 31), date(2024, 1, 1)),
        (date(2024, 2, 29), date(2024, 2, 29)),
        (date(2023, 2, 10), date(2024, 2, 20)),
    ):
        for filters in ((), (Filter(SEGMENT, (1, 3)),), (Filter(STATE, (0, 999), negated=True), Filter(HOUR, (5,)))):
            question = Question(query, None, None, filters, interval)
            assert from_columns(segments, question, first, last) == row_by_row(rows, question, first, last)


def test_a_question_of_nothing_has_no_groups() -> None:
    """A code that does not occur, a month between without rows."""
    rows = random_rows(Random(3), MONTHS[0], 30)
    segments = segments_of(rows)
    query = Query("any", "", "", (STATE,), ByKey(), Summary())
    nobody = Question(query, None, None, (Filter(STATE, (4_000,)),))
    assert from_columns(segments, nobody, FIRST, LAST) == {}
    assert from_columns(segments, Question(query), date(2023, 5, 1), date(2023, 6, 30)) == {}


def test_a_wrong_running_sum_is_seen() -> None:
    """The comparison can fail: one cent more in one step of each combination."""
    random = Random(1)
    rows = [row for month in MONTHS for row in random_rows(random, month, 60)]
    segments = segments_of(rows)
    wrong = 0
    for seed in range(300):
        random = Random(seed)
        question, (first, last) = random_question(random), some_range(random)
        needed = {each.name for each in (*question.query.by, *(each.dimension for each in question.filters))}
        names = tuple(name for name in segment.NAMES if name in needed)
        spoilt = {
            year: replace(each, running=each.running | {names: each.running[names] + _a_cent(each.running[names])})
            for year, each in segments.items()
            if names in each.running
        }
        found = from_columns({**segments, **spoilt}, question, first, last)
        wrong += found != row_by_row(rows, question, first, last)
    assert wrong > 20


def _a_cent(running: np.ndarray) -> np.ndarray:
    more = np.zeros_like(running)
    more[len(more) // 2 :, 2] = 1
    return more


def test_a_newer_segment_with_members_that_a_reader_does_not_know_yet_is_read_all_the_same() -> None:
    """A month that the reader does not use has a new state; the groups of the others are theirs alone."""
    january = random_rows(Random(1), MONTHS[0], 40, states=51)
    february = random_rows(Random(2), MONTHS[1], 40, states=5)
    february[3][0][STATE.name] = 51
    for query in (
        Query("any", "", "", (STATE,), ByKey(), Summary()),
        Query("any", "", "", (STATE, DATE, HOUR), ByKey(), Summary()),
    ):
        found = from_columns(segments_of([*january, *february]), Question(query), MONTHS[0].start, MONTHS[0].last)
        assert found == row_by_row(january, Question(query), MONTHS[0].start, MONTHS[0].last)


def test_as_many_members_as_a_column_can_have_take_no_more_memory_than_the_rows() -> None:
    """Three open dimensions with 1,000 members each have a billion combinations, of which few occur."""
    names = [each.name for each in PURCHASES.filterable if each.is_open][:3]
    by = tuple(PURCHASES.by_name[name] for name in names)
    random, rows = Random(4), random_rows(Random(4), MONTHS[0], 200)
    for codes, _ in rows:
        codes |= {name: random.randrange(1_000) for name in names}
    question = Question(Query("any", "", "", by, ByKey(), Summary()), interval=Interval.DAY)
    found = from_columns(segments_of(rows), question, FIRST, LAST)
    assert found == row_by_row(rows, question, FIRST, LAST)


def year_of_amounts(amounts: list[int]) -> Columns:
    """Columns of one day with these amounts."""
    zeros = np.zeros(len(amounts), np.int64)
    codes = {each.name: zeros for each in PURCHASES.dimensions} | {DATE.name: zeros + day_number(date(2023, 1, 1))}
    return Columns(codes, np.array(amounts, np.int64))


def test_what_doubles_cannot_add_up_is_not_built() -> None:
    """Exact up to the bound, with unknown amounts among them, and refused above."""
    question = Question(Query("any", "", "", (), ByKey(), Summary()), None, None, (Filter(HOUR, (0,)),), Interval.DAY)
    count = 2**52 // MAX_AMOUNT_CENTS
    amounts = [MAX_AMOUNT_CENTS] * (count - 2) + [NULL] * 1_000 + [1, 1]
    with bounds(0, 2**20):
        built = build(2023, {}, year_of_amounts(amounts))
    (found,) = from_columns({2023: built}, question, FIRST, LAST).values()
    assert found == Parts(len(amounts), count, MAX_AMOUNT_CENTS * (count - 2) + 2)
    most = [MAX_AMOUNT_CENTS] * (2**53 // MAX_AMOUNT_CENTS) + [2**53 % MAX_AMOUNT_CENTS]
    for beyond in ([1, 1], [1, 1, NULL, NULL, NULL]):
        with pytest.raises(TooLarge, match="2023"):
            build(2023, {}, year_of_amounts(most + beyond))


def test_a_dimension_that_is_computed_from_the_date_is_one_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter, declared beside the rest: in rows, in filters, with running sums."""
    for module in (segment, evaluate):
        monkeypatch.setattr(module, "NAMES", (*segment.NAMES, QUARTER.name))
    rows = [row for month in MONTHS for row in random_rows(Random(5), month, 40)]
    for codes, _ in rows:
        codes[QUARTER.name] = QUARTER.code_of_day(codes[DATE.name])
    segments = {}
    for year in (2023, 2024):
        some = [row for row in rows if date_of(row[0][DATE.name]).year == year]
        columns = columns_of(some)
        quarters = np.array([codes[QUARTER.name] for codes, _ in some])
        segments[year] = build(year, {}, Columns({**columns.codes, QUARTER.name: quarters}, columns.cents))
    for by, filters in (
        ((QUARTER,), ()),
        ((QUARTER, STATE), (Filter(QUARTER, (0, 3)),)),
        ((DATE, SEGMENT), (Filter(QUARTER, (0,), negated=True),)),
    ):
        for interval in (None, Interval.MONTH, Interval.WEEK):
            question = Question(Query("any", "", "", by, ByKey(), Summary()), None, None, filters, interval)
            for first, last in ((FIRST, LAST), (date(2023, 1, 20), date(2024, 2, 3))):
                assert from_columns(segments, question, first, last) == row_by_row(rows, question, first, last)
