"""Random questions as URLs, the same for the same seed, none of them twice: no reply can have been kept from before."""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import urlencode

from bench.peers.asked import DIMENSIONS
from catalog.purchases import PURCHASES
from loader.sample import DAYS, FIRST_DAY

EXPLORE = "/v1/explore"
FIRST = FIRST_DAY.astype(date).date()
SHORTEST_DAYS = 30
LIMITS = range(1_000, 100_000)
"""Higher than the number of groups of any one dimension: nothing is cut off, but each makes another question."""

EARLIEST = date(1900, 1, 1)
Parameters = list[tuple[str, str]]


@dataclass(frozen=True)
class Class:
    """A class of questions.

    Attributes:
        name: what the tables call it.
        draw: makes one.
        of_mix: whether the mix of many clients has it.
        path: what is asked.
        is_ours: whether only this service answers it.
    """

    name: str
    draw: Callable[[random.Random], Parameters]
    of_mix: bool = True
    path: str = EXPLORE
    is_ours: bool = False


def _by(drawn: random.Random, number: int) -> Parameters:
    return [("by", name) for name in drawn.sample(DIMENSIONS, number)]


def _range(drawn: random.Random) -> Parameters:
    length = drawn.randrange(SHORTEST_DAYS, DAYS)
    first = FIRST + timedelta(drawn.randrange(DAYS - length + 1))
    return [("from", first.isoformat()), ("to", (first + timedelta(length - 1)).isoformat())]


def _filtered(drawn: random.Random, filters: int) -> Parameters:
    """One dimension, a range, and filters on other dimensions."""
    by, *others = drawn.sample(DIMENSIONS, 1 + filters)
    values = [(name, drawn.choice(PURCHASES.by_name[name].members[1:])) for name in others]
    return [("by", by), *_range(drawn), *values]


def _all_time(drawn: random.Random) -> Parameters:
    return [*_by(drawn, 1), ("limit", str(drawn.choice(LIMITS)))]


def _worst(drawn: random.Random) -> Parameters:
    """All days: they begin long after this one."""
    first = EARLIEST + timedelta(drawn.randrange((FIRST - EARLIEST).days))
    by = [("by", name) for name in ("state", "hour", "age_group")]
    return [*by, ("interval", "year"), ("from", first.isoformat())]


CLASSES = (
    Class("all time", _all_time),
    Class("a range", lambda drawn: [*_by(drawn, 1), *_range(drawn)]),
    Class("one filter", lambda drawn: _filtered(drawn, 1)),
    Class("three filters", lambda drawn: _filtered(drawn, 3)),
    Class("two dimensions", lambda drawn: [*_by(drawn, 2), *_range(drawn)]),
    Class("three dimensions", lambda drawn: [*_by(drawn, 3), *_range(drawn)]),
    Class("daily", lambda drawn: [("by", "date"), *_range(drawn)]),
    Class("the worst", _worst, of_mix=False),
    Class("the dashboard", _range, of_mix=False, path="/v1/dashboard", is_ours=True),
)
"""Filters and several dimensions come with a range; the worst is state, hour and age group by year, of all days."""


def questions(seed: int) -> Mapping[str, Iterator[str]]:
    """An endless row of paths for each class, without repetition."""
    return {each.name: _paths(each, seed) for each in CLASSES}


def mix(of: Mapping[str, Iterator[str]]) -> Iterator[str]:
    """All classes of the mix in turn."""
    names = [each.name for each in CLASSES if each.of_mix]
    while True:
        for name in names:
            yield next(of[name])


def _paths(of: Class, seed: int) -> Iterator[str]:
    drawn = random.Random(f"{seed} {of.name}")  # noqa: S311  repeatable
    given: set[str] = set()
    while True:
        path = f"{of.path}?{urlencode(of.draw(drawn))}"
        if path not in given:
            given.add(path)
            yield path
