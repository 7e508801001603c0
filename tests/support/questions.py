"""Random questions, and the contents of their answers."""

import os
import time
from datetime import date
from random import Random
from typing import Any

from catalog.dimensions import Vocabulary
from catalog.measures import AVERAGE_SPEND, REVENUE, TRANSACTION_COUNT
from catalog.purchases import PURCHASES
from pipelines.answer.answer import Answer
from pipelines.ask.queries import QUERIES, ByKey, Descending, Query
from pipelines.ask.question import NEGATION, Interval, Question, Source
from pipelines.ask.sentences import Leader
from tests.support.rows import random_days

SEED = int(os.environ.get("SOURCES_SEED") or time.time_ns() % 2**32)
"""The seed of random data and questions; SOURCES_SEED=... repeats a run."""

Parameters = dict[str, list[str]]


def random_parameters(random: Random, vocabulary: Vocabulary, *, most_filters: int = 4) -> Parameters:
    """Random parameters: any or none of ranges, filters, negations, intervals and limits."""
    chosen: Parameters = {}
    if random.random() < 0.6:
        days = sorted(random_days(random, 2, date(2019, 10, 20), 940))
        if random.random() < 0.3:  # whole months and years suit the rollups best
            days = [days[0].replace(day=1), days[1].replace(month=12, day=31)]
        if random.random() < 0.8:
            chosen["from"] = [days[0].isoformat()]
        if random.random() < 0.8:
            chosen["to"] = [days[1].isoformat()]
    for each in random.sample(PURCHASES.filterable, random.choice((0, 0, 1, 1, 2, most_filters))):
        name = random.choice((each.name, NEGATION + each.name))
        members = vocabulary[each.name]
        chosen[name] = random.sample([str(member) for member in members], random.randint(1, min(len(members), 4)))
        if random.random() < 0.1:
            chosen[each.name] = chosen[NEGATION + each.name] = chosen[name]
    if random.random() < 0.4:
        chosen["interval"] = [random.choice(list(Interval)).value]
    if random.random() < 0.4:
        chosen["limit"] = [random.choice(("1", "3", "7", "100000"))]
    return chosen


def random_query(random: Random) -> Query:
    """A declared query, or an undeclared one with up to three dimensions."""
    if random.random() < 0.7:
        return random.choice(QUERIES)
    by = tuple(random.sample(PURCHASES.dimensions, random.choice((2, 2, 2, 3))))
    order = random.choice((ByKey(), *(Descending(each) for each in (REVENUE, TRANSACTION_COUNT, AVERAGE_SPEND))))
    return Query("of-the-moment", "", "", by, order, Leader(TRANSACTION_COUNT, "{} leads"), limit=50)


def with_source(question: Question, source: Source) -> Question:
    """The same question from another source."""
    return Question(**{**vars(question), "source": source})


def content(found: Answer) -> tuple[Any, ...]:
    """The contents of an answer, whatever it was read from."""
    return found.rows, found.total, found.sentence
