"""Arranging: labels, order, limit, totals; and the finished rows."""

from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from itertools import permutations
from typing import Any, cast

import pytest

from catalog.dimensions import day_number
from catalog.measures import NOTHING, REVENUE, Parts
from catalog.purchases import PURCHASES
from pipelines.answer.answer import Answer, Column, Told, arrange, finish
from pipelines.answer.table import labellers
from pipelines.ask.queries import BY_SLUG, QUERIES
from pipelines.ask.question import Interval, Question
from pipelines.derived.groups import Groups

VOCABULARY = PURCHASES.vocabulary
BASIC, GOLD, MISSING, PLATINUM = 1, 2, 3, 4
JANUARY, FEBRUARY = day_number(date(2024, 1, 1)), day_number(date(2024, 2, 1))


def question(slug: str, **more: Any) -> Question:
    """A question with only these parameters."""
    return Question(BY_SLUG[slug], **more)


def answer(asked: Question, cells: dict[tuple[int, ...], Parts]) -> Answer:
    """The answer for these groups."""
    rows, total, sentence = arrange(asked, Groups.of(cells, asked.width), VOCABULARY)
    return Answer(asked, {}, rows, total, sentence, cast(Any, None), 1, datetime(2024, 1, 1, tzinfo=UTC))


def labels(asked: Question, cells: dict[tuple[int, ...], Parts]) -> list[Any]:
    """The labels of the rows; without a tuple if there is only one per row."""
    return [key[0] if len(key) == 1 else key for key, _ in answer(asked, cells).rows]


def test_the_highest_measure_comes_first() -> None:
    """Revenue by segment is ordered by revenue, not by count or id."""
    cells = {(BASIC,): Parts(9, 9, 10), (GOLD,): Parts(1, 1, 30), (PLATINUM,): Parts(5, 5, 20)}
    assert labels(question("revenue-by-segment"), cells) == ["Gold", "Platinum", "Basic"]


def test_equal_measures_are_ordered_by_label_whatever_order_they_come_in() -> None:
    """Rows are totally ordered: by the label, not by the id, whose order here is another."""
    ids = {name: code for code, name in enumerate(VOCABULARY["payment_method"])}
    cells = {(ids[name],): Parts(2, 2, 2) for name in ("PayPal", "Unknown", "Card", "Other")}
    wanted = ["Card", "Other", "PayPal", "Unknown"]
    assert labels(question("transactions-by-payment-method"), cells) == wanted
    assert labels(question("transactions-by-payment-method"), dict(reversed(cells.items()))) == wanted


def test_averages_that_show_the_same_cent_are_equal() -> None:
    """Rows are ordered by the figures shown: 1.004 and 0.996 cents are both 0.01, so Female comes before Male."""
    cells = {(1,): Parts(1000, 1000, 996), (2,): Parts(1000, 1000, 1004)}
    assert labels(question("average-spend-by-gender"), cells) == ["Female", "Male"]


def test_groups_without_an_average_come_last() -> None:
    """Null is lower than zero."""
    cells = {(0,): Parts(1, 0, 0), (1,): Parts(1, 1, 0), (2,): Parts(1, 1, 5)}
    assert labels(question("average-spend-by-gender"), cells) == ["Male", "Female", "Unknown"]


def test_hours_are_in_the_order_of_the_day() -> None:
    """9 before 10: numerically, not as text."""
    assert labels(question("hourly-sales"), {(hour,): Parts(1, 1, 1) for hour in (10, 9, 23, 0)}) == [0, 9, 10, 23]


def test_the_busiest_of_equal_hours_is_the_earliest() -> None:
    """The sentence breaks ties as the rows do: hour 2 before hour 10."""
    assert answer(question("hourly-sales"), {(10,): Parts(3, 3, 3), (2,): Parts(3, 3, 3)}).sentence == (
        "The hour from 2:00 is busiest: 3 of 6 transactions (50.0%)."
    )


def test_dates_are_in_time() -> None:
    """As YYYY-MM-DD, in order."""
    cells = {(FEBRUARY,): Parts(1, 1, 1), (JANUARY,): Parts(1, 1, 9), (JANUARY - 1,): Parts(1, 1, 5)}
    assert labels(question("daily-sales"), cells) == ["2023-12-31", "2024-01-01", "2024-02-01"]


def test_an_interval_orders_first_and_the_measure_within_it() -> None:
    """By month, then by revenue, then by label."""
    asked = question("revenue-by-segment", interval=Interval.MONTH)
    cells = {
        (FEBRUARY, GOLD): Parts(1, 1, 99), (JANUARY, BASIC): Parts(1, 1, 1), (JANUARY, GOLD): Parts(1, 1, 2),
        (JANUARY, PLATINUM): Parts(1, 1, 1),
    }  # fmt: skip
    assert labels(asked, cells) == [
        ("2024-01-01", "Gold"), ("2024-01-01", "Basic"), ("2024-01-01", "Platinum"), ("2024-02-01", "Gold"),
    ]  # fmt: skip


def test_the_sentence_is_about_all_intervals_together() -> None:
    """Basic leads in neither month, but overall."""
    cells = {
        (JANUARY, BASIC): Parts(1, 1, 40), (JANUARY, GOLD): Parts(1, 1, 50),
        (FEBRUARY, BASIC): Parts(1, 1, 40), (FEBRUARY, PLATINUM): Parts(1, 1, 50),
    }  # fmt: skip
    told = answer(question("revenue-by-segment", interval=Interval.MONTH), cells).sentence
    assert told == "Basic earns most: $0.80 of $1.80 (44.4%)."


@pytest.mark.parametrize("interval", [None, Interval.MONTH])
def test_members_of_one_label_are_ordered_by_their_codes(interval: Interval | None) -> None:
    """Whatever order they come in, with equal measures too; and the one of the lowest code leads."""
    twice = {**VOCABULARY, "segment": ("Unknown", "Basic", "Gold", "Basic", "Basic")}
    bucket = (JANUARY,) if interval else ()
    for codes in permutations((1, 2, 3, 4)):
        asked = question("revenue-by-segment", interval=interval)
        cells = {(*bucket, code): Parts(code, 1, 5) for code in codes}
        found = arrange(asked, Groups.of(cells, asked.width), twice)
        assert [code for *_, code in found.rows.codes] == [1, 3, 4, 2]
        led = Told(asked, Groups.of(cells, asked.width), labellers(asked, twice)).leader(REVENUE)
        assert led == ("Basic", Parts(1, 1, 5))


def test_unknown_leads_only_where_it_is_alone() -> None:
    """Neither where it has most, nor beside an equal one."""
    told = partial(Told, question("revenue-by-segment"), label_of=labellers(question("revenue-by-segment"), VOCABULARY))
    for cells, leader in (
        ({(0,): Parts(9, 9, 9), (GOLD,): Parts(1, 1, 1), (BASIC,): Parts(1, 1, 1)}, "Basic"),
        ({(0,): Parts(9, 9, 9), (GOLD,): Parts(1, 1, 9)}, "Gold"),
        ({(0,): Parts(9, 9, 9)}, "Unknown"),
    ):
        led = told(groups=Groups.of(cells, 1)).leader(REVENUE)
        assert led
        assert led[0] == leader


def test_the_limit_cuts_rows_but_neither_the_totals_nor_the_sentence() -> None:
    """The total includes all matching rows, and shares are relative to it."""
    cells = {(state,): Parts(1, 1, 100 + state) for state in range(1, 11)}
    found = answer(question("top-states", limit=3), cells)
    assert [parts.cents for _, parts in found.rows] == [110, 109, 108]
    assert found.total == Parts(10, 10, 1055)
    assert found.sentence == "Georgia sells most: $1.10 of $10.55 (10.4%)."


def test_the_limit_holds_in_each_interval() -> None:
    """The best two of each month; a month with fewer shows those, and the totals include all."""
    asked = question("top-states", interval=Interval.MONTH, limit=2)
    cells = {(JANUARY, state): Parts(1, 1, state) for state in range(1, 5)} | {(FEBRUARY, 7): Parts(1, 1, 100)}
    found = answer(asked, cells)
    assert [(key[0], parts.cents) for key, parts in found.rows] == [
        ("2024-01-01", 4), ("2024-01-01", 3), ("2024-02-01", 100),
    ]  # fmt: skip
    assert found.total == Parts(5, 5, 110)


def test_no_limit_shows_all() -> None:
    """None means all rows."""
    assert len(labels(question("top-states"), {(state,): Parts(1, 1, 1) for state in range(51)})) == 51


def test_groups_without_transactions_are_absent() -> None:
    """Even if a source has an empty cell for them."""
    assert labels(question("revenue-by-segment"), {(BASIC,): Parts(1, 0, 0), (GOLD,): NOTHING}) == ["Basic"]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.slug)
def test_nothing_found_has_no_rows_and_zero_totals(query: Any) -> None:
    """For every query, including the summary."""
    found = answer(Question(query), {})
    assert not found.rows
    assert found.sentence == "No transactions match."
    assert finish(found.total) == {
        "transactions": 0, "priced_transactions": 0, "revenue": Decimal("0.00"), "average_spend": None,
    }  # fmt: skip


MEASURES = (
    Column("transactions", "integer"), Column("priced_transactions", "integer"), Column("revenue", "decimal", "USD"),
    Column("average_spend", "decimal", "USD"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("slug", "interval", "keys"),
    [
        ("revenue-by-segment", None, [Column("segment", "string")]),
        ("hourly-sales", None, [Column("hour", "integer")]),
        ("daily-sales", None, [Column("date", "date")]),
        ("overall-summary", None, []),
        ("overall-summary", Interval.YEAR, [Column("interval", "date")]),
        ("top-states", Interval.WEEK, [Column("interval", "date"), Column("state", "string")]),
    ],
)
def test_the_columns_are_the_interval_the_group_and_the_four_measures(
    slug: str, interval: Interval | None, keys: list[Column]
) -> None:
    """In this order, each with its type and unit."""
    assert answer(question(slug, interval=interval), {}).columns == (*keys, *MEASURES)


def test_a_record_has_a_value_for_each_column() -> None:
    """Money as text with two places, null where there is no average."""
    asked = question("revenue-by-segment", interval=Interval.YEAR)
    found = answer(asked, {(JANUARY, GOLD): Parts(2, 2, 155751), (JANUARY, MISSING): Parts(3, 0, 0)})
    assert found.records() == [
        {"interval": "2024-01-01", "segment": "Gold", "transactions": 2, "priced_transactions": 2,
         "revenue": "1557.51", "average_spend": "778.76"},
        {"interval": "2024-01-01", "segment": "Missing", "transactions": 3, "priced_transactions": 0,
         "revenue": "0.00", "average_spend": None},
    ]  # fmt: skip
    assert [list(record) for record in found.records()] == [[column.name for column in found.columns]] * 2
