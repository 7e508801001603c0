"""Running sums and shared columns beside today's pages: the same random questions, equal answers, CPU time."""

import random
import statistics
import time
from collections.abc import Callable, Mapping
from datetime import date
from functools import partial

import numpy as np

from catalog.dimensions import Dimension, date_of, day_number
from catalog.measures import Parts
from catalog.purchases import DATE, PURCHASES
from pipelines.ask.explore import exploration
from pipelines.ask.question import Filter, Interval, Question
from pipelines.derived.columns import Array, Columns
from pipelines.derived.pages import evaluate as from_pages
from pipelines.resident.evaluate import evaluate
from pipelines.resident.segment import Segment, build

YEARS = range(2018, 2026)
FIRST, LAST = day_number(date(YEARS[0], 1, 1)), day_number(date(YEARS[-1], 12, 31))
RUNS = 40
SIZES = {each.name: len(each.members) for each in PURCHASES.filterable}
Found = dict[tuple[int, ...], Parts]


def compare_columns(rows: int, seed: int = 1) -> Mapping[str, tuple[float, float]]:
    """Median CPU milliseconds of running sums and of pages, by class of question.

    Raises:
        AssertionError: their answers differ.
    """
    rng = random.Random(seed)  # noqa: S311  not for secrets
    columns = _random_columns(rows, seed)
    segments = [build(year, {}, _of_year(columns, year)) for year in YEARS]
    return {name: _in_turn(segments, columns, partial(make, rng)) for name, make in _CLASSES.items()}


def _in_turn(
    segments: list[Segment], columns: Columns, make: Callable[[], tuple[Question, int, int]]
) -> tuple[float, float]:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(RUNS):
        question, first, last = make()
        begin = time.thread_time()
        sums = _summed(segments, question, first, last)
        middle = time.thread_time()
        pages = from_pages(columns, question, first, last)
        times[0].append((middle - begin) * 1000)
        times[1].append((time.thread_time() - middle) * 1000)
        if sums != _by_interval(question, pages.as_dict()):
            raise AssertionError(f"different answers to {question}")
    return statistics.median(times[0]), statistics.median(times[1])


def _summed(segments: list[Segment], question: Question, first: int, last: int) -> Found:
    spans = [
        (segment, max(date_of(first), date(segment.year, 1, 1)), min(date_of(last), date(segment.year, 12, 31)))
        for segment in segments
    ]
    groups = evaluate([each for each in spans if each[1] <= each[2]], question, SIZES)
    parts = map(Parts, *groups.sums.tolist())
    keys = zip(*(each.tolist() for each in groups.keys), strict=True) if groups.keys else iter([()])
    return dict(zip(keys, parts, strict=False))


def _by_interval(question: Question, groups: Found) -> Found:
    if not question.interval:
        return groups
    found: Found = {}
    for (day, *codes), parts in groups.items():
        key = (day_number(question.interval.start(date_of(day))), *codes)
        found[key] = found[key].merge(parts) if key in found else parts
    return found


def _random_columns(rows: int, seed: int) -> Columns:
    rng = np.random.default_rng(seed)
    codes: dict[str, Array] = {
        each.name: rng.integers(0, len(each.members), rows).astype(np.uint8) for each in PURCHASES.filterable
    }
    codes[DATE.name] = np.sort(rng.integers(FIRST, LAST + 1, rows)).astype(np.int32)
    cents = rng.integers(-1, 300_000, rows).astype(np.int32)
    return Columns(codes, cents)


def _of_year(columns: Columns, year: int) -> Columns:
    days = columns.codes[DATE.name]
    bounds = np.searchsorted(days, [day_number(date(year, 1, 1)), day_number(date(year + 1, 1, 1))])
    within = slice(*bounds.tolist())
    return Columns({name: each[within] for name, each in columns.codes.items()}, columns.cents[within])


def _days(rng: random.Random) -> tuple[int, int]:
    first, last = sorted(rng.randint(FIRST, LAST) for _ in range(2))
    return first, last


def _by(rng: random.Random, count: int) -> tuple[Dimension, ...]:
    return tuple(rng.sample(PURCHASES.filterable, count))


def _filters(rng: random.Random, count: int) -> tuple[Filter, ...]:
    return tuple(Filter(each, (rng.randrange(len(each.members)),)) for each in _by(rng, count))


_CLASSES: Mapping[str, Callable[[random.Random], tuple[Question, int, int]]] = {
    "one dimension, all time": lambda rng: (Question(exploration(_by(rng, 1))), FIRST, LAST),
    "one dimension, a range": lambda rng: (Question(exploration(_by(rng, 1))), *_days(rng)),
    "one filter, a range": lambda rng: (Question(exploration(_by(rng, 1)), filters=_filters(rng, 1)), *_days(rng)),
    "three filters, a range": lambda rng: (Question(exploration(_by(rng, 1)), filters=_filters(rng, 3)), *_days(rng)),
    "two dimensions, a range": lambda rng: (Question(exploration(_by(rng, 2))), *_days(rng)),
    "three dimensions, all time": lambda rng: (Question(exploration(_by(rng, 3))), FIRST, LAST),
    "three dimensions, by year": lambda rng: (
        Question(exploration(_by(rng, 3)), interval=Interval.YEAR), FIRST, LAST,
    ),
    "days, all time": lambda rng: (Question(exploration((DATE,))), FIRST, LAST),
}  # fmt: skip
