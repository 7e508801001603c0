"""Periods, and the smallest tiling of a date range with them. Pure.

A year consists of its months and a month of its days, so the greedy tiling is the smallest one: whole
years that lie within the range, then whole months, and the rest as parts of a month.
"""

from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import cached_property, lru_cache

ONE_DAY = timedelta(days=1)


class Grain(StrEnum):
    """How long a period is."""

    DAY = "day"
    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, order=True)
class Period:
    """A whole day, month or year.

    Attributes:
        start: its first day.
        grain: how long it is.
    """

    start: date
    grain: Grain

    def __hash__(self) -> int:
        """The hash of the day alone: a plan looks up hundreds of periods, and hashing the grain is slow."""
        return hash(self.start)

    @cached_property
    def last(self) -> date:
        """Its last day."""
        if self.grain is Grain.DAY:
            return self.start
        if self.grain is Grain.MONTH:
            return self.start.replace(day=monthrange(self.start.year, self.start.month)[1])
        return self.start.replace(month=12, day=31)

    @cached_property
    def name(self) -> str:
        """2024, 2024-03 or 2024-03-15."""
        return self.start.isoformat()[: {Grain.YEAR: 4, Grain.MONTH: 7, Grain.DAY: 10}[self.grain]]

    @cached_property
    def months(self) -> tuple["Period", ...]:
        """The months of a year; of a month, itself."""
        if self.grain is Grain.YEAR:
            return tuple(Period(self.start.replace(month=month), Grain.MONTH) for month in range(1, 13))
        return (month_of(self.start),)

    @property
    def days(self) -> tuple["Period", ...]:
        """Its days."""
        return days_between(self.start, self.last)


@dataclass(frozen=True, order=True)
class Piece:
    """The part of a range that lies in one period: the whole period, or some days of a month."""

    first: date
    last: date
    period: Period

    @property
    def is_whole(self) -> bool:
        """Whether it covers its whole period."""
        return self.first == self.period.start and self.last == self.period.last


@lru_cache(maxsize=1 << 14)
def month_of(day: date) -> Period:
    """The month that a day is in."""
    return Period(day.replace(day=1), Grain.MONTH)


@lru_cache(maxsize=1 << 14)
def year_of(day: date) -> Period:
    """The year that a day is in."""
    return Period(day.replace(month=1, day=1), Grain.YEAR)


def parse(name: str) -> Period:
    """The period of a name such as 2024 or 2024-03."""
    grain = Grain.YEAR if len(name) == 4 else Grain.MONTH
    return Period(date.fromisoformat(f"{name}-01-01"[:10] if grain is Grain.YEAR else f"{name}-01"), grain)


def tile(first: date, last: date, usable: Callable[[Period], bool] = lambda year: True) -> Iterator[Piece]:
    """Tile the days from `first` to `last`, both inclusive, by whole years, whole months and parts of months.

    Attributes:
        usable: whether a whole year may be used as one piece; otherwise its months are.
    """
    day = first
    while day <= last:
        year = year_of(day)
        period = year if day == year.start and year.last <= last and usable(year) else month_of(day)
        end = min(period.last, last)
        yield Piece(day, end, period)
        if end == date.max:
            return
        day = end + ONE_DAY


def days_between(first: date, last: date) -> tuple[Period, ...]:
    """The days from `first` to `last`, both inclusive."""
    return tuple(Period(first + timedelta(days=number), Grain.DAY) for number in range((last - first).days + 1))
