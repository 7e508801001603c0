"""The six collections and the operational ones, each with the validator that MongoDB enforces."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from catalog.attributes import ID, Attribute, Home
from catalog.columns import Schema
from catalog.purchases import PURCHASES
from catalog.status import STORED

_LONG: Schema = {"bsonType": ["int", "long"], "minimum": 0}
_TEXT: Schema = {"bsonType": "string"}
_DATE: Schema = {"bsonType": "date"}


@dataclass(frozen=True)
class Collection:
    """One collection.

    Attributes:
        name: its name in the database.
        properties: field name to its schema.
        optional: the fields that a document may lack.
    """

    name: str
    properties: Schema
    optional: tuple[str, ...] = field(default=())

    @property
    def validator(self) -> dict[str, Any]:
        """The `$jsonSchema` validator: the named fields, of their types, and no others."""
        required = [name for name in self.properties if name not in self.optional]
        schema = {
            "bsonType": "object",
            "required": required,
            "properties": dict(self.properties),
            "additionalProperties": False,
        }
        return {"$jsonSchema": schema}


def _fields(attributes: Iterable[Attribute]) -> dict[str, Any]:
    return {field: schema for each in attributes for field, schema in each.properties.items()}


TRANSACTIONS = Collection(
    "transactions",
    {
        **PURCHASES.key.properties,
        "customer_id": {"bsonType": "long"},
        **PURCHASES.clock.properties,
        **PURCHASES.amount.properties,
        **_fields(PURCHASES.attributes),
        "load_id": _TEXT,
    },
    optional=tuple(PURCHASES.absent),
)
"""One purchase each, with the customer's attributes as they were at the sale."""

CUSTOMERS = Collection(
    "customers",
    {"_id": {"bsonType": "long"}, **_fields(PURCHASES.customer)},
    optional=tuple(_fields(each for each in PURCHASES.customer if each.home is Home.CUSTOMER or each.optional)),
)
"""One customer each: of a single purchase, or of all purchases of one profile."""

REFERENCE_COLLECTIONS = tuple(Collection(each.collection, {"_id": ID, "name": _TEXT}) for each in PURCHASES.references)
SIX = (TRANSACTIONS, CUSTOMERS, *REFERENCE_COLLECTIONS)

_CHECKPOINT: Schema = {
    "offset": _LONG,
    "line": _LONG,
    "counts": {"bsonType": "object"},
    "missing": {"bsonType": "object"},
    "reasons": {"bsonType": "object"},
    "seconds": {"bsonType": ["double", "int"]},
    "updated_at": _DATE,
}
CHECKPOINT = tuple(_CHECKPOINT)
"""How far a load has come, and what it has counted so far."""

CLUSTERED = (TRANSACTIONS, CUSTOMERS)
"""Stored in the order of their ids, without a separate index on the id: rows mostly arrive in that order, and are
written 1.3 times as fast.
"""

LOADS = Collection(
    "loads",
    {
        "_id": _TEXT,
        "file": _TEXT,
        "sha256": _TEXT,
        "bytes": _LONG,
        "options": {"bsonType": "object"},
        "columns": {"bsonType": "array", "items": _TEXT},
        "status": {"enum": list(STORED)},
        **_CHECKPOINT,
        "started_at": _DATE,
        "session": {"bsonType": "binData"},
        "holder": {"bsonType": "object"},
        "runs": {"bsonType": "array", "items": {"bsonType": "object"}},
        "adopted": _LONG,
    },
    optional=("runs", "adopted"),  # a load that an earlier release began lacks them
)
"""One load of one file each: its checkpoint and its report."""

QUARANTINE = Collection(
    "quarantine",
    {
        "_id": _TEXT,
        "load_id": _TEXT,
        "file": _TEXT,
        "line": _LONG,
        "column": _TEXT,
        "value": _TEXT,
        "reason": _TEXT,
        "message": _TEXT,
        "raw": _TEXT,
    },
)
"""Every refused row with the reason, so that nothing is lost."""

REPEATS = Collection(
    "repeats",
    {
        "_id": {"bsonType": "objectId"},
        "load_id": _TEXT,
        "first": {"bsonType": "long"},
        "last": {"bsonType": "long"},
        "ids": {"bsonType": "binData"},
    },
)
"""Which rows of other loads the file of a load also contains, so that a removal keeps them."""

MEMBERS = "members"
"""The field of a status document with the marks (checksums) of the reference collections, by name."""

LAYOUT = 2
"""The layout of the whole database. A program that knows only another one would read or write it wrongly.

1, without a mark, had the counter `layout` in the status document of the data version; 2 has `schema` and `builds`, so
that programs which know no lanes fail on it.
"""

_CODE: Schema = {"bsonType": "int", "minimum": 0}
PERIODS = Collection(
    "periods",
    {
        "_id": _TEXT,
        "start": _DATE,
        "changed": _LONG,
        "built": _LONG,
        "format": {"bsonType": ["string", "int"]},  # an int where it was built before the fingerprint
        "rows": _LONG,
        "counts": {"bsonType": "object"},
    },
    optional=("built", "format", "rows", "counts"),
)
"""Each month and year that has transactions: what changed it last, and as of what its rollups were built."""

ROLLUPS = Collection(
    "rollups",
    {
        "_id": _TEXT,
        "period": _TEXT,
        "start": _DATE,
        "dimension": _TEXT,
        "member": _CODE,
        "cells": {"bsonType": "object"},
    },
)
"""Sums of one period, for one member of a dimension or for all, by each other dimension."""

PAGES = Collection(
    "pages",
    {
        "_id": _TEXT,
        "month": _DATE,
        "part": _CODE,
        "built": _LONG,
        "rows": _LONG,
        "columns": {"bsonType": "object"},
    },
)
"""The transactions of a month as compact columns."""

STATUS = Collection(
    "status",
    {
        "_id": _TEXT,
        "epoch": {"bsonType": "objectId"},
        "version": _LONG,
        "builds": _LONG,
        "schema": _CODE,
        "recorded": _LONG,
        "committed_at": _DATE,
        "result": {"bsonType": "object"},
        "session": {"bsonType": "binData"},
        "holder": {"bsonType": "object"},
        "load_id": _TEXT,
        "periods": {"bsonType": "array", "items": _TEXT},
        "members": {"bsonType": "object"},
        "renamed": {"bsonType": "array", "items": {"bsonType": "object"}},
        "adopted": _LONG,
        **_CHECKPOINT,
    },
    optional=(
        "epoch",
        "version",
        "builds",
        "schema",
        "recorded",
        "committed_at",
        "result",
        "session",
        "holder",
        "load_id",
        "periods",
        "members",
        "renamed",
        "adopted",
        *_CHECKPOINT,
    ),
)
"""Single documents about the whole database: the data version, the last verification."""

OPERATIONAL = (LOADS, QUARANTINE, REPEATS, PERIODS, ROLLUPS, PAGES, STATUS)
COLLECTIONS = (*SIX, *OPERATIONAL)
DATA_VERSION = "data"
"""`_id` of the status document whose `version` grows with each commit that changes an answer.

The lanes of a running load have documents beside it, named after it, whose versions add to its own: so batches that
are written side by side need not write one and the same document. `pipelines.state.lanes` folds them into it.
"""

REFRESH = "refresh"
"""`_id` of the status document that names the session of the last refresh, so that one killed in it can be ended."""

VERIFICATION = "verification"
"""`_id` of the status document that holds the last verification's result."""

PRESENCE = "presence"
"""`_id` of the status document that is written by every transaction that relies on rows of other loads or deletes rows,
so that they take turns.
"""
