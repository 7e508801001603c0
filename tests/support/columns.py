"""Transactions as codes and cents, and the same as columns."""

from collections.abc import Iterable
from random import Random

import numpy as np

from catalog.calendar import Period
from catalog.dimensions import day_number
from catalog.purchases import DATE, PURCHASES, STATE
from pipelines.derived.columns import NULL, Columns

Row = tuple[dict[str, int], int]


def random_rows(random: Random, month: Period, count: int, largest: int = 300_000, states: int = 51) -> list[Row]:
    """Random transactions as codes and cents; a tenth without an amount."""
    sizes = {each.name: len(each.members) for each in PURCHASES.filterable} | {STATE.name: states}
    first, last = day_number(month.start), day_number(month.last)
    rows = []
    for _ in range(count):
        codes = {name: random.randrange(random.randint(1, size)) for name, size in sizes.items()}
        codes[DATE.name] = random.randint(first, last)
        codes |= {part.name: part.code_of_day(codes[DATE.name]) for part in PURCHASES.parts}
        rows.append((codes, NULL if random.random() < 0.1 else random.randint(0, largest)))
    return sorted(rows, key=lambda row: row[0][DATE.name])


def columns_of(rows: Iterable[Row]) -> Columns:
    """The rows as columns."""
    rows = list(rows)
    codes = {each.name: np.array([codes[each.name] for codes, _ in rows], np.int64) for each in PURCHASES.dimensions}
    return Columns(codes, np.array([cents for _, cents in rows], np.int64))
