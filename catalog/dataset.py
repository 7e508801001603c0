"""A data set: one declaration from which header, cleaning, documents, validators, sample and dimensions follow."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from catalog.attributes import Attribute, Banded, Enumerated, Home, Referred
from catalog.columns import Clock, Column, Key, Money
from catalog.dimensions import DatePart, Dimension, Vocabulary

FORM = 2
"""The version of the encoding of rollups, pages and counts; increase it when that changes."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """The purchases of a file, one per row.

    Attributes:
        key, clock, amount: the id, the moment and the amount of a purchase.
        attributes: what else is known about it, in the order of the columns of a sample.
        parts: further dimensions that are computed from the date.
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
        """The dimensions with members to filter by; dates are filtered by `from` and `to` instead."""
        return (*(each.dimension for each in self.attributes), self.clock.hour, *self.parts)

    @cached_property
    def dimensions(self) -> tuple[Dimension, ...]:
        """All dimensions."""
        return (*self.filterable, self.clock.date)

    @cached_property
    def stored(self) -> tuple[Dimension, ...]:
        """The dimensions that are fields of a transaction."""
        return tuple(each for each in self.dimensions if each.is_stored)

    @cached_property
    def by_name(self) -> Mapping[str, Dimension]:
        """All dimensions by name."""
        return {each.name: each for each in self.dimensions}

    @cached_property
    def references(self) -> tuple[Referred, ...]:
        """The attributes whose members are in a reference collection."""
        return tuple(each for each in self.attributes if isinstance(each, Referred))

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The members of a new database."""
        return {each.name: each.members for each in self.filterable}

    @cached_property
    def stored_attributes(self) -> tuple[Attribute, ...]:
        """The attributes in the order of a document's fields: numbers, labels, references."""
        kinds = (Banded, Enumerated, Referred)
        return tuple(each for kind in kinds for each in self.attributes if isinstance(each, kind))

    def at_home(self, *homes: Home) -> tuple[Attribute, ...]:
        """The attributes with these homes, in the same order."""
        return tuple(each for each in self.stored_attributes if each.home in homes)

    @cached_property
    def profile(self) -> tuple[Attribute, ...]:
        """The attributes that identify a profile."""
        return self.at_home(Home.PROFILE)

    @cached_property
    def customer(self) -> tuple[Attribute, ...]:
        """The attributes of a customer."""
        return self.at_home(Home.PROFILE, Home.CUSTOMER)

    @cached_property
    def optional(self) -> frozenset[Dimension]:
        """The dimensions whose field may be missing from a transaction: their code is then 0."""
        return frozenset(each.dimension for each in self.attributes if each.optional)

    @cached_property
    def absent(self) -> Mapping[str, Any]:
        """The fields that may be missing from a transaction, and the values they then stand for."""
        some = (each for each in self.attributes if each.optional)
        return {name: value for each in some for name, value in each.document(each.empty).items()}

    @cached_property
    def fingerprint(self) -> str:
        """Identifies the declaration that rollups and pages are built from; those built from another one are stale."""
        form = json.dumps([FORM, [each.form for each in self.dimensions]])
        return hashlib.sha256(form.encode()).hexdigest()[:16]
