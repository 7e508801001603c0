"""Read the transactions of a range of days as columns of codes, straight from MongoDB's replies.

A reply is a run of BSON documents whose fields come in the order in which they were stored, so numpy can take
one field of all documents at a time; each type and name is checked on the way. Decoding documents one by
one takes longer than MongoDB needs to send them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from struct import Struct
from typing import Any

import bson
import numpy as np
from bson.codec_options import CodecOptions
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from pymongo.errors import AutoReconnect

from catalog.collections import TRANSACTIONS
from catalog.dimensions import Dimension
from catalog.errors import InternalError
from catalog.kinds import NULL, DatePart
from catalog.measures import AMOUNT
from catalog.purchases import DATE, PURCHASES
from pipelines.plan.compiler import match_transactions
from store.client import Session, Store

Array = np.ndarray[Any, np.dtype[Any]]
_INT32, _INT64, _DATE, _STRING, _NULL = 0x10, 0x12, 0x09, 0x02, 0x0A
_CUSTOMER = "customer_id"
_NUMBERS = (AMOUNT, _CUSTOMER)
_BY_FIELD = {dimension.field: dimension for dimension in PURCHASES.stored}
_DAY_MS = 86_400_000
_WIDEST = 8
_INT = Struct("<i")
_RAW: CodecOptions[RawBSONDocument] = CodecOptions(RawBSONDocument)
_BATCH = 30_000


@dataclass(frozen=True)
class Columns:
    """Transactions as columns of the same length, in the order of their days.

    Attributes:
        codes: for each dimension's name the codes; `date` holds day numbers.
        cents: the amounts in cents, NULL where unknown.
        customers: the customers' ids, where they were asked for.
    """

    codes: Mapping[str, Array]
    cents: Array
    customers: Array | None = None

    def __len__(self) -> int:
        return len(self.cents)


def read_columns(store: Store, session: Session, first: date, last: date, *, with_customers: bool = False) -> Columns:
    """The transactions of the days from `first` to `last`.

    Raises:
        InternalError: a transaction has a field of another type than its validator allows.
    """
    numbers = _NUMBERS if with_customers else (AMOUNT,)
    fields = {dimension.field: True for dimension in PURCHASES.stored} | dict.fromkeys(numbers, True) | {"_id": False}
    condition = match_transactions((), first, last)
    try:
        parts = [_decode(*batch) for batch in _batches(store, session, condition, fields)]
    except AutoReconnect:  # once more, as the driver does with reads of its own
        parts = [_decode(*batch) for batch in _batches(store, session, condition, fields)]
    names = [*(dimension.name for dimension in PURCHASES.stored), *numbers]
    joined = {name: np.concatenate([part[name] for part in parts] or [np.empty(0, np.int64)]) for name in names}
    order = np.argsort(joined[DATE.name], kind="stable")
    joined = {name: values[order] for name, values in joined.items()}
    joined |= {part.name: _of_days(joined[DATE.name], part) for part in PURCHASES.parts}
    codes = {dimension.name: joined[dimension.name] for dimension in PURCHASES.dimensions}
    return Columns(codes, joined[AMOUNT], joined.get(_CUSTOMER))


def _of_days(days: Array, part: DatePart) -> Array:
    """What follows from days, each of which is computed once."""
    distinct, positions = np.unique(days, return_inverse=True)
    return np.array([part.code_of_day(day) for day in distinct.tolist()], np.int64)[positions]


def _batches(
    store: Store, session: Session, condition: dict[str, Any], fields: dict[str, bool]
) -> Iterator[tuple[bytes, Array]]:
    """The replies to a `find`, and where in each its documents begin.

    The driver's `find_raw_batches` makes an object of each document on the way (PyMongo 4.20), which takes longer than
    all that is done with it here; the reply to a plain command stays as it came.
    """
    name = TRANSACTIONS.name
    command = {"find": name, "filter": condition, "projection": fields, "batchSize": _BATCH}
    tag = b"\x04firstBatch\0"
    cursor_id = -1
    while cursor_id:
        cursor = store.db.command(command, codec_options=_RAW, session=session)["cursor"]
        reply = b"".join((cursor.raw, bytes(_WIDEST)))  # so that each field is followed by enough bytes
        begin = reply.index(tag)
        end = begin + len(tag) + _length(reply, begin + len(tag))
        if starts := list(_starts(reply, begin + len(tag), end)):
            yield reply, np.array(starts, np.int64)
        others = reply[4:begin] + reply[end : _length(reply, 0)]  # the cursor but for its documents
        cursor_id = bson.decode((len(others) + 4).to_bytes(4, "little") + others)["id"]
        command, tag = {"getMore": Int64(cursor_id), "collection": name, "batchSize": _BATCH}, b"\x04nextBatch\0"


def _starts(reply: bytes, begin: int, end: int) -> Iterator[int]:
    """Where each document of an array begins: each says how long it is, after a type and its position as text."""
    at, digits, following = begin + 4, 1, 10
    for position in range(end - begin):
        if at >= end - 1:
            return
        if position == following:
            digits, following = digits + 1, following * 10
        at += 2 + digits
        yield at
        at += _length(reply, at)


def _length(data: bytes, at: int) -> int:
    length: int = _INT.unpack_from(data, at)[0]
    return length


def _decode(buffer: bytes, starts: Array) -> dict[str, Array]:
    """The columns of one reply, all documents at a time where they have their fields in one order."""
    at = starts + 4
    columns: dict[str, Array] = {}
    for field in next(_documents(buffer, starts)):
        kinds = _take(buffer, at, "u1")
        if not _is_text(buffer, at + 1, field.encode() + b"\0").all():
            return _decode_one_by_one(buffer, starts)
        at = at + len(field) + 2
        if field in _NUMBERS:
            columns[field], at = _numbers(buffer, at, kinds, field)
        else:
            dimension = _BY_FIELD[field]
            columns[dimension.name], at = _codes(buffer, at, kinds, dimension)
    if _take(buffer, at, "u1").any():  # some have more fields than the first
        return _decode_one_by_one(buffer, starts)
    for each in PURCHASES.stored:
        if each.name not in columns:  # loaded before the field was declared
            _require(each.absent is not None, each.field)
            columns[each.name] = np.full(len(starts), each.absent)
    return columns


def _documents(buffer: bytes, starts: Array) -> Iterator[dict[str, Any]]:
    for at in starts.tolist():
        yield bson.decode(buffer[at : at + _length(buffer, at)], CodecOptions(tz_aware=True))


def _decode_one_by_one(buffer: bytes, starts: Array) -> dict[str, Array]:
    """The same for documents that have other fields than the first, or have them in another order."""
    documents = list(_documents(buffer, starts))
    columns = {}
    for each in PURCHASES.stored:
        stored = [document.get(each.field) for document in documents]
        _require(each.absent is not None or None not in stored, each.field)
        columns[each.name] = np.array([each.code(value) for value in stored])
    for field in _NUMBERS:
        if field in documents[0]:
            values = [NULL if document[field] is None else int(document[field]) for document in documents]
            columns[field] = np.array(values, np.int64)
    return columns


def _numbers(buffer: bytes, at: Array, kinds: Array, field: str) -> tuple[Array, Array]:
    known = kinds == _INT64
    _require((known | (kinds == _NULL)).all(), field)
    values = np.full(len(at), NULL, np.int64)
    values[known] = _take(buffer, at[known], "<i8")
    return values, at + 8 * known


def _codes(buffer: bytes, at: Array, kinds: Array, dimension: Dimension) -> tuple[Array, Array]:
    if dimension.bson == "date":
        _require((kinds == _DATE).all(), dimension.field)
        return _take(buffer, at, "<i8") // _DAY_MS, at + 8
    if dimension.bson == "int":
        _require((kinds == _INT32).all(), dimension.field)
        return _take(buffer, at, "<i4").astype(np.int64), at + 4
    _require((kinds == _STRING).all(), dimension.field)
    lengths = _take(buffer, at, "<i4").astype(np.int64)
    codes = np.full(len(at), NULL, np.int64)
    for code, member in enumerate(dimension.members):
        text = member.encode() + b"\0"
        rows = np.flatnonzero(lengths == len(text))
        codes[rows[_is_text(buffer, at[rows] + 4, text)]] = code
    _require((codes >= 0).all(), dimension.field)
    return codes, at + 4 + lengths


def _is_text(buffer: bytes, at: Array, text: bytes) -> Array:
    """Whether the text stands at each position, eight bytes at a time."""
    same = np.ones(len(at), bool)
    for begin in range(0, len(text), 8):
        part = text[begin : begin + 8]
        mask = np.uint64(2 ** (8 * len(part)) - 1)
        same &= (_take(buffer, at + begin, "<u8") & mask) == np.uint64(int.from_bytes(part, "little"))
    return same


def _take(buffer: bytes, at: Array, form: str) -> Array:
    """The little-endian number at each position: numpy sees one at every byte, and picks those."""
    numbers: Array = np.ndarray(len(buffer) - np.dtype(form).itemsize + 1, form, buffer, strides=(1,))
    return numbers[at]


def _require(condition: Any, field: str) -> None:
    if not condition:
        raise InternalError(f"a transaction's {field} is not what its validator allows")
