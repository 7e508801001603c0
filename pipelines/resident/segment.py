"""A segment: the fresh months of one year as columns sorted by day, with running sums for up to three dimensions.

Running sums answer without a look at any row: a range is the difference of two of their steps. The fewer dimensions,
the finer the steps: by day for none and one, by month for two, by year for three. They depend on the calendar and the
members alone, not on how many rows there are: 4 MB a year.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from math import prod

import numpy as np

from catalog.calendar import Period
from catalog.dimensions import day_number
from catalog.purchases import PURCHASES
from pipelines.derived.columns import Array, Columns
from pipelines.derived.slices import EXACT, sums
from pipelines.plan.cost import MOST_SUMMED

MOST_CELLS = 2**16
"""A combination of dimensions with more cells has no running sums: its rows are read instead."""

NAMES = tuple(dimension.name for dimension in PURCHASES.filterable)
Combination = tuple[str, ...]


@dataclass(frozen=True)
class Segment:
    """The transactions of the fresh months of a year.

    Attributes:
        year: which year.
        months: the months that it has, each with a number that stands for its rows.
        days: for each row the day of the year, from 0; ascending.
        codes: for each dimension but the date its codes, in one or two bytes.
        cents: the amounts, NULL where unknown.
        sizes: how many members each dimension has here: its largest code and one.
        running: for each combination of dimensions, in the order of NAMES, the sums up to and with each step:
            |steps| x transactions, priced, cents x |cells|.
    """

    year: int
    months: Mapping[Period, int]
    days: Array
    codes: Mapping[str, Array]
    cents: Array
    sizes: Mapping[str, int]
    running: Mapping[Combination, Array]

    def __len__(self) -> int:
        return len(self.days)

    @property
    def first_day(self) -> int:
        """The day number of 1 January."""
        return day_number(date(self.year, 1, 1))

    @property
    def nbytes(self) -> int:
        """Its size in bytes."""
        arrays = (self.days, self.cents, *self.codes.values(), *self.running.values())
        return sum(int(array.nbytes) for array in arrays)


class TooLarge(Exception):
    """The amounts of a year add up to more than doubles can hold exactly."""


def build(year: int, months: Mapping[Period, int], columns: Columns) -> Segment:
    """The segment of a year from the rows of some of its months, which are in the order of their days.

    Raises:
        TooLarge: its amounts add up to 2^53 cents or more.
    """
    if np.abs(columns.cents).sum(dtype=np.float64) >= EXACT:  # unknown amounts are added too, as -1
        raise TooLarge(f"the amounts of {year} add up to more than can be kept in columns")
    first = day_number(date(year, 1, 1))
    days = (columns.codes["date"] - first).astype(np.uint16)
    codes = {name: _narrow(columns.codes[name]) for name in NAMES}
    sizes = {name: int(each.max(initial=0)) + 1 for name, each in codes.items()}
    return Segment(year, months, days, codes, columns.cents, sizes, _running(year, days, codes, columns.cents, sizes))


def steps(year: int, count: int) -> Array:
    """The last day of each step of the running sums of so many dimensions, as days of the year."""
    last = day_number(date(year, 12, 31)) - day_number(date(year, 1, 1))
    if count < 2:
        return np.arange(last + 1)
    if count == 2:
        starts = [day_number(date(year, month, 1)) for month in range(2, 13)]
        return np.array([start - day_number(date(year, 1, 1)) - 1 for start in starts] + [last])
    return np.array([last])


def _running(
    year: int, days: Array, codes: Mapping[str, Array], cents: Array, sizes: Mapping[str, int]
) -> dict[Combination, Array]:
    step_of_day = {count: np.searchsorted(steps(year, count), np.arange(366)) for count in range(MOST_SUMMED + 1)}
    wide = {name: each.astype(np.int64) for name, each in codes.items()}
    running: dict[Combination, Array] = {}
    for count in range(MOST_SUMMED + 1):
        length = len(steps(year, count))
        step = step_of_day[count][days]
        for names in combinations(NAMES, count):
            cells = prod(sizes[name] for name in names)
            if cells > MOST_CELLS:
                continue
            keys = step if length > 1 else np.zeros(len(days), np.int64)
            for name in names:
                keys = keys * sizes[name] + wide[name]
            found = np.stack(sums(keys, cents, length * cells)).reshape(3, length, cells)
            running[names] = np.ascontiguousarray(found.transpose(1, 0, 2).cumsum(axis=0))
    return running


def _narrow(values: Array) -> Array:
    return values.astype(np.uint8 if values.max(initial=0) < 2**8 else np.uint16)
