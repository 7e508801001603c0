"""Read transactions or customers as columns, with every field, and report those that fail their validator.

Documents with their fields in the order in which the loader writes them are decoded all at once; others one by one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from bson.errors import BSONError
from bson.int64 import Int64

from catalog.collections import Collection
from catalog.dimensions import day_of
from catalog.kinds import NULL
from catalog.purchases import PURCHASES
from pipelines.derived.columns import Array
from store.bson.elements import decode
from store.bson.reply import Reply
from store.bson.to_columns import Walk
from store.client import Document, Reads

_LOAD = "load_id"
_ENUMERATED = {each.field: each for each in PURCHASES.stored if each.bson == "string"}
_TYPES = {"int": int, "long": Int64, "date": datetime, "string": str, "null": type(None)}


@dataclass(frozen=True)
class Rows:
    """Documents of one collection as columns of the same length, in the order of their ids.

    Attributes:
        fields: by field the numbers, the milliseconds of dates, the codes of labels; NULL where unknown.
        mine: whether each has the requested load id.
        malformed: the id of each document that fails its validator, with the reason; they are in no column.
    """

    fields: Mapping[str, Array]
    mine: Array
    malformed: list[tuple[Any, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.mine)

    def __getitem__(self, name: str) -> Array:
        return self.fields[name]


def read_rows(reads: Reads, collection: Collection, ids: Document, load_id: str = "") -> Rows:
    """The documents whose `_id` meets a condition."""
    find = {"find": collection.name, "filter": ids, "sort": {"_id": 1}}
    parts = reads.replies(find, lambda reply: _decode(reply, collection, load_id))
    names = [name for name in collection.properties if name != _LOAD]
    fields = {name: np.concatenate([np.empty(0, np.int64), *(part[name] for part in parts)]) for name in names}
    mine = np.concatenate([np.empty(0, bool), *(part.mine for part in parts)])
    order_of_ids = np.argsort(fields["_id"], kind="stable")
    if (np.diff(order_of_ids) < 0).any():  # those that were taken apart by themselves stand at the end of their reply
        fields, mine = {name: each[order_of_ids] for name, each in fields.items()}, mine[order_of_ids]
    return Rows(fields, mine, [each for part in parts for each in part.malformed])


def _decode(reply: Reply, collection: Collection, load_id: str) -> Rows:
    """The columns of one reply."""
    walk = Walk(reply)
    columns: dict[str, Array] = {}
    mine = np.zeros(len(reply.starts), bool)
    for name in _order(reply, collection):
        walk.to(name)
        if name == _LOAD:
            mine = walk.equals(load_id)
        elif name in _ENUMERATED:
            columns[name] = walk.labels(_ENUMERATED[name].members)
        else:
            columns[name] = _numbers(walk, collection.properties[name])
    right = walk.right & walk.ended
    if right.all():
        return Rows(columns, mine)
    return _with_others(reply, collection, load_id, columns, mine, right)


def _order(reply: Reply, collection: Collection) -> tuple[str, ...]:
    """The order of the first document's fields, if they are those of the collection."""
    first = next(_documents(Reply(reply.data, reply.starts[:1]), []), {})
    return tuple(first if first.keys() == collection.properties.keys() else collection.properties)


def _numbers(walk: Walk, schema: Mapping[str, Any]) -> Array:
    """A field that is a number or a date."""
    kind, *others = _kinds(schema)
    values, known = walk.numbers(kind, or_null="null" in others)
    if "minimum" in schema:
        walk.right &= ~known | (values >= schema["minimum"])
    if "maximum" in schema:
        walk.right &= ~known | (values <= schema["maximum"])
    return values


def _with_others(
    reply: Reply, collection: Collection, load_id: str, columns: dict[str, Array], mine: Array, right: Array
) -> Rows:
    """The columns, with documents of another form decoded one by one."""
    others = Reply(reply.data, [start for start, ok in zip(reply.starts, right.tolist(), strict=True) if not ok])
    malformed: list[tuple[Any, str]] = []
    found: list[dict[str, int]] = []
    theirs: list[bool] = []
    for document in _documents(others, malformed):
        if why := fault(collection, document):
            malformed.append((document.get("_id"), why))
            continue
        found.append({name: _number(name, document.get(name, PURCHASES.absent.get(name))) for name in columns})
        theirs.append(document.get(_LOAD) == load_id)
    joined = {
        name: np.concatenate([values[right], np.array([each[name] for each in found], np.int64)])
        for name, values in columns.items()
    }
    return Rows(joined, np.concatenate([mine[right], np.array(theirs, bool)]), malformed)


def _documents(reply: Reply, malformed: list[tuple[Any, str]]) -> Iterator[Document]:
    for document in reply.documents():
        try:
            yield decode(document)
        except BSONError as error:
            malformed.append(("?", f"unreadable ({error})"))


def fault(collection: Collection, document: Mapping[str, Any]) -> str:
    """Why a flat document fails the validator of its collection; empty if it is valid."""
    properties = collection.properties
    lacking = [name for name in properties if name not in document and name not in collection.optional]
    if lacking or document.keys() - properties.keys():
        return f"fields {sorted(document)}"
    for name, value in document.items():
        schema = properties[name]
        if "enum" in schema:
            right = value in schema["enum"]
        else:
            right = type(value) in {_TYPES[kind] for kind in _kinds(schema)}
            if right and isinstance(value, int):
                right = schema.get("minimum", value) <= value <= schema.get("maximum", value)
        if not right:
            return f"{name} {value!r}"
    return ""


def _kinds(schema: Mapping[str, Any]) -> list[str]:
    """The BSON types that are allowed."""
    kinds = schema["bsonType"]
    return kinds if isinstance(kinds, list) else [kinds]


def _number(name: str, value: Any) -> int:
    if value is None:
        return NULL
    if isinstance(value, datetime):
        return round((value - day_of(0)).total_seconds() * 1000)
    return _ENUMERATED[name].members.index(value) if name in _ENUMERATED else int(value)
