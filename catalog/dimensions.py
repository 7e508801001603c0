"""Dimensions: ways to group and filter purchases. `catalog.purchases` declares them.

Everything below the labels works on *codes*: small integers, one for each member of a dimension. A
reference id or an hour is its own code, the code of a fixed label is its position here, and the code of a
date is its day number (days since 1970-01-01).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, ClassVar

UNKNOWN = "Unknown"
_EPOCH = date(1970, 1, 1)
DAY = "day"
"""The field of a transaction that holds its day."""

Vocabulary = Mapping[str, Sequence[str]]
"""The members of each dimension that has labels, by its name, in the order of their codes."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Dimension:
    """One way to group and filter transactions, compared and hashed by identity.

    This one has a fixed list of labels, which transactions store as text. Hours, days and what follows from the date
    are below; those that are columns of the file in `catalog.attributes`.

    Attributes:
        name: the parameter and the column, such as `payment_method`.
        label: what a person reads.
        members: the labels ordered by code; of an open dimension, the initial ones.
        type: the type of its column in a reply: `string`, `integer` or `date`.
        bson: the type that a transaction stores it as: `string`, `int` or `date`.
        is_open: whether a load may add members.
        is_date: whether its members are the days themselves, filtered by `from` and `to`.
        in_time: whether its members are ordered in time.
        is_stored: whether it is a field of a transaction; otherwise it is computed from the date.
    """

    name: str
    label: str
    members: tuple[str, ...] = ()
    type: ClassVar[str] = "string"
    bson: ClassVar[str] = "string"
    is_open: ClassVar[bool] = False
    is_date: ClassVar[bool] = False
    in_time: ClassVar[bool] = False
    is_stored: ClassVar[bool] = True

    @property
    def field(self) -> str:
        """The field of a transaction that holds it."""
        return self.name

    @property
    def properties(self) -> Mapping[str, Any]:
        """The field and its schema, for validators."""
        return {self.field: {"enum": list(self.members)}}

    @property
    def expression(self) -> Any:
        """Its expression in an aggregation pipeline."""
        return f"${self.field}"

    @property
    def form(self) -> list[Any]:
        """The meaning and location of its codes, as JSON; data built under another form are stale."""
        return [type(self).__name__, self.name, self.expression, [] if self.is_open else self.members]

    def code(self, stored: Any) -> int:
        """The code of a stored value; None means that the field is missing."""
        return 0 if stored is None else self.members.index(stored)

    def stored(self, code: int) -> Any:
        """The value that a transaction stores for `code`."""
        return self.members[code]

    def labels(self, vocabulary: Vocabulary) -> Callable[[int], str | int]:
        """A function from a code to what a reply shows: a label, an hour 0-23, or a date YYYY-MM-DD."""
        return vocabulary[self.name].__getitem__

    def label_of(self, code: int, vocabulary: Vocabulary) -> str | int:
        """What a reply shows for `code`."""
        return self.labels(vocabulary)(code)


class Hour(Dimension):
    """The hour of the day, 0 to 23."""

    type: ClassVar[str] = "integer"
    bson: ClassVar[str] = "int"
    in_time: ClassVar[bool] = True

    @property
    def properties(self) -> Mapping[str, Any]:
        """A small int."""
        return {self.field: {"bsonType": "int", "minimum": 0, "maximum": len(self.members) - 1}}

    def code(self, stored: Any) -> int:
        """The hour is the code."""
        return int(stored)

    def stored(self, code: int) -> Any:
        """The code is the hour."""
        return code

    def labels(self, vocabulary: Vocabulary) -> Callable[[int], str | int]:
        """The hour as a number."""
        return int


class Day(Dimension):
    """The date; it has no list of members."""

    type: ClassVar[str] = "date"
    bson: ClassVar[str] = "date"
    is_date: ClassVar[bool] = True
    in_time: ClassVar[bool] = True

    @property
    def field(self) -> str:
        """The day's midnight."""
        return DAY

    @property
    def properties(self) -> Mapping[str, Any]:
        """A date."""
        return {self.field: {"bsonType": "date"}}

    def code(self, stored: Any) -> int:
        """Its day number."""
        return day_number(stored.date())

    def stored(self, code: int) -> Any:
        """The midnight of a day number."""
        return day_of(code)

    def labels(self, vocabulary: Vocabulary) -> Callable[[int], str | int]:
        """The date as YYYY-MM-DD."""
        return iso_date


@dataclass(frozen=True, eq=False, kw_only=True)
class DatePart(Dimension):
    """A dimension computed from the date, such as its quarter. It is not stored, so it can be added at any time.

    Attributes:
        part: the code of a date.
        formula: the same as a MongoDB expression, given the expression for the date.
    """

    part: Callable[[date], int]
    formula: Callable[[str], Any]
    bson: ClassVar[str] = "int"
    in_time: ClassVar[bool] = True
    is_stored: ClassVar[bool] = False

    @property
    def expression(self) -> Any:
        """The formula."""
        return self.formula(f"${DAY}")

    def code(self, stored: Any) -> int:
        """What the formula gives is the code."""
        return int(stored)

    def stored(self, code: int) -> Any:
        """The code is what the formula gives."""
        return code

    def code_of_day(self, number: int) -> int:
        """The code of a day number."""
        return self.part(date_of(number))


def date_of(day_number: int) -> date:
    """The date of a day number."""
    return _EPOCH + timedelta(days=day_number)


@lru_cache(maxsize=1 << 15)
def iso_date(day_number: int) -> str:
    """A day number as YYYY-MM-DD."""
    return date_of(day_number).isoformat()


def day_number(day: date) -> int:
    """Days from 1970-01-01 to `day`."""
    return (day - _EPOCH).days


def day_of(number: int) -> datetime:
    """The stored form of a day number: its midnight. MongoDB's dates are UTC; here that is the store's wall clock."""
    return datetime.combine(date_of(number), datetime.min.time(), UTC)
