"""The kinds of columns and dimensions that a data set is declared of: what each is in the file, stored and shown."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar

from catalog.dimensions import Day, Dimension, Hour

CODES = 2**16
"""Codes of an open dimension fit an unsigned 16-bit column."""

MAX_MEMBERS = 1_000
"""So many members an open dimension can have; a database that holds more keeps them, and gets no new ones.

Reading them is linear (100,000 rows with 20,000 new names: 1.2 s, with as many as 100,000: 3.4), but each period keeps
a slice for every member and a table for every pair of dimensions. 200,000 rows with 1,000 states make 92,000 slices in
place of 12,000, and their load, all told, takes 2 to 4 times as long as with 50; with 4,000 states it takes 5 times as
long, with 1,000 segments besides 9 to 12 times. With 65,536, MongoDB cannot commit a month's slices in one transaction.
A table of two dimensions of 1,000 takes 24 MB in a refresh; one of two of 65,536 would take 100 GB.
"""

NULL = -1
"""What stands for an unknown number in a column of numbers, which are never negative."""

Schema = Mapping[str, Any]
ID: Schema = {"bsonType": "int", "minimum": 0, "maximum": CODES - 1}
_DATE: Schema = {"bsonType": "date"}


class Home(StrEnum):
    """Where an attribute is at home. A transaction holds all of them, as they were at the sale."""

    PROFILE = "profile"
    """On the customer, whom it identifies where customers are profiles: their ids are made of these."""

    CUSTOMER = "customer"
    """On the customer, but not on one who is a profile."""

    TRANSACTION = "transaction"
    """On the transaction alone."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Column:
    """A column of the file.

    Attributes:
        name: what its numbers are called, once it is read.
        label: what a person reads.
        column: its name in the header.
        spellings: other names that it may have there.
        optional: whether a file may lack it, which is as if each of its fields were empty; and so may a transaction
            that was loaded before it was declared.
        missing: the share of empty fields in the sample.
        empty: the number that an empty field is read to; None where it must not be empty.
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
    """The transaction's id, a whole number; the rows of one id are one transaction."""

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


@dataclass(frozen=True, eq=False, kw_only=True)
class Attribute(Column):
    """A column that says something of the customer or of the purchase.

    Attributes:
        home: where it is at home.
    """

    home: Home
    empty: ClassVar[int] = 0

    @property
    def dimension(self) -> Dimension:
        """What groups and filters by it."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """How many numbers it may be read to, from `empty` up."""
        raise NotImplementedError

    def document(self, number: int) -> dict[str, Any]:
        """The fields of a transaction, or of a customer, for what it is read to."""
        return {self.field: self.dimension.stored(number)}


@dataclass(frozen=True, eq=False, kw_only=True)
class Bands(Dimension):
    """Bands of a number, stored as labels.

    Attributes:
        bounds: where each band but the first begins; `members` are `Unknown` and the bands.
    """

    bounds: tuple[int, ...]

    @property
    def form(self) -> list[Any]:
        """With the bounds."""
        return [*super().form, self.bounds]

    def band(self, number: int) -> str:
        """The label of the band that a number is in; `Unknown` for NULL."""
        return self.members[0 if number == NULL else bisect_right(self.bounds, number) + 1]


@dataclass(frozen=True, eq=False, kw_only=True)
class Banded(Attribute):
    """A whole number, stored with its band.

    Attributes:
        most: the largest; the smallest is 0.
        bands: the dimension of its bands.
        sample: the numbers in the sample.
    """

    most: int
    bands: Bands
    sample: range
    empty: ClassVar[int] = NULL

    @property
    def dimension(self) -> Dimension:
        """Its bands."""
        return self.bands

    @property
    def properties(self) -> Schema:
        """An int or null, and the band."""
        number = {"bsonType": ["int", "null"], "minimum": 0, "maximum": self.most}
        return {self.field: number, **self.bands.properties}

    @property
    def size(self) -> int:
        """From 0 to the largest, and NULL."""
        return self.most + 2

    def document(self, number: int) -> dict[str, Any]:
        """The number and its band."""
        return {self.field: None if number == NULL else number, self.bands.field: self.bands.band(number)}


@dataclass(frozen=True, eq=False, kw_only=True)
class Listed(Dimension, Attribute):
    """A column of names, each of which is a member; code 0 is `Unknown`, an empty field.

    Attributes:
        written: what the file has for each member, where it is not its label; the usual text first.
        shares: the share of each text in the sample; empty where all members are as frequent.
    """

    written: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)

    @property
    def dimension(self) -> Dimension:
        """Itself."""
        return self

    @property
    def size(self) -> int:
        """The members that are declared."""
        return len(self.members)

    @property
    def texts(self) -> tuple[str, ...]:
        """What the file usually has for each member that is known."""
        return tuple(texts[0] for texts in self.written.values()) or self.members[1:]

    @cached_property
    def codes(self) -> Mapping[str, int]:
        """The code of all that is written, without letter case; an empty field is `Unknown`, and may say so."""
        known = {self.members[0]: ("", self.members[0]), **self.written}
        return {text.casefold(): self.members.index(member) for member, texts in known.items() for text in texts}


class Enumerated(Listed):
    """A column of few names that never change, stored as text."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Referred(Listed):
    """A column of names that a load may add to, stored as the id of a document in a reference collection.

    Attributes:
        collection: the reference collection.
    """

    collection: str
    bson: ClassVar[str] = "int"
    is_open: ClassVar[bool] = True

    @property
    def field(self) -> str:
        """The reference."""
        return f"{self.name}_id"

    @property
    def properties(self) -> Schema:
        """A small int."""
        return {self.field: ID}

    def code(self, stored: Any) -> int:
        """The id is the code."""
        return int(stored or 0)

    def stored(self, code: int) -> Any:
        """The code is the id."""
        return code
