"""A question: a query with a date range, filters and options. Built from request text, holding none of it.

Every text is looked up here, in the vocabulary or in a fixed list, and replaced by a code, a date or an
enum. So what the compiler turns into a pipeline are our own values, whatever a client sends.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

from catalog.dimensions import Dimension, Vocabulary
from catalog.errors import BadValue, UnknownName
from catalog.labels import index, key
from catalog.purchases import PURCHASES
from pipelines.ask.explore import BY, EXPLORE
from pipelines.ask.queries import BY_SLUG, Query

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
MAX_REPLY_ROWS = 100_000
NEGATION = "not_"
BUCKET = "interval"
"""The column that tells an interval's first day."""


class Interval(StrEnum):
    """The stretch of time that splits an answer into one set of rows each."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"

    def start(self, day: date) -> date:
        """The first day of the interval that a day is in; weeks begin on Monday."""
        if self is Interval.DAY:
            return day
        if self is Interval.WEEK:
            return day - timedelta(days=day.weekday())
        if self is Interval.YEAR:
            return day.replace(month=1, day=1)
        return day.replace(month=day.month if self is Interval.MONTH else (day.month - 1) // 3 * 3 + 1, day=1)

    def number(self, day: date) -> int:
        """Which interval of the calendar a day is in, counted from any beginning."""
        if self is Interval.DAY:
            return day.toordinal()
        if self is Interval.WEEK:
            return (day.toordinal() - 1) // 7  # 0001-01-01 is a Monday
        if self is Interval.MONTH:
            return day.year * 12 + day.month - 1
        return day.year * 4 + (day.month - 1) // 3 if self is Interval.QUARTER else day.year

    def starting(self, number: int) -> date:
        """The first day of an interval, by the number that `number` gives."""
        if self is Interval.DAY:
            return date.fromordinal(number)
        if self is Interval.WEEK:
            return date.fromordinal(number * 7 + 1)
        if self is Interval.MONTH:
            return date(number // 12, number % 12 + 1, 1)
        return date(number // 4, number % 4 * 3 + 1, 1) if self is Interval.QUARTER else date(number, 1, 1)


class Source(StrEnum):
    """What an answer is read from; AUTO takes the cheapest that is exact."""

    AUTO = "auto"
    COLUMNS = "columns"
    ROLLUP = "rollup"
    PAGES = "pages"
    RAW = "raw"


class Comparison(StrEnum):
    """The earlier period beside which an answer is set: so many days just before it, or the same dates a year ago."""

    PREVIOUS_PERIOD = "previous_period"
    PREVIOUS_YEAR = "previous_year"


@dataclass(frozen=True)
class Filter:
    """Keeps the transactions whose member of `dimension` is (or, negated, is not) among `codes`."""

    dimension: Dimension
    codes: tuple[int, ...]
    negated: bool = False

    @property
    def parameter(self) -> str:
        """The request parameter that says this."""
        return NEGATION * self.negated + self.dimension.name


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        query: the query.
        first, last: the range of days, both inclusive; None is open.
        filters: all of them must hold.
        interval: split along time, or None.
        limit: at most so many rows, in each interval where there are intervals; None gives all.
        source: what to read.
        compare: the earlier period to compare with, or None.
    """

    query: Query
    first: date | None = None
    last: date | None = None
    filters: tuple[Filter, ...] = ()
    interval: Interval | None = None
    limit: int | None = None
    source: Source = Source.AUTO
    compare: Comparison | None = None

    @property
    def width(self) -> int:
        """How many codes identify a group: one for the interval, if there is one, and one for each dimension."""
        return len(self.query.by) + (self.interval is not None)

    def echo(self, vocabulary: Vocabulary) -> dict[str, Any]:
        """The parameters in their canonical form, for the reply."""
        said: dict[str, Any] = {}
        if self.query.slug == EXPLORE:
            said[BY] = [dimension.name for dimension in self.query.by]
        if self.first:
            said["from"] = self.first.isoformat()
        if self.last:
            said["to"] = self.last.isoformat()
        for each in self.filters:
            labels = (each.dimension.label_of(code, vocabulary) for code in each.codes)
            said[each.parameter] = list(dict.fromkeys(labels))
        if self.interval:
            said["interval"] = self.interval.value
        if self.compare:
            said["compare"] = self.compare.value
        if self.limit is not None:
            said["limit"] = self.limit
        return said


Parameters = Mapping[str, Sequence[str]]
"""Parameter name to the values given, as text."""

FILTER_PARAMETERS = tuple(prefix + dimension.name for dimension in PURCHASES.filterable for prefix in ("", NEGATION))
PARAMETERS = ("from", "to", *FILTER_PARAMETERS, "interval", "compare", "limit", "source")
EXPLORE_PARAMETERS = (BY, *PARAMETERS)
DASHBOARD_PARAMETERS = ("from", "to", *FILTER_PARAMETERS, "compare")


def find_query(slug: str) -> Query:
    """The query of that name.

    Raises:
        UnknownName: there is none.
    """
    try:
        return BY_SLUG[slug]
    except KeyError:
        raise UnknownName("query", slug, BY_SLUG) from None


def ask(
    query: Query, parameters: Parameters, vocabulary: Vocabulary, allowed: Collection[str] | None = None
) -> Question:
    """Turn parameters as text into a question; `allowed` are those that it may have, if not all.

    Raises:
        UnknownName: a parameter or one of its values is unknown.
        BadValue: a date or a limit is not valid, or `from` is after `to`.
    """
    allowed = allowed or (EXPLORE_PARAMETERS if query.slug == EXPLORE else PARAMETERS)
    for name in parameters:
        if name not in allowed:
            raise UnknownName("parameter", name, allowed)
    first, last = (
        _date(name, value) if (value := _single(name, parameters)) is not None else None for name in ("from", "to")
    )
    if first and last and first > last:
        raise BadValue("from", first.isoformat(), f"{first} is after `to` ({last}).")
    filters = tuple(_filter(name, parameters[name], vocabulary) for name in FILTER_PARAMETERS if name in parameters)
    interval, source, limit, compare = (
        _single(name, parameters) for name in ("interval", "source", "limit", "compare")
    )
    return Question(
        query,
        first,
        last,
        filters,
        Interval(_choice("interval", interval, [each.value for each in Interval])) if interval is not None else None,
        _limit(limit) if limit is not None else query.limit,
        Source(_choice("source", source, [each.value for each in Source])) if source is not None else Source.AUTO,
        Comparison(_choice("compare", compare, [each.value for each in Comparison])) if compare is not None else None,
    )


def _single(name: str, parameters: Parameters) -> str | None:
    values = parameters.get(name, ())
    if len(values) > 1:
        raise BadValue(name, ", ".join(values), f"{len(values)} values were given, only one is allowed.")
    return values[0] if values else None


def _date(name: str, value: str) -> date:
    problem = f"{value!r} is not a valid date (expected YYYY-MM-DD)."
    if not _ISO_DATE.fullmatch(value):  # fromisoformat also takes 20240105 and 2024-W01-5
        raise BadValue(name, value, problem)
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise BadValue(name, value, problem) from None


def _limit(value: str) -> int:
    if value.isascii() and value.isdigit() and len(value) <= 6 and 1 <= int(value) <= MAX_REPLY_ROWS:
        return int(value)
    raise BadValue("limit", value, f"{value!r} is not a whole number from 1 to {MAX_REPLY_ROWS:,}.")


def _choice(name: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise UnknownName(name, value, allowed)
    return value


def _filter(parameter: str, values: Sequence[str], vocabulary: Vocabulary) -> Filter:
    dimension = PURCHASES.by_name[parameter.removeprefix(NEGATION)]
    members = tuple(vocabulary[dimension.name])
    codes = index(members)
    found: set[int] = set()
    for value in values:
        named = codes.get(key(value))
        if named is None:
            raise UnknownName(parameter, value, members, f"/v1/dimensions/{dimension.name}")
        found.update(named)
    return Filter(dimension, tuple(sorted(found)), parameter.startswith(NEGATION))
