"""A data set: one declaration, from which follow header, cleaning, documents, validators, sample and dimensions."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from catalog.dimensions import DatePart, Dimension, Vocabulary
from catalog.kinds import Attribute, Banded, Clock, Column, Enumerated, Home, Key, Money, Referred

FORM = 2
"""How rollups, pages and counts are laid out; it grows with what lays them out."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Purchases as a file has them, one a row.

    Attributes:
        key, clock, amount: the id, the moment and the amount of a purchase.
        attributes: what else is known of it, in the order of the columns of a sample.
        parts: what follows from the date beside.
    """

    key: Key
    clock: Clock
    amount: Money
    attributes: tuple[Attribute, ...]
    parts: tuple[DatePart, ...] = ()

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The file's columns, in the order of a sample's header."""
        return (self.key, self.clock, *self.attributes, self.amount)

    @cached_property
    def header(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(each.column for each in self.columns)

    @cached_property
    def filterable(self) -> tuple[Dimension, ...]:
        """The dimensions that have members to filter by; a date is filtered by `from` and `to` instead."""
        return (*(each.dimension for each in self.attributes), self.clock.hour, *self.parts)

    @cached_property
    def dimensions(self) -> tuple[Dimension, ...]:
        """All of them."""
        return (*self.filterable, self.clock.date)

    @cached_property
    def stored(self) -> tuple[Dimension, ...]:
        """Those that are fields of a transaction."""
        return tuple(each for each in self.dimensions if each.is_stored)

    @cached_property
    def by_name(self) -> Mapping[str, Dimension]:
        """All of them by name."""
        return {each.name: each for each in self.dimensions}

    @cached_property
    def references(self) -> tuple[Referred, ...]:
        """Those whose members are in a collection."""
        return tuple(each for each in self.attributes if isinstance(each, Referred))

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The members that a new database begins with."""
        return {each.name: each.members for each in self.filterable}

    @cached_property
    def stored_attributes(self) -> tuple[Attribute, ...]:
        """The attributes in the order of a document's fields: numbers, labels, references."""
        kinds = (Banded, Enumerated, Referred)
        return tuple(each for kind in kinds for each in self.attributes if isinstance(each, kind))

    def at_home(self, *homes: Home) -> tuple[Attribute, ...]:
        """Those of these homes, in the same order."""
        return tuple(each for each in self.stored_attributes if each.home in homes)

    @cached_property
    def profile(self) -> tuple[Attribute, ...]:
        """Those that identify a customer who is a profile."""
        return self.at_home(Home.PROFILE)

    @cached_property
    def customer(self) -> tuple[Attribute, ...]:
        """Those of a customer."""
        return self.at_home(Home.PROFILE, Home.CUSTOMER)

    @cached_property
    def optional(self) -> frozenset[Dimension]:
        """The dimensions whose field a transaction may lack: their code is then 0."""
        return frozenset(each.dimension for each in self.attributes if each.optional)

    @cached_property
    def absent(self) -> Mapping[str, Any]:
        """The fields that a transaction may lack, and what it then stands for."""
        some = (each for each in self.attributes if each.optional)
        return {name: value for each in some for name, value in each.document(each.empty).items()}

    @cached_property
    def fingerprint(self) -> str:
        """Names what rollups and pages are made of: what was built under another one is stale."""
        form = json.dumps([FORM, [each.form for each in self.dimensions]])
        return hashlib.sha256(form.encode()).hexdigest()[:16]
