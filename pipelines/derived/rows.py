"""Read transactions or customers as columns, with every field, and report those that fail their validator.

Documents with their fields in the order in which the loader writes them are decoded all at once; others one by one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import bson
import numpy as np
from bson.codec_options import CodecOptions
from bson.errors import BSONError
from bson.int64 import Int64

from catalog.collections import Collection
from catalog.columns import NULL
from catalog.dimensions import day_of
from catalog.purchases import PURCHASES
from pipelines.derived.columns import Array, is_text, read_labels, read_replies, take
from store.client import Document, Reads

_INT32, _INT64, _DATE, _STRING, _NULL = 0x10, 0x12, 0x09, 0x02, 0x0A
_LOAD = "load_id"
_DAY_MS = 86_400_000
_AWARE: CodecOptions[Document] = CodecOptions(tz_aware=True)
_ENUMERATED = {each.field: each for each in PURCHASES.stored if each.bson == "string"}
_TYPES = {"int": int, "long": Int64, "date": datetime, "string": str, "null": type(None)}
_NUMBERS = {"int": (_INT32, "<i4"), "long": (_INT64, "<i8"), "date": (_DATE, "<i8")}


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
    parts = read_replies(reads, find, lambda reply, starts: _decode(reply, starts, collection, load_id))
    names = [name for name in collection.properties if name != _LOAD]
    fields = {name: np.concatenate([np.empty(0, np.int64), *(part[name] for part in parts)]) for name in names}
    mine = np.concatenate([np.empty(0, bool), *(part.mine for part in parts)])
    order_of_ids = np.argsort(fields["_id"], kind="stable")
    if (np.diff(order_of_ids) < 0).any():  # those that were taken apart by themselves stand at the end of their reply
        fields, mine = {name: each[order_of_ids] for name, each in fields.items()}, mine[order_of_ids]
    return Rows(fields, mine, [each for part in parts for each in part.malformed])


def _decode(reply: bytes, starts: Array, collection: Collection, load_id: str) -> Rows:
    """The columns of one reply."""
    order = _order(reply, int(starts[0]), collection)
    ends = starts + take(reply, starts, "<i4") - 1
    limit = int(ends[-1])
    right = np.ones(len(starts), bool)
    mine = np.zeros(len(starts), bool)
    at = starts + 4
    columns: dict[str, Array] = {}
    for name in order:
        values, ok, length = _values(reply, at, collection, name)
        if name == _LOAD:
            mine = is_text(reply, at + len(name) + 6, load_id.encode() + b"\0")
        else:
            columns[name] = values
        right &= ok
        at = np.minimum(at + length, limit)
    right &= at == ends
    if right.all():
        return Rows(columns, mine)
    return _with_others(reply, starts[~right], collection, load_id, columns, mine, right)


def _order(reply: bytes, start: int, collection: Collection) -> tuple[str, ...]:
    """The order of the first document's fields, if they are those of the collection."""
    first = next(_documents(reply, np.array([start]), []), {})
    return tuple(first if first.keys() == collection.properties.keys() else collection.properties)


def _values(reply: bytes, at: Array, collection: Collection, name: str) -> tuple[Array, Array, Array]:
    """The field at each position: its values, whether its name and value are valid, and its length."""
    text = name.encode() + b"\0"
    after = at + len(text) + 1
    if name in _ENUMERATED:
        codes, lengths = read_labels(reply, after, _ENUMERATED[name].members)
        return codes, is_text(reply, at, bytes([_STRING]) + text) & (codes >= 0), lengths + len(text) + 1
    if name == _LOAD:
        lengths = np.maximum(take(reply, after, "<i4").astype(np.int64), 0)
        return lengths, is_text(reply, at, bytes([_STRING]) + text), lengths + len(text) + 5
    schema = collection.properties[name]
    allowed = schema["bsonType"] if isinstance(schema["bsonType"], list) else [schema["bsonType"]]
    kind, form = _NUMBERS[allowed[0]]
    values = take(reply, after, form).astype(np.int64)
    right = is_text(reply, at, bytes([kind]) + text)
    length = len(text) + 1 + np.dtype(form).itemsize
    empty = is_text(reply, at, bytes([_NULL]) + text) if "null" in allowed else np.zeros(len(at), bool)
    if "minimum" in schema:
        right &= values >= schema["minimum"]
    if "maximum" in schema:
        right &= values <= schema["maximum"]
    return np.where(empty, NULL, values), right | empty, np.where(empty, len(text) + 1, length)


def _with_others(
    reply: bytes, starts: Array, collection: Collection, load_id: str, columns: dict[str, Array], mine: Array,
    right: Array,
) -> Rows:  # fmt: skip
    """The columns, with documents of another form decoded one by one."""
    malformed: list[tuple[Any, str]] = []
    found: list[dict[str, int]] = []
    theirs: list[bool] = []
    for document in _documents(reply, starts, malformed):
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


def _documents(reply: bytes, starts: Array, malformed: list[tuple[Any, str]]) -> Iterator[Document]:
    for at in starts.tolist():
        try:
            yield bson.decode(reply[at : at + int.from_bytes(reply[at : at + 4], "little")], _AWARE)
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
            kinds = schema["bsonType"] if isinstance(schema["bsonType"], list) else [schema["bsonType"]]
            right = type(value) in {_TYPES[kind] for kind in kinds}
            if right and isinstance(value, int):
                right = schema.get("minimum", value) <= value <= schema.get("maximum", value)
        if not right:
            return f"{name} {value!r}"
    return ""


def _number(name: str, value: Any) -> int:
    if value is None:
        return NULL
    if isinstance(value, datetime):
        return round((value - day_of(0)).total_seconds() * 1000)
    return _ENUMERATED[name].members.index(value) if name in _ENUMERATED else int(value)
