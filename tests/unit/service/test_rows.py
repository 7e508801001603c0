"""Rows as JSON text are what their records are as JSON."""

import json
from datetime import UTC, date, datetime
from random import Random

import pytest

from catalog.dimensions import day_number
from catalog.measures import AVERAGE_SPEND, MEASURES, Parts
from catalog.purchases import PURCHASES
from pipelines.answer.answer import Answer, arrange
from pipelines.answer.table import figures
from pipelines.ask.queries import QUERIES, Query
from pipelines.ask.question import Interval, Question
from pipelines.derived.groups import Codes, Groups
from pipelines.plan.reads import Plan
from pipelines.state.version import Version
from service.api.rows import row_texts

FIRST = day_number(date(2024, 2, 27))
LARGEST = 2**62


def random_parts(random: Random) -> Parts:
    """Small and very large sums, and groups of which nothing is priced."""
    priced = random.choice((0, 1, 2, 3, 7, random.randrange(1, 10**6)))
    cents = random.choice((0, 1, random.randrange(10**6), random.randrange(LARGEST))) if priced else 0
    return Parts(priced + random.randrange(1, 5), priced, cents)


@pytest.mark.parametrize("interval", [None, Interval.DAY, Interval.MONTH])
@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.slug)
def test_rows_as_text_are_their_records_as_json(query: Query, interval: Interval | None) -> None:
    """To the letter: labels, money with two places, null for no average."""
    random = Random(f"{query.slug} {interval}")
    question = Question(query, interval=interval)
    groups: dict[Codes, Parts] = {}
    for _ in range(40):
        codes = tuple(
            FIRST + random.randrange(90) if each.is_date else random.randrange(len(each.members)) for each in query.by
        )
        key = (FIRST + random.randrange(90), *codes) if interval else codes
        groups[key] = random_parts(random)
        groups = groups if sum(each.cents for each in groups.values()) < LARGEST else {key: groups[key]}
    rows, total, sentence = arrange(question, Groups.of(groups, question.width), PURCHASES.vocabulary)
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    found = Answer(question, {}, rows, total, sentence, Plan(()), Version("e", 1, 0), moment)
    assert row_texts(found) == [json.dumps(record) for record in found.records()]


def test_figures_of_many_groups_are_those_of_each() -> None:
    """Of every measure, with averages that end in half a cent."""
    random = Random(3)
    parts = [random_parts(random) for _ in range(2_000)] + [Parts(2, 2, 1), Parts(2, 2, 3), Parts(8, 8, 4)]
    sums = Groups.of({(number,): each for number, each in enumerate(parts)}, 1).sums
    for measure in MEASURES:
        wanted = [measure.whole(each) for each in parts]
        assert figures(measure, sums).tolist() == [-1 if each is None else each for each in wanted]
    assert figures(AVERAGE_SPEND, sums)[-3:].tolist() == [1, 2, 1]
