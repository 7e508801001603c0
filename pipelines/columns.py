"""Read the transactions of a range of days as columns of codes, straight from MongoDB's replies.

A reply is a run of BSON documents whose fields come in the order in which they were stored, so numpy can take
one field of all documents at a time; each type and name is checked on the way. Decoding documents one by
one takes longer than MongoDB needs to send them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import bson
import numpy as np
from bson.codec_options import CodecOptions

from catalog.collections import TRANSACTIONS
from catalog.dimensions import DATE, DIMENSIONS, HOUR, Dimension
from catalog.errors import InternalError
from catalog.measures import AMOUNT
from pipelines.compiler import match_transactions
from store.client import Session, Store

Array = np.ndarray[Any, np.dtype[Any]]
NULL = -1
"""What stands for an unknown amount."""

_INT32, _INT64, _DATE, _STRING, _NULL = 0x10, 0x12, 0x09, 0x02, 0x0A
_BY_FIELD = {dimension.field: dimension for dimension in DIMENSIONS}
_DAY_MS = 86_400_000
_BATCH = 30_000


@dataclass(frozen=True)
class Columns:
    """Transactions as columns of the same length, in the order of their days.

    Attributes:
        codes: for each dimension's name the codes; `date` holds day numbers.
        cents: the amounts in cents, NULL where unknown.
    """

    codes: Mapping[str, Array]
    cents: Array

    def __len__(self) -> int:
        return len(self.cents)


def read_columns(store: Store, session: Session | None, first: date, last: date) -> Columns:
    """The transactions of the days from `first` to `last`.

    Raises:
        InternalError: a transaction has a field of another type than its validator allows.
    """
    fields = {dimension.field: True for dimension in DIMENSIONS} | {AMOUNT: True, "_id": False}
    replies: Iterable[Any] = store.db[TRANSACTIONS.name].find_raw_batches(
        match_transactions((), first, last), fields, batch_size=_BATCH, session=session
    )
    parts = [_decode(reply) for reply in replies]
    names = [dimension.name for dimension in DIMENSIONS]
    joined = {
        name: np.concatenate([part[name] for part in parts] or [np.empty(0, np.int64)]) for name in [*names, AMOUNT]
    }
    order = np.argsort(joined[DATE.name], kind="stable")
    return Columns({name: joined[name][order] for name in names}, joined[AMOUNT][order])


def _decode(reply: bytes) -> dict[str, Array]:
    """The columns of one reply, all documents at a time where they have their fields in one order."""
    buffer = np.frombuffer(reply, np.uint8)
    at = _starts(reply) + 4
    columns: dict[str, Array] = {}
    for field in bson.decode(reply[: int.from_bytes(reply[:4], "little")]):
        kinds = buffer[at]
        for offset, byte in enumerate(field.encode() + b"\0", 1):
            if not (buffer[at + offset] == byte).all():
                return _decode_one_by_one(reply)
        at = at + len(field) + 2
        if field == AMOUNT:
            columns[AMOUNT], at = _amounts(buffer, at, kinds)
        else:
            dimension = _BY_FIELD[field]
            columns[dimension.name], at = _codes(buffer, at, kinds, dimension)
    return columns


def _decode_one_by_one(reply: bytes) -> dict[str, Array]:
    """The same for documents that somebody wrote with their fields in another order."""
    documents: list[dict[str, Any]] = bson.decode_all(reply, CodecOptions(tz_aware=True))
    columns = {each.name: np.array([each.code(document[each.field]) for document in documents]) for each in DIMENSIONS}
    amounts = [NULL if document[AMOUNT] is None else int(document[AMOUNT]) for document in documents]
    return columns | {AMOUNT: np.array(amounts, np.int64)}


def _starts(reply: bytes) -> Array:
    """Where each document begins: each says how long it is."""
    starts = []
    at, end = 0, len(reply)
    while at < end:
        starts.append(at)
        at += int.from_bytes(reply[at : at + 4], "little")
    return np.array(starts, np.int64)


def _amounts(buffer: Array, at: Array, kinds: Array) -> tuple[Array, Array]:
    known = kinds == _INT64
    _require((known | (kinds == _NULL)).all(), AMOUNT)
    cents = np.full(len(at), NULL, np.int64)
    cents[known] = _take(buffer, at[known], "<i8")
    return cents, at + 8 * known


def _codes(buffer: Array, at: Array, kinds: Array, dimension: Dimension) -> tuple[Array, Array]:
    if dimension is DATE:
        _require((kinds == _DATE).all(), dimension.field)
        return _take(buffer, at, "<i8") // _DAY_MS, at + 8
    if dimension.is_open or dimension is HOUR:
        _require((kinds == _INT32).all(), dimension.field)
        return _take(buffer, at, "<i4").astype(np.int64), at + 4
    _require((kinds == _STRING).all(), dimension.field)
    lengths = _take(buffer, at, "<i4").astype(np.int64)
    codes = np.full(len(at), NULL, np.int64)
    for code, member in enumerate(dimension.members):
        text = np.frombuffer(member.encode() + b"\0", np.uint8)
        rows = np.flatnonzero(lengths == len(text))
        same = (buffer[at[rows, None] + 4 + np.arange(len(text))] == text).all(axis=1)
        codes[rows[same]] = code
    _require((codes >= 0).all(), dimension.field)
    return codes, at + 4 + lengths


def _take(buffer: Array, at: Array, form: str) -> Array:
    """The little-endian number at each position."""
    size = np.dtype(form).itemsize
    return np.ascontiguousarray(buffer[at[:, None] + np.arange(size)]).view(form).reshape(-1)


def _require(condition: Any, field: str) -> None:
    if not condition:
        raise InternalError(f"a transaction's {field} is not what its validator allows")
