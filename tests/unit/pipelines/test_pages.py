"""Pages: packed and unpacked without loss; answers from them equal counting row by row."""

from datetime import date
from random import Random
from typing import Any

import bson
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.calendar import parse
from catalog.dimensions import date_of, day_number
from catalog.measures import Parts
from catalog.purchases import DATE, GENDER, MAX_AMOUNT_CENTS, PURCHASES, STATE
from pipelines.ask.queries import ByKey, Query
from pipelines.ask.question import Filter, Interval, Question
from pipelines.ask.sentences import Summary
from pipelines.derived import pages
from pipelines.derived.columns import NULL, Columns
from pipelines.derived.pages import evaluate, pack, unpack
from tests.support.columns import Row, columns_of, random_rows

MARCH, APRIL = parse("2024-03"), parse("2024-04")


def same(one: Columns, other: Columns) -> bool:
    """Whether two sets of columns have the same values, whatever their types."""
    return one.cents.tolist() == other.cents.tolist() and all(
        one.codes[each.name].tolist() == other.codes[each.name].tolist() for each in PURCHASES.dimensions
    )


def through_bson(columns: Columns, month: Any = MARCH, built: int = 3) -> list[dict[str, Any]]:
    """The pages of a month as MongoDB would return them."""
    return [bson.decode(bson.encode(page)) for page in pack(columns, month, built)]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 80), st.sampled_from([1, 2**31 - 1, 2**31, MAX_AMOUNT_CENTS]),
       st.sampled_from([3, 256, 257, 2**16]))  # fmt: skip
def test_what_is_packed_is_unpacked(seed: int, count: int, largest: int, states: int) -> None:
    """Members below and above 255, amounts below and above 2^31, unknown amounts."""
    columns = columns_of(random_rows(Random(seed), MARCH, count, largest, states))
    assert same(unpack(through_bson(columns)), columns)


def test_more_than_255_members_and_large_amounts_are_kept() -> None:
    """The extremes: code 65,535, and the largest amount together with an unknown one."""
    rows = random_rows(Random(1), MARCH, 6)
    for (codes, _), state in zip(rows, (0, 255, 256, 257, 2**16 - 1, 1), strict=True):
        codes[STATE.name] = state
    amounts = (NULL, 0, 2**31 - 1, 2**31, MAX_AMOUNT_CENTS, 1)
    columns = columns_of([(codes, cents) for (codes, _), cents in zip(rows, amounts, strict=True)])
    (page,) = through_bson(columns)
    assert same(unpack([page]), columns)
    assert len(page["columns"]["state"]) == 2 * 6
    assert len(page["columns"]["cents"]) == 8 * 6
    assert len(page["columns"]["gender"]) == 6


def test_a_month_is_split_into_parts_and_put_together_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of seven rows, with different widths; in the order of `part` they are the month."""
    monkeypatch.setattr(pages, "PART_ROWS", 7)
    rows = random_rows(Random(2), MARCH, 24, states=5)
    rows[20] = (rows[20][0] | {STATE.name: 300}, MAX_AMOUNT_CENTS)
    columns = columns_of(rows)
    found = through_bson(columns)
    assert [(page["part"], page["rows"]) for page in found] == [(0, 7), (1, 7), (2, 7), (3, 3)]
    assert len({page["_id"] for page in found}) == 4
    assert same(unpack(found), columns)


def test_the_months_of_a_block_follow_each_other() -> None:
    """Pages of two months: dates are day numbers again, in order."""
    march, april = (random_rows(Random(3), month, 20) for month in (MARCH, APRIL))
    found = unpack([*through_bson(columns_of(march)), *through_bson(columns_of(april), APRIL)])
    assert same(found, columns_of([*march, *april]))
    assert (np.diff(found.codes[DATE.name]) >= 0).all()


def test_no_rows_make_no_page_and_no_page_no_rows() -> None:
    """The empty month."""
    assert list(pack(columns_of([]), MARCH, 1)) == []
    assert len(unpack([])) == 0
    question = Question(Query("any", "", "", (GENDER,), ByKey(), Summary()))
    assert len(evaluate(unpack([]), question, 0, 99_999)) == 0


def test_a_page_says_what_it_was_built_of() -> None:
    """Month, version, rows."""
    (page,) = through_bson(columns_of(random_rows(Random(4), MARCH, 9)), built=17)
    assert (page["_id"], page["month"].date(), page["built"], page["rows"]) == ("2024-03:0", date(2024, 3, 1), 17, 9)


# Evaluation.


def naively(rows: list[Row], question: Question, first: int, last: int) -> dict[tuple[int, ...], Parts]:
    """Filter and group one row at a time."""
    found: dict[tuple[int, ...], Parts] = {}
    for codes, cents in rows:
        if not first <= codes[DATE.name] <= last:
            continue
        if any((codes[each.dimension.name] in each.codes) == each.negated for each in question.filters):
            continue
        dimensions = (*((DATE,) if question.interval else ()), *question.query.by)
        key = tuple(codes[each.name] for each in dimensions)
        found[key] = found.get(key, Parts(0, 0, 0)).merge(Parts(1, int(cents != NULL), max(cents, 0)))
    return found


def random_question(random: Random) -> Question:
    """Up to three dimensions and three filters, some with codes that do not occur."""
    by = tuple(random.sample(PURCHASES.dimensions, random.choice((0, 1, 1, 2, 3))))
    filters = tuple(
        Filter(each, tuple(sorted(random.sample(range(70), random.randint(1, 40)))), random.random() < 0.5)
        for each in random.sample(PURCHASES.filterable, random.choice((0, 0, 1, 2, 3)))
    )
    interval = random.choice((None, *Interval))
    return Question(Query("any", "", "", by, ByKey(), Summary()), None, None, filters, interval)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_an_answer_from_pages_is_what_counting_row_by_row_gives(seed: int, is_packed: bool) -> None:
    """Random rows, questions and ranges, from columns as read and from columns as unpacked."""
    random = Random(seed)
    rows = random_rows(random, MARCH, random.randint(1, 80), random.choice((1, MAX_AMOUNT_CENTS)), 60)
    rows += random_rows(random, APRIL, random.randint(0, 40))
    columns = columns_of(rows)
    if is_packed:
        halves = [columns_of([row for row in rows if date_of(row[0]["date"]).month == each]) for each in (3, 4)]
        columns = unpack([*through_bson(halves[0]), *through_bson(halves[1], APRIL)])
    first, last = sorted(random.choices(range(day_number(MARCH.start) - 3, day_number(APRIL.last) + 3), k=2))
    question = random_question(random)
    assert evaluate(columns, question, first, last).as_dict() == naively(rows, question, first, last)


def test_groups_too_many_for_a_table_are_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The method for sparse groups gives the same result as the one for dense groups."""
    rows = random_rows(Random(5), MARCH, 300)
    query = Query("any", "", "", (STATE, DATE, GENDER), ByKey(), Summary())
    question = Question(query, interval=Interval.WEEK)
    dense = evaluate(columns_of(rows), question, 0, 99_999).as_dict()
    monkeypatch.setattr(pages, "MAX_GROUPS", 10)
    assert evaluate(columns_of(rows), question, 0, 99_999).as_dict() == dense == naively(rows, question, 0, 99_999)


def test_pages_add_up_beyond_2_to_the_53_exactly() -> None:
    """100,000 of the largest amounts and one cent."""
    count = 100_001
    zeros = np.zeros(count, np.int64)
    codes = {each.name: zeros for each in PURCHASES.dimensions} | {DATE.name: zeros + day_number(MARCH.start)}
    cents = np.full(count, MAX_AMOUNT_CENTS, np.int64)
    cents[-1] = 1
    question = Question(Query("any", "", "", (), ByKey(), Summary()))
    found = evaluate(unpack(through_bson(Columns(codes, cents))), question, 0, 99_999).as_dict()
    assert found == {(): Parts(count, count, MAX_AMOUNT_CENTS * 100_000 + 1)}
    assert found[()].cents > 2**53
