"""The kinds of columns: how each appears in the file and in the database; attributes are in `catalog.attributes`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from catalog.dimensions import Day, Hour

NULL = -1
"""Stands for an unknown number in a column of numbers, which are never negative."""

Schema = Mapping[str, Any]
_DATE: Schema = {"bsonType": "date"}


@dataclass(frozen=True, eq=False, kw_only=True)
class Column:
    """A column of the file.

    Attributes:
        name: the name of its codes or numbers, once read.
        label: what a person reads.
        column: its name in the header.
        spellings: other accepted names in the header.
        optional: whether it may be missing from a file (as if all its fields were empty), and from transactions loaded
            before it was declared.
        missing: the share of empty fields in the sample.
        empty: the number for an empty field; None if the field must not be empty.
    """

    name: str
    label: str
    column: str
    spellings: tuple[str, ...] = ()
    optional: bool = False
    missing: float = 0.0
    empty: ClassVar[int | None] = None

    @property
    def field(self) -> str:
        """The field of a transaction that holds it."""
        return self.name

    @property
    def properties(self) -> Schema:
        """The fields of a transaction that hold it, each with its schema."""
        raise NotImplementedError


class Key(Column):
    """The transaction id, a whole number; rows with the same id are one transaction."""

    @property
    def field(self) -> str:
        """`_id`."""
        return "_id"

    @property
    def properties(self) -> Schema:
        """A long."""
        return {self.field: {"bsonType": "long"}}


@dataclass(frozen=True, eq=False, kw_only=True)
class Clock(Column):
    """The moment of a purchase, in milliseconds of the store's wall clock.

    Attributes:
        stored_in: the field that holds it.
        date, hour: the dimensions of its day and its hour.
    """

    stored_in: str
    date: Day
    hour: Hour

    @property
    def field(self) -> str:
        """The one declared."""
        return self.stored_in

    @property
    def properties(self) -> Schema:
        """The moment, its day and its hour."""
        return {self.field: _DATE, **self.date.properties, **self.hour.properties}


@dataclass(frozen=True, eq=False, kw_only=True)
class Money(Column):
    """An amount in whole cents.

    Attributes:
        most: the largest, in cents.
        sample: the cents in the sample.
    """

    most: int
    sample: range
    empty: ClassVar[int | None] = NULL

    @property
    def properties(self) -> Schema:
        """A long or null."""
        return {self.field: {"bsonType": ["long", "null"], "minimum": 0, "maximum": self.most}}
