"""Random questions of any shape, and their answers by counting one row at a time."""

from random import Random

from catalog.columns import NULL
from catalog.measures import Parts
from catalog.purchases import DATE, PURCHASES
from pipelines.ask.queries import ByKey, Query
from pipelines.ask.question import Filter, Interval, Question
from pipelines.ask.sentences import Summary
from tests.support.columns import Row


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
