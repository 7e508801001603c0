"""The kinds of attributes: columns whose values are the members of a dimension; in files, documents and replies."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar

from catalog.columns import NULL, Column, Schema
from catalog.dimensions import Dimension

CODES = 2**16
"""Codes of an open dimension fit an unsigned 16-bit column."""

MAX_MEMBERS = 1_000
"""The most members of an open dimension; a database with more keeps them, but no new ones are added.

Reading them is linear (100,000 rows with 20,000 new names: 1.2 s, with as many as 100,000: 3.4), but each period keeps
a slice for every member and a table for every pair of dimensions. 200,000 rows with 1,000 states make 92,000 slices in
place of 12,000, and their load, all told, takes 2 to 4 times as long as with 50; with 4,000 states it takes 5 times as
long, with 1,000 segments besides 9 to 12 times. With 65,536, MongoDB cannot commit a month's slices in one transaction.
A table of two dimensions of 1,000 takes 24 MB in a refresh; one of two of 65,536 would take 100 GB.
"""

ID: Schema = {"bsonType": "int", "minimum": 0, "maximum": CODES - 1}


class Home(StrEnum):
    """Where an attribute is stored besides the transaction, which has all of them, as they were at the sale."""

    PROFILE = "profile"
    """On the customer; with `--customers profile`, it is part of the customer id."""

    CUSTOMER = "customer"
    """On the customer, unless the customer is a profile."""

    TRANSACTION = "transaction"
    """On the transaction only."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Attribute(Column):
    """A column that describes the customer or the purchase.

    Attributes:
        home: where it is stored besides the transaction.
    """

    home: Home
    empty: ClassVar[int] = 0

    @property
    def dimension(self) -> Dimension:
        """What groups and filters by it."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """How many different numbers it can have, starting with `empty`."""
        raise NotImplementedError

    def document(self, number: int) -> dict[str, Any]:
        """The fields of a transaction, or of a customer, for a number."""
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
        written: the texts for each member in a file, if they are not its label; the usual one first.
        shares: the share of each text in the sample; empty if all members are equally frequent.
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
        """The usual text of each member but `Unknown`."""
        return tuple(texts[0] for texts in self.written.values()) or self.members[1:]

    @cached_property
    def codes(self) -> Mapping[str, int]:
        """The code of every accepted text, ignoring case; an empty field and `Unknown` are 0."""
        known = {self.members[0]: ("", self.members[0]), **self.written}
        return {text.casefold(): self.members.index(member) for member, texts in known.items() for text in texts}


class Enumerated(Listed):
    """A column with a few fixed names, stored as text."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Referred(Listed):
    """A column of names to which a load may add, stored as the id of a document in a reference collection.

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
