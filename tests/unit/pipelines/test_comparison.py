"""Comparing with an earlier period: which days, which groups are matched, and how much has changed."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from catalog.dimensions import Vocabulary, day_number
from catalog.errors import BadValue, UnknownName
from catalog.measures import NOTHING, Parts
from catalog.purchases import DATE, HOUR, PURCHASES, STATE
from pipelines.answer.answer import Answer, arrange, change
from pipelines.answer.comparison import Span, compare, counterpart, halves, spans
from pipelines.ask.explore import exploration
from pipelines.ask.queries import BY_SLUG
from pipelines.ask.question import Comparison, Interval, Question, ask
from pipelines.derived.groups import Codes, Groups
from pipelines.plan.reads import Plan
from pipelines.state.version import Version

VOCABULARY: Vocabulary = PURCHASES.vocabulary
PERIOD, YEAR = Comparison.PREVIOUS_PERIOD, Comparison.PREVIOUS_YEAR
SEGMENTS = BY_SLUG["revenue-by-segment"]
BASIC, GOLD, MISSING, PLATINUM = 1, 2, 3, 4


def day(text: str) -> date:
    """A date."""
    return date.fromisoformat(text)


def numbered(text: str) -> int:
    """A date's code."""
    return day_number(day(text))


def asked(comparison: Comparison, first: str | None = None, last: str | None = None, **more: Any) -> Question:
    """A question that compares."""
    return Question(
        more.pop("query", SEGMENTS),
        day(first) if first else None,
        day(last) if last else None,
        compare=comparison,
        **more,
    )


@pytest.mark.parametrize(
    ("comparison", "first", "last", "before", "until"),
    [
        (PERIOD, "2024-03-01", "2024-03-31", "2024-01-30", "2024-02-29"),
        (PERIOD, "2024-01-01", "2024-01-01", "2023-12-31", "2023-12-31"),
        (PERIOD, "2024-01-01", "2024-12-31", "2022-12-31", "2023-12-31"),
        (YEAR, "2024-01-01", "2024-12-31", "2023-01-01", "2023-12-31"),
        (YEAR, "2024-02-29", "2024-02-29", "2023-02-28", "2023-02-28"),
        (YEAR, "2025-02-28", "2025-02-28", "2024-02-28", "2024-02-28"),
        (YEAR, "2024-02-29", "2025-02-28", "2023-02-28", "2024-02-28"),
        (YEAR, None, "2018-03-31", "2017-01-05", "2017-03-31"),
        (YEAR, "2024-06-01", None, "2023-06-01", "2024-01-30"),
        (PERIOD, None, None, "2010-12-10", "2018-01-04"),
        (YEAR, None, None, "2017-01-05", "2024-01-30"),
        (PERIOD, "2030-01-01", None, "2029-12-31", "2029-12-31"),
        (YEAR, None, "2001-01-01", "2000-01-01", "2000-01-01"),
    ],
)
def test_the_earlier_period(
    comparison: Comparison, first: str | None, last: str | None, before: str, until: str
) -> None:
    """The same number of days just before, or the same dates a year earlier; open ends are those of the data."""
    both = spans(asked(comparison, first, last), day("2018-01-05"), day("2025-01-30"))
    assert both
    assert both[1] == Span(day(before), day(until))


def test_without_data_an_open_end_is_the_other_end() -> None:
    """If neither end is given, there is no period."""
    assert spans(asked(PERIOD), None, None) is None
    assert spans(asked(YEAR, last="2024-03-31"), None, None) == (
        Span(*[day("2024-03-31")] * 2),
        Span(*[day("2023-03-31")] * 2),
    )


@pytest.mark.parametrize(
    ("comparison", "first", "last"),
    [(PERIOD, "0001-01-01", "0001-01-01"), (PERIOD, "0001-06-01", "9999-12-31"), (YEAR, "0001-12-31", "0001-12-31")],
)
def test_a_period_before_the_calendar_is_refused(comparison: Comparison, first: str, last: str) -> None:
    """The year 1 has no year before it."""
    with pytest.raises(BadValue) as caught:
        spans(asked(comparison, first, last), None, None)
    assert caught.value.parameter == "compare"


def test_an_unknown_comparison_is_refused_with_the_known_ones() -> None:
    """By name."""
    with pytest.raises(UnknownName) as caught:
        ask(SEGMENTS, {"compare": ["previous_month"]}, VOCABULARY)
    assert caught.value.allowed == ("previous_period", "previous_year")


@pytest.mark.parametrize("interval", list(Interval))
def test_intervals_are_counted_one_by_one(interval: Interval) -> None:
    """Each interval begins at the day of its number, and the next one has the next number."""
    for number in range(365 * 9):
        each = date(1999, 1, 1) + timedelta(days=number)
        start = interval.starting(interval.number(each))
        assert start == interval.start(each)
        assert interval.number(start - timedelta(days=1)) == interval.number(start) - 1


def test_days_and_intervals_are_paired_in_order() -> None:
    """For random periods, listing and pairing them gives the same result as counting."""
    seed = 66_2024
    print(f"seed {seed}")
    random = Random(seed)
    for _ in range(300):
        first = date(2019, 1, 1) + timedelta(days=random.randrange(1500))
        now = Span(first, first + timedelta(days=random.randrange(120)))
        question = asked(random.choice(list(Comparison)), str(now.first), str(now.last))
        both = spans(question, None, None)
        assert both
        for interval in Interval:
            those, these = (starts(interval, span) for span in (both[1], both[0]))
            split = asked(PERIOD, interval=interval)
            for number, start in enumerate(those):
                wanted = (numbered(these[number]), GOLD) if number < len(these) else None
                assert counterpart(split, *both, (numbered(start), GOLD)) == wanted


@pytest.mark.parametrize(
    ("first", "last", "then", "now"),
    [
        ("2024-02-01", "2024-03-31", "2023-02-28", "2024-02-28"),
        ("2024-02-01", "2024-03-31", "2023-03-01", "2024-03-01"),
        ("2024-02-29", "2024-03-31", "2023-02-28", "2024-02-29"),
        ("2024-02-29", "2024-03-31", "2023-03-01", "2024-03-01"),
        ("2025-02-01", "2025-03-31", "2024-02-29", None),
        ("2025-02-01", "2025-03-31", "2024-03-01", "2025-03-01"),
    ],
)
def test_beside_the_year_before_a_day_stands_with_its_date(first: str, last: str, then: str, now: str | None) -> None:
    """Also after a leap day, both as an interval and as a label."""
    question = asked(YEAR, first, last, interval=Interval.DAY)
    both = spans(question, None, None)
    assert both
    assert counterpart(question, *both, (numbered(then), GOLD)) == ((numbered(now), GOLD) if now else None)
    dated = asked(YEAR, first, last, query=exploration((DATE,)))
    assert counterpart(dated, *both, (numbered(then),)) == ((numbered(now),) if now else None)


def starts(interval: Interval, span: Span) -> list[str]:
    """The first days of a period's intervals."""
    days = (span.first + timedelta(days=number) for number in range((span.last - span.first).days + 1))
    return list(dict.fromkeys(interval.start(each).isoformat() for each in days))


def test_a_date_among_the_labels_moves_and_takes_its_interval_along() -> None:
    """The n-th days of both periods are matched, in the interval of the present day."""
    query = exploration((STATE, DATE, HOUR))
    both = Span(day("2024-03-01"), day("2024-03-03")), Span(day("2024-02-26"), day("2024-02-29"))
    question = asked(PERIOD, query=query, interval=Interval.MONTH)
    february, ohio = numbered("2024-02-01"), STATE.members.index("Ohio")
    moved = counterpart(question, *both, (february, ohio, numbered("2024-02-27"), 9))
    assert moved == (numbered("2024-03-01"), ohio, numbered("2024-03-02"), 9)
    assert counterpart(question, *both, (february, ohio, numbered("2024-02-29"), 9)) is None
    without = counterpart(asked(PERIOD, query=query), *both, (ohio, numbered("2024-02-26"), 9))
    assert without == (ohio, numbered("2024-03-01"), 9)


def test_both_halves_are_asked_for_without_limit() -> None:
    """A group may be within the limit in one period only."""
    question = asked(PERIOD, "2024-03-02", "2024-03-02", limit=3)
    both = spans(question, None, None)
    assert list(halves(question, both)) == [
        Question(SEGMENTS, day("2024-03-02"), day("2024-03-02")),
        Question(SEGMENTS, day("2024-03-01"), day("2024-03-01")),
    ]
    assert list(halves(question, None)) == [Question(SEGMENTS, day("2024-03-02"), day("2024-03-02"))]


def answered(question: Question, cells: dict[Codes, Parts], vocabulary: Vocabulary = VOCABULARY) -> Answer:
    """The answer that groups make."""
    rows, total, sentence = arrange(question, Groups.of(cells, question.width), vocabulary)
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    return Answer(question, {}, rows, total, sentence, Plan(()), Version("e", 1, 0), moment)


def together(
    question: Question, now: dict[Codes, Parts], then: dict[Codes, Parts], vocabulary: Vocabulary = VOCABULARY
) -> Answer:
    """The answer compared with the earlier one."""
    both = spans(question, None, None)
    one, other = halves(question, both)
    return compare(question, both, answered(one, now, vocabulary), answered(other, then, vocabulary), vocabulary)


NOW = {(BASIC,): Parts(4, 4, 300), (GOLD,): Parts(2, 1, 100), (MISSING,): Parts(1, 0, 0)}
THEN = {(BASIC,): Parts(3, 3, 400), (PLATINUM,): Parts(5, 5, 900), (MISSING,): Parts(1, 1, 0)}
COMPARED = asked(PERIOD, "2024-03-02", "2024-03-02")


def test_a_group_of_either_period_has_a_row() -> None:
    """A new group has no previous figures; one that is gone has zeros, and a change of -100%."""
    found = together(COMPARED, NOW, THEN)
    rows = {record["segment"]: record for record in found.records()}
    assert list(rows) == ["Basic", "Gold", "Missing", "Platinum"]
    assert rows["Gold"]["previous"] is None
    assert set(rows["Gold"]["change_percent"].values()) == {None}
    assert rows["Platinum"]["transactions"] == 0
    assert rows["Platinum"]["average_spend"] is None
    assert rows["Platinum"]["previous"] == {
        "transactions": 5, "priced_transactions": 5, "revenue": "9.00", "average_spend": "1.80",
    }  # fmt: skip
    assert rows["Platinum"]["change_percent"] == {
        "transactions": "-100.0", "priced_transactions": "-100.0", "revenue": "-100.0", "average_spend": None,
    }  # fmt: skip
    assert rows["Basic"]["change_percent"]["transactions"] == "33.3"
    assert rows["Basic"]["change_percent"]["revenue"] == "-25.0"
    assert rows["Missing"]["change_percent"]["revenue"] is None  # from zero there is no percentage
    assert rows["Missing"]["change_percent"]["transactions"] == "0.0"


def test_the_totals_are_compared_too() -> None:
    """Including rows that the limit cuts off."""
    totals = together(asked(PERIOD, "2024-03-02", "2024-03-02", limit=1), NOW, THEN).totals()
    assert (totals["transactions"], totals["previous"]["transactions"]) == (7, 9)
    assert str(totals["change_percent"]["transactions"]) == "-22.2"
    assert together(COMPARED, NOW, {}).totals()["previous"] is None


def test_the_limit_counts_the_groups_of_both_periods_together() -> None:
    """The first groups of the present period, each with its previous figures."""
    found = together(asked(PERIOD, "2024-03-02", "2024-03-02", limit=1), {(GOLD,): Parts(1, 1, 1)}, THEN)
    assert [(key, parts) for key, parts in found.rows] == [(("Gold",), Parts(1, 1, 1))]
    assert found.previous
    assert found.previous.rows == (None,)
    assert found.previous.total == Parts(9, 9, 1300)


def test_what_has_no_place_in_the_present_period_counts_in_the_totals_only() -> None:
    """A leap day compared with a year that has none."""
    question = asked(YEAR, "2025-01-01", "2025-12-31", query=BY_SLUG["daily-sales"])
    cells = {(day_number(date(2024, 2, number)),): Parts(1, 1, number) for number in (28, 29)}
    found = together(question, {}, cells)
    assert [key for key, _ in found.rows] == [("2025-02-28",)]
    assert found.previous
    assert (found.previous.rows, found.previous.total) == ((Parts(1, 1, 28),), Parts(2, 2, 57))


def test_a_comparison_without_any_period_is_empty() -> None:
    """An empty database, without dates."""
    question = asked(YEAR)
    empty = answered(next(halves(question, None)), {})
    found = compare(question, None, empty, empty, VOCABULARY)
    assert found.previous
    assert (found.rows, found.previous.first, found.previous.total) == ((), None, NOTHING)


@pytest.mark.parametrize(
    ("now", "before", "wanted"),
    [
        (1001, 2000, "-50.0"), (999, 2000, "-50.1"), (2001, 2000, "0.1"), (1999, 2000, "-0.1"), (4001, 4000, "0.0"),
        (3999, 4000, "0.0"), (3, 2, "50.0"), (1, 3, "-66.7"), (10**15, 1, "99999999999999900.0"), (0, 7, "-100.0"),
    ],
)  # fmt: skip
def test_a_change_is_rounded_half_away_from_zero_to_one_place(now: int, before: int, wanted: str) -> None:
    """1 of 2000 is 0.05%, shown as 0.1, up and down alike; zero has no sign."""
    found = change(Parts(now, now, now), Parts(before, before, before))
    assert [str(found[name]) for name in ("transactions", "priced_transactions", "revenue")] == [wanted] * 3


def test_the_columns_of_a_comparison_are_nested_or_flat() -> None:
    """Two objects in JSON; eight columns in a table, and each row has a value for each."""
    found = together(COMPARED, NOW, THEN)
    assert [column.name for column in found.columns][-2:] == ["previous", "change_percent"]
    names = [column.name for column in found.flat_columns]
    assert names[5:] == [
        *(f"previous_{name}" for name in names[1:5]), *(f"change_percent_{name}" for name in names[1:5]),
    ]  # fmt: skip
    records, rows = found.records(), list(found.tuples())
    for record, row in zip(records, rows, strict=True):
        flat = dict(zip(names, row, strict=True))
        shown = {name: str(value) if isinstance(value, Decimal) else value for name, value in flat.items()}
        for name in names[1:5]:
            assert shown[name] == record[name]
            assert shown[f"previous_{name}"] == (record["previous"] or {}).get(name)
            assert shown[f"change_percent_{name}"] == record["change_percent"][name]


def test_the_echo_says_the_comparison() -> None:
    """In the reply, and therefore in the ETag."""
    assert ask(SEGMENTS, {"compare": ["previous_year"]}, VOCABULARY).echo(VOCABULARY) == {"compare": "previous_year"}


TWICE: Vocabulary = {**VOCABULARY, "segment": ("Unknown", "Basic", "Unknown", "Gold", "BASIC")}
"""A vocabulary as a database could hold it before names were unique: two members are `Unknown`, and two `Basic`."""


def test_two_members_of_one_label_stay_two_rows() -> None:
    """Each with its previous figures: nothing is merged, and the rows add up to the totals of both periods."""
    now = {(0,): Parts(6, 6, 600), (2,): Parts(1, 1, 100), (4,): Parts(2, 2, 50)}
    then = {(0,): Parts(5, 5, 500), (2,): Parts(3, 3, 300), (1,): Parts(7, 7, 70)}
    found = together(COMPARED, now, then, TWICE)
    assert [key for key, _ in found.rows] == [("Unknown",), ("Unknown",), ("BASIC",), ("Basic",)]
    assert found.rows.codes == ((0,), (2,), (4,), (1,))
    assert found.previous
    assert found.previous.rows == (Parts(5, 5, 500), Parts(3, 3, 300), None, Parts(7, 7, 70))
    assert sum(parts.transactions for _, parts in found.rows) == found.total.transactions == 9
    before = [parts.transactions for parts in found.previous.rows if parts]
    assert sum(before) == found.previous.total.transactions == 15


@pytest.mark.parametrize("interval", [None, *Interval])
@pytest.mark.parametrize("comparison", [PERIOD, YEAR])
def test_whatever_the_labels_are_rows_add_up_to_the_totals(interval: Interval | None, comparison: Comparison) -> None:
    """With equal labels for all members, in every interval; and the sentence covers all intervals."""
    seed = 8_2024
    print(f"seed {seed}")
    random = Random(seed)
    question = asked(comparison, "2023-03-01", "2023-03-31", interval=interval)
    both = spans(question, None, None)
    assert both
    cells: list[dict[Codes, Parts]] = []
    for span in both:
        halved: dict[Codes, Parts] = {}
        for number in range((span.last - span.first).days + 1):
            each = span.first + timedelta(days=number)
            for code in range(4):
                codes = (*((day_number(interval.start(each)),) if interval else ()), code)
                if span is both[1] and counterpart(question, *both, codes) is None:
                    continue  # a day without a counterpart in the present period has no row
                halved[codes] = halved.get(codes, NOTHING).merge(Parts(random.randrange(1, 9), 1, 5))
        cells.append(halved)
    found = together(question, cells[0], cells[1], {**VOCABULARY, "segment": ("Unknown",) * 4})
    assert sum(parts.transactions for _, parts in found.rows) == found.total.transactions
    assert found.previous
    beside = sum(parts.transactions for parts in found.previous.rows if parts)
    assert beside == found.previous.total.transactions
