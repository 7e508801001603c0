"""The six collections and the operational ones beside them, each with the validator that MongoDB enforces."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from catalog.dimensions import AGE_GROUP, GENDER, MARITAL_STATUS, REFERENCES, REFERRAL

MAX_AGE = 120
MAX_AMOUNT_CENTS = 10**11
"""A single purchase above a billion dollars is a typing error; the cap also keeps every sum exact."""

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

Schema = Mapping[str, Any]

_INT: Schema = {"bsonType": "int"}
_ID: Schema = {"bsonType": "int", "minimum": 0, "maximum": CODES - 1}
_LONG: Schema = {"bsonType": ["int", "long"], "minimum": 0}
_TEXT: Schema = {"bsonType": "string"}
_DATE: Schema = {"bsonType": "date"}
_AGE: Schema = {"bsonType": ["int", "null"], "minimum": 0, "maximum": MAX_AGE}

_ATTRIBUTES: Schema = {
    "age": _AGE,
    "age_group": {"enum": list(AGE_GROUP.members)},
    "gender": {"enum": list(GENDER.members)},
    "marital_status": {"enum": list(MARITAL_STATUS.members)},
    "referral": {"enum": list(REFERRAL.members)},
    "state_id": _ID,
    "segment_id": _ID,
    "employment_status_id": _ID,
}
PROFILE = ("age", "age_group", "gender", "marital_status")
"""What identifies a customer when customers are profiles; the other attributes then live on transactions only."""

ATTRIBUTES = tuple(_ATTRIBUTES)


@dataclass(frozen=True)
class Collection:
    """One collection.

    Attributes:
        name: its name in the database.
        purpose: one line for people.
        properties: field name to its schema.
        optional: the fields that a document may lack.
    """

    name: str
    purpose: str
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


TRANSACTIONS = Collection(
    "transactions",
    "One purchase each, with the customer's attributes as they were at the sale",
    {
        "_id": {"bsonType": "long"},
        "customer_id": {"bsonType": "long"},
        "payment_method_id": _ID,
        "transaction_date": _DATE,
        "day": _DATE,
        "hour": {"bsonType": "int", "minimum": 0, "maximum": 23},
        "amount_cents": {"bsonType": ["long", "null"], "minimum": 0, "maximum": MAX_AMOUNT_CENTS},
        **_ATTRIBUTES,
        "load_id": _TEXT,
    },
)
CUSTOMERS = Collection(
    "customers",
    "One customer each: of a single purchase, or of all purchases of one profile",
    {"_id": {"bsonType": "long"}, **_ATTRIBUTES},
    optional=tuple(name for name in ATTRIBUTES if name not in PROFILE),
)
REFERENCE_COLLECTIONS = tuple(
    Collection(str(dimension.collection), f"{dimension.label}: the names behind the ids", {"_id": _ID, "name": _TEXT})
    for dimension in REFERENCES
)
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
"""How far a load is, and what it has counted so far."""

CLUSTERED = (TRANSACTIONS, CUSTOMERS)
"""Stored in the order of their ids, without an index by id beside: rows come mostly in that order, and are written 1.3
times as fast.
"""

LOADS = Collection(
    "loads",
    "One load of one file each: its checkpoint and its report",
    {
        "_id": _TEXT,
        "file": _TEXT,
        "sha256": _TEXT,
        "bytes": _LONG,
        "options": {"bsonType": "object"},
        "columns": {"bsonType": "array", "items": _TEXT},
        "status": {"enum": ["running", "complete", "stopped", "removing", "removed"]},
        **_CHECKPOINT,
        "started_at": _DATE,
        "session": {"bsonType": "binData"},
        "holder": {"bsonType": "object"},
        "runs": {"bsonType": "array", "items": {"bsonType": "object"}},
        "adopted": _LONG,
    },
    optional=("runs", "adopted"),  # a load that an earlier release began lacks them
)
QUARANTINE = Collection(
    "quarantine",
    "Every refused row with the reason, so that nothing is lost",
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
REPEATS = Collection(
    "repeats",
    "Which rows of other loads a load's file also brought, so that removing those loads keeps them",
    {
        "_id": {"bsonType": "objectId"},
        "load_id": _TEXT,
        "first": {"bsonType": "long"},
        "last": {"bsonType": "long"},
        "ids": {"bsonType": "binData"},
    },
)
FORMAT = 1
"""The form of rollups and pages. What was built in another form is stale."""

_CODE: Schema = {"bsonType": "int", "minimum": 0}
PERIODS = Collection(
    "periods",
    "Each month and year that has transactions: what changed it last, and as of what its rollups were built",
    {
        "_id": _TEXT,
        "start": _DATE,
        "changed": _LONG,
        "built": _LONG,
        "format": _CODE,
        "rows": _LONG,
    },
    optional=("built", "format", "rows"),
)
ROLLUPS = Collection(
    "rollups",
    "Sums of one period, for one member of a dimension or for all, by each other dimension",
    {
        "_id": _TEXT,
        "period": _TEXT,
        "start": _DATE,
        "dimension": _TEXT,
        "member": _CODE,
        "cells": {"bsonType": "object"},
    },
)
PAGES = Collection(
    "pages",
    "The transactions of a month as packed columns",
    {
        "_id": _TEXT,
        "month": _DATE,
        "part": _CODE,
        "built": _LONG,
        "rows": _LONG,
        "columns": {"bsonType": "object"},
    },
)
STATUS = Collection(
    "status",
    "Single documents about the whole database: the data version, the last verification",
    {
        "_id": _TEXT,
        "epoch": {"bsonType": "objectId"},
        "version": _LONG,
        "layout": _LONG,
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
        "layout",
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
"""`_id` of the status document that is written by whoever relies on other loads' rows or takes rows away, so that they
take turns.
"""
