"""Plans, without a server: which source each piece is read from, why the others were not, and nothing read twice."""

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.calendar import Grain, Period, month_of, parse, year_of
from catalog.errors import SourceRefused
from catalog.purchases import DATE, GENDER, HOUR, PAYMENT_METHOD, PURCHASES, SEGMENT, STATE
from pipelines.ask.queries import BY_SLUG, QUERIES, ByKey, Query
from pipelines.ask.question import Filter, Interval, Question, Source
from pipelines.ask.sentences import Summary
from pipelines.plan.choose import plan
from pipelines.plan.reads import ColumnsRead, PagesRead, Plan, RawRead, RollupRead
from pipelines.plan.shape import needed_dimensions
from pipelines.state.version import Directory, Month, Version

ROWS = 20_000
PAIR = Query("pair", "", "", (SEGMENT, PAYMENT_METHOD), ByKey(), Summary())
TRIPLE = Query("triple", "", "", (SEGMENT, PAYMENT_METHOD, GENDER), ByKey(), Summary())


def directory(*names: str, stale: tuple[str, ...] = (), rows: int | Mapping[str, int] = ROWS) -> Directory:
    """A directory of these months or whole years; a year with a stale month is stale, as after a batch."""
    months = {month for name in (*names, *stale) for month in parse(name).months}
    old = {month for name in stale for month in parse(name).months}
    counts = {month: rows if isinstance(rows, int) else rows[month.name] for month in months}
    states = {month: Month(counts[month], 5, 4 if month in old else 5) for month in sorted(months)}
    years = {year_of(month.start) for month in months}
    stale_years = frozenset(year_of(month.start) for month in old)
    return Directory(Version("e", 5, 1), states, frozenset(years) - stale_years, stale_years)


def asked(slug: str = "revenue-by-segment", first: str = "", last: str = "", **more: Any) -> Question:
    """A question, with its days as text."""
    days = [date.fromisoformat(text) if text else None for text in (first, last)]
    return Question(BY_SLUG[slug], *days, **more)


def told(found: Plan) -> list[str]:
    """What is read, as the plan prints it."""
    return [str(read) for read in found.reads]


TWO_YEARS = directory("2022", "2023")
STALE_MAY = directory("2022", "2023", stale=("2023-05",))
IN_GENDER = (Filter(GENDER, (1,)),)
IN_TWO = (Filter(GENDER, (1,)), Filter(PAYMENT_METHOD, (2,), negated=True))

CASES: dict[str, tuple[Directory, Question, list[str]]] = {
    "all time: the years": (TWO_YEARS, asked(), ["segment by year 2022 to 2023 (2)"]),
    "one year": (TWO_YEARS, asked(first="2022-01-01", last="2022-12-31"), ["segment by year 2022"]),
    "a year and whole months": (
        TWO_YEARS, asked(first="2022-01-01", last="2023-02-28"), ["segment by month 2023-01 to 2023-02 (2), year 2022"],
    ),
    "cut months: their days": (
        TWO_YEARS, asked(first="2022-03-30", last="2022-05-02"),
        ["segment by day 2022-03-30 to 2022-05-02 (4), month 2022-04"],
    ),
    "one filter: a pair": (TWO_YEARS, asked(filters=IN_GENDER), ["gender×segment by year 2022 to 2023 (2)"]),
    "one filter on its own dimension": (
        TWO_YEARS, asked(filters=(Filter(SEGMENT, (1,)),)), ["segment by year 2022 to 2023 (2)"],
    ),
    "one filter, a cut month: its page": (
        TWO_YEARS, asked(first="2022-03-30", last="2022-04-30", filters=IN_GENDER),
        ["gender×segment by month 2022-04", "pages of 2022-03"],
    ),
    "two filters: pages": (
        TWO_YEARS, asked(first="2022-11-01", last="2023-01-31", filters=IN_TWO), ["pages of 2022-11 to 2023-01 (3)"],
    ),
    "days: months with cells by date": (
        TWO_YEARS, asked("daily-sales", "2022-02-10", "2022-03-31"), ["date by month 2022-02 to 2022-03 (2)"],
    ),
    "days, with a filter": (
        TWO_YEARS, asked("daily-sales", "2022-02-10", "2022-03-31", filters=IN_GENDER),
        ["date×gender by month 2022-02 to 2022-03 (2)"],
    ),
    "the total": (TWO_YEARS, asked("overall-summary"), ["total by year 2022 to 2023 (2)"]),
    "the total of one filter": (
        TWO_YEARS, asked("overall-summary", filters=IN_GENDER), ["gender by year 2022 to 2023 (2)"],
    ),
    "by year": (TWO_YEARS, asked(interval=Interval.YEAR), ["segment by year 2022 to 2023 (2)"]),
    "by quarter: never a year": (
        TWO_YEARS, asked(interval=Interval.QUARTER),
        ["segment by month 2022-01 to 2023-12 (24)"],
    ),
    "by week: cells by date": (
        TWO_YEARS, asked("overall-summary", "2022-02-10", "2022-03-31", interval=Interval.WEEK),
        ["date by month 2022-02 to 2022-03 (2)"],
    ),
    "a stale month: its transactions, and its year not": (
        STALE_MAY, asked(),
        ["segment by month 2023-01 to 2023-12 (11), year 2022", "transactions 2023-05-01 to 2023-05-31"],
    ),
    "a stale month cut": (
        STALE_MAY, asked(first="2023-05-10", last="2023-06-30"),
        ["segment by month 2023-06", "transactions 2023-05-10 to 2023-05-31"],
    ),
    "a stale month elsewhere": (STALE_MAY, asked(first="2022-01-01", last="2022-12-31"), ["segment by year 2022"]),
    "stale months side by side: one stretch": (
        directory("2023-04", stale=("2023-05", "2023-06")), asked(),
        ["segment by month 2023-04", "transactions 2023-05-01 to 2023-06-30"],
    ),
    "stale months apart: two stretches": (
        directory("2023-05", stale=("2023-04", "2023-06")), asked(),
        ["segment by month 2023-05", "transactions 2023-04-01 to 2023-04-30", "transactions 2023-06-01 to 2023-06-30"],
    ),
    "everything stale": (directory(stale=("2023-04",)), asked(), ["transactions 2023-04-01 to 2023-04-30"]),
    "all three sources": (
        STALE_MAY, asked(first="2023-03-15", last="2023-05-31", filters=IN_GENDER),
        ["gender×segment by month 2023-04", "pages of 2023-03", "transactions 2023-05-01 to 2023-05-31"],
    ),
    "few rows: a page is cheaper than slices": (
        directory("2022-04", rows=10), asked("top-states", "2022-04-02", "2022-04-29", filters=IN_GENDER),
        ["pages of 2022-04"],
    ),
    "raw asked for: the whole range": (
        TWO_YEARS, asked(source=Source.RAW), ["transactions from the beginning to the end"],
    ),
    "raw asked for, of a range": (
        STALE_MAY, asked(first="2022-03-30", last="2022-05-02", source=Source.RAW),
        ["transactions 2022-03-30 to 2022-05-02"],
    ),
    "pages asked for": (
        TWO_YEARS, asked(first="2022-11-15", last="2023-01-31", source=Source.PAGES),
        ["pages of 2022-11 to 2023-01 (3)"],
    ),
    "rollup asked for": (
        directory("2022-04", rows=1), asked("top-states", source=Source.ROLLUP), ["state by month 2022-04"],
    ),
    "nothing there": (Directory(Version("", 0, 0)), asked(), []),
    "a range before all data": (TWO_YEARS, asked(first="2001-01-01", last="2001-12-31"), []),
    "a range after all data": (TWO_YEARS, asked(first="2031-01-01"), []),
    "a range in a gap": (directory("2022-01", "2022-09"), asked(first="2022-03-01", last="2022-05-31"), []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_piece_is_read_from_the_cheapest_source_that_is_exact(case: tuple[Directory, Question, list[str]]) -> None:
    """Named cases: the question, the state of the database, what is read."""
    state, question, expected = case
    assert told(plan(question, state)) == expected


def test_the_source_of_a_plan_names_all_that_take_part() -> None:
    """In the order rollup, pages, raw; `none` if nothing is read."""
    all_three = asked(first="2023-03-15", last="2023-05-31", filters=IN_GENDER)
    assert plan(all_three, STALE_MAY).source == "rollup+pages+raw"
    assert plan(asked(), TWO_YEARS).source == "rollup"
    assert plan(asked(source=Source.RAW), TWO_YEARS).source == "raw"
    assert plan(asked(), Directory(Version("", 0, 0))).source == "none"


REFUSED: dict[str, tuple[Directory, Question, str]] = {
    "rollup: three dimensions": (
        TWO_YEARS, asked(filters=IN_TWO, source=Source.ROLLUP),
        "rollup: the rows and filters have 3 dimensions, the rollups two",
    ),
    "rollup: each pair says what it lacks": (
        TWO_YEARS, asked(filters=IN_TWO, source=Source.ROLLUP), "gender×segment: cannot filter on payment_method",
    ),
    "rollup: a cut month of a pair": (
        TWO_YEARS, asked(first="2022-03-15", filters=IN_GENDER, source=Source.ROLLUP),
        "gender×segment: cannot cut a month",
    ),
    "rollup: a stale month": (
        STALE_MAY, asked(source=Source.ROLLUP), "rollups and pages of 2023-05: changed since they were built",
    ),
    "pages: a stale month": (
        STALE_MAY, asked(source=Source.PAGES), "rollups and pages of 2023-05: changed since they were built",
    ),
    "rollup: weeks of a pair": (
        TWO_YEARS, Question(PAIR, interval=Interval.WEEK, source=Source.ROLLUP),
        "rollup: the rows and filters have 3 dimensions, the rollups two",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_a_source_that_cannot_answer_is_refused_with_the_reason(case: tuple[Directory, Question, str]) -> None:
    """It is never silently replaced; the error names the source and the reason."""
    state, question, reason = case
    with pytest.raises(SourceRefused) as caught:
        plan(question, state)
    assert caught.value.source == question.source.value
    assert any(each.startswith(reason) for each in caught.value.reasons), caught.value.reasons
    assert question.source.value in str(caught.value)


WHY_NOT: dict[str, tuple[Directory, Question, dict[str, str]]] = {
    "rollups read": (
        TWO_YEARS, asked(first="2022-02-01", last="2022-03-31"),
        {"pages": "would read 40,000 rows", "raw": "would scan 40,000 transactions"},
    ),
    "a filter": (TWO_YEARS, asked(filters=IN_GENDER), {"segment": "cannot filter on gender"}),
    "a filter on the total": (
        TWO_YEARS, asked("overall-summary", filters=IN_GENDER), {"total": "cannot filter on gender"},
    ),
    "two filters": (
        TWO_YEARS, asked(filters=IN_TWO),
        {
            "segment": "cannot filter on gender", "gender": "cannot split by segment",
            "gender×segment": "cannot filter on payment_method", "gender×payment_method": "cannot split by segment",
            "rollup": "the rows and filters have 3 dimensions, the rollups two",
        },
    ),
    "few rows": (
        directory("2022-04", "2022-05", rows=10), asked("top-states", filters=(Filter(GENDER, (1, 2)),)),
        {"gender×state": "the pages are cheaper", "raw": "would scan 20 transactions"},
    ),
    "a cut month": (
        TWO_YEARS, asked(first="2022-03-30", last="2022-04-30", filters=IN_GENDER),
        {"gender×segment": "cannot cut a month"},
    ),
    "stale months": (
        directory("2023-04", stale=("2023-05", "2023-07")), asked(),
        {"rollups and pages of 2023-05 to 2023-07 (2)": "changed since they were built; refresh mends it"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WHY_NOT.values(), ids=WHY_NOT)
def test_a_plan_says_why_it_does_not_read_the_others(case: tuple[Directory, Question, dict[str, str]]) -> None:
    """The reasons, by source."""
    state, question, reasons = case
    refused = dict(plan(question, state).refused)
    assert {name: refused.get(name) for name in reasons} == reasons


def test_a_stale_month_elsewhere_is_no_reason() -> None:
    """Only reasons within the range are given."""
    refused = dict(plan(asked(first="2022-01-01", last="2022-12-31"), STALE_MAY).refused)
    assert not any("changed since" in reason for reason in refused.values())


def test_no_source_that_is_read_counts_as_refused() -> None:
    """A plan of all three has no `pages` and no `raw` among its reasons."""
    found = plan(asked(first="2023-03-15", last="2023-05-31", filters=IN_GENDER), STALE_MAY)
    assert {"pages", "raw"} & set(dict(found.refused)) == set()


@pytest.mark.parametrize(
    ("interval", "by", "needed"),
    [
        (None, (SEGMENT,), (SEGMENT,)), (Interval.MONTH, (SEGMENT,), (SEGMENT,)), (Interval.YEAR, (), ()),
        (Interval.QUARTER, (STATE,), (STATE,)), (Interval.WEEK, (SEGMENT,), (SEGMENT, DATE)),
        (Interval.DAY, (), (DATE,)), (Interval.WEEK, (DATE,), (DATE,)),
    ],
)  # fmt: skip
def test_days_and_weeks_need_the_date(interval: Interval | None, by: Any, needed: Any) -> None:
    """A week crosses the ends of months; longer intervals consist of months."""
    query = Query("any", "", "", by, ByKey(), Summary())
    assert needed_dimensions(Question(query, interval=interval)) == needed


# Random directories and questions.

MONTHS = tuple(month for year in range(2020, 2024) for month in parse(str(year)).months)
states = st.dictionaries(
    st.sampled_from(MONTHS), st.tuples(st.integers(0, 30_000), st.booleans()), max_size=len(MONTHS)
)
filters = st.builds(
    Filter, st.sampled_from(PURCHASES.filterable), st.sets(st.integers(0, 2), min_size=1).map(tuple), st.booleans()
)
distinct_filters = st.lists(filters, max_size=3, unique_by=lambda each: (each.dimension, each.negated)).map(tuple)
optional_days = st.none() | st.dates(date(2019, 11, 1), date(2024, 2, 28))
questions = st.builds(
    Question, st.sampled_from((*QUERIES, PAIR, TRIPLE)), optional_days, optional_days, distinct_filters,
    st.none() | st.sampled_from(Interval), st.none(), st.sampled_from((Source.AUTO, Source.AUTO, *Source)),
)  # fmt: skip


@st.composite
def directories(draw: st.DrawFn) -> Directory:
    """Months with gaps, most of them fresh, some stale; years are fresh only if none of their months is stale."""
    chosen, few_stale = draw(states), draw(st.booleans())
    months = {}
    for month in sorted(chosen):
        rows, is_stale = chosen[month]
        is_stale = is_stale and (not few_stale or month.start.month == 5)
        months[month] = Month(rows, 7, draw(st.sampled_from((None, 6))) if is_stale else 7)
    years = {year_of(month.start) for month in months}
    stale_years = {year_of(month.start) for month, state in months.items() if state.stale}
    fresh = draw(st.sets(st.sampled_from(sorted(years - stale_years)))) if years - stale_years else set()
    return Directory(Version("e", 7, 0), months, frozenset(fresh), frozenset(years - fresh))


def span(first: date, last: date) -> list[date]:
    """The days from `first` to `last`."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def days_of(read: Any) -> list[date]:
    """All days that a read counts, as often as it counts them."""
    if isinstance(read, RawRead):
        return span(read.first or MONTHS[0].start, read.last or MONTHS[-1].last)
    if isinstance(read, ColumnsRead):
        return [day for first, last in read.stretches for day in span(first, last)]
    if isinstance(read, PagesRead):
        return [day for piece in read.pieces for day in span(piece.first, piece.last)]
    days = [day for period in read.periods for day in span(period.start, period.last)]
    return [day for day in days if read.first <= day <= read.last] if read.cells_by is DATE else days


def planned(question: Question, state: Directory, resident: Collection[Period] = ()) -> Plan | None:
    """The plan, or None if the source is refused."""
    try:
        return plan(question, state, resident)
    except SourceRefused:
        assert question.source in (Source.ROLLUP, Source.PAGES, Source.COLUMNS)
        return None


@st.composite
def residents(draw: st.DrawFn) -> tuple[Directory, frozenset[Period]]:
    """A directory, and those of its fresh months that are in memory: none, some or all."""
    state = draw(directories())
    fresh = sorted(set(state.months) - set(state.stale_months))
    some = draw(st.sets(st.sampled_from(fresh))) if fresh else set()
    return state, frozenset(draw(st.sampled_from((fresh, some))))


random_plans = settings(max_examples=50, deadline=None)


@random_plans
@given(questions, residents())
def test_the_reads_count_each_day_of_the_range_exactly_once(
    question: Question, held: tuple[Directory, frozenset[Period]]
) -> None:
    """No day with transactions is left out or read twice, and none outside of the range is read."""
    state, resident = held
    found = planned(question, state, resident)
    if found is None:
        return
    known = {day for month in state.months for day in span(month.start, month.last)}
    low, high = question.first or date.min, question.last or date.max
    counted = Counter(day for read in found.reads for day in days_of(read) if day in known)
    assert counted == Counter(day for day in known if low <= day <= high)
    outside = [day for read in found.reads for day in days_of(read) if not low <= day <= high]
    assert outside == [] or question.source is Source.RAW


@random_plans
@given(questions, residents())
def test_no_read_but_transactions_touches_a_stale_month(
    question: Question, held: tuple[Directory, frozenset[Period]]
) -> None:
    """Neither its rollups, nor its page, nor those of its year."""
    state, resident = held
    found = planned(question, state, resident)
    used: set[Period] = set()
    for read in found.reads if found else ():
        if isinstance(read, ColumnsRead):
            assert set(read.months) <= resident
            within = [
                month
                for month in state.months
                for first, last in read.stretches
                if first <= month.last and month.start <= last
            ]
            assert sorted(within) == sorted(read.months)
            used |= set(within)
        elif isinstance(read, PagesRead):
            used |= {piece.period for piece in read.pieces}
        elif isinstance(read, RollupRead):
            used |= {month_of(each.start) if each.grain is Grain.DAY else each for each in read.periods}
    used |= {month for period in used for month in period.months}
    assert not used & {*state.stale_months, *state.stale_years}


@random_plans
@given(questions, directories())
def test_a_rollup_is_read_only_where_it_has_what_the_question_needs(question: Question, state: Directory) -> None:
    """It has all dimensions and the grain, slices and cells of these dimensions, and no period split by an interval."""
    found = planned(question, state)
    for read in (read for read in (found.reads if found else ()) if isinstance(read, RollupRead)):
        needed = {*needed_dimensions(question), *(each.dimension for each in question.filters)}
        assert needed == read.rollup.dimensions
        assert {each for each in (read.slice_by, read.cells_by) if each} == read.rollup.dimensions
        assert {period.grain for period in read.periods} <= set(read.rollup.grains)
        if read.slice_by is not None:  # days are kept for all transactions only
            assert Grain.DAY not in {period.grain for period in read.periods}
        if question.interval and read.cells_by is not DATE:
            for period in read.periods:
                assert question.interval.start(period.start) == question.interval.start(period.last)
                assert question.interval.start(period.start) in (period.start, question.interval.start(period.last))


@random_plans
@given(questions, directories())
def test_a_source_that_is_asked_for_is_the_only_one_read(question: Question, state: Directory) -> None:
    """Or it is refused with a reason."""
    if question.source is Source.AUTO:
        return
    try:
        found = plan(question, state)
    except SourceRefused as refused:
        assert refused.reasons  # noqa: PT017  the reasons are what is checked
    else:
        assert {read.source for read in found.reads} <= {question.source.value}


@random_plans
@given(questions, directories())
def test_auto_answers_whatever_can_be_asked(question: Question, state: Directory) -> None:
    """It is never refused, every read has a description, and every reason has a text."""
    found = plan(Question(**{**vars(question), "source": Source.AUTO}), state)
    assert all(str(read) for read in found.reads)
    assert all(name and reason for name, reason in found.refused)
    assert found.source == ("+".join(dict.fromkeys(read.source for read in found.reads)) or "none")
    assert all(read.cost_us >= 0 for read in found.reads)


@random_plans
@given(questions, residents())
def test_what_is_in_memory_is_read_from_memory(question: Question, held: tuple[Directory, frozenset[Period]]) -> None:
    """All of it and nothing else, where the source is free; and it alone where columns are asked for."""
    state, resident = held
    for source in (Source.AUTO, Source.COLUMNS):
        asked_for = Question(**{**vars(question), "source": source})
        found = planned(asked_for, state, resident)
        inside = set(state.months_between(question.first, question.last))
        if source is Source.COLUMNS:
            assert (found is None) == bool(inside - resident)
        read = {
            month for each in (found.reads if found else ()) if isinstance(each, ColumnsRead) for month in each.months
        }
        assert found is None or read == inside & resident


def test_the_cheaper_of_two_ways_through_a_pair_is_taken() -> None:
    """Few slices with many cells rather than many slices with few."""
    (read,) = plan(asked("top-states", filters=(Filter(HOUR, (3,)),)), TWO_YEARS).reads
    assert isinstance(read, RollupRead)
    assert (read.slice_by, read.cells_by) == (HOUR, STATE)


def test_a_plan_knows_no_years_that_are_not_built() -> None:
    """Fresh months of a year without rollups are read one by one."""
    state = Directory(TWO_YEARS.version, TWO_YEARS.months, frozenset(), TWO_YEARS.fresh_years)
    assert told(plan(asked(), state)) == ["segment by month 2022-01 to 2023-12 (24)"]
