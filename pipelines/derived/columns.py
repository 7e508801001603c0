"""Read the transactions of a range of days as columns of codes, straight from MongoDB's replies.

A reply is a sequence of BSON documents whose fields are in the order in which they were stored, so numpy can read
one field of all documents at a time; every type and name is checked. Decoding documents one by one takes longer
than MongoDB needs to send them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from struct import Struct
from typing import Any, TypeVar

import bson
import numpy as np
from bson.codec_options import CodecOptions

from catalog.collections import TRANSACTIONS
from catalog.columns import NULL
from catalog.dimensions import DatePart, Dimension
from catalog.errors import InternalError
from catalog.measures import AMOUNT
from catalog.purchases import DATE, PURCHASES
from pipelines.plan.compiler import match_transactions
from store.client import Reads
from store.replies import Reply, length_at

Array = np.ndarray[Any, np.dtype[Any]]
Result = TypeVar("Result")
_INT32, _INT64, _DATE, _STRING, _NULL = 0x10, 0x12, 0x09, 0x02, 0x0A
_CUSTOMER = "customer_id"
_NUMBERS = (AMOUNT, _CUSTOMER)
_BY_FIELD = {dimension.field: dimension for dimension in PURCHASES.stored}
_DAY_MS = 86_400_000
_INT = Struct("<i")


@dataclass(frozen=True)
class Columns:
    """Transactions as columns of the same length, in the order of their days.

    Attributes:
        codes: for each dimension's name the codes; `date` holds day numbers.
        cents: the amounts in cents, NULL where unknown.
        customers: the customer ids, if requested.
    """

    codes: Mapping[str, Array]
    cents: Array
    customers: Array | None = None

    def __len__(self) -> int:
        return len(self.cents)


def read_columns(reads: Reads, first: date, last: date, *, with_customers: bool = False) -> Columns:
    """The transactions of the days from `first` to `last`.

    Raises:
        InternalError: a field of a transaction does not satisfy its validator.
    """
    numbers = _NUMBERS if with_customers else (AMOUNT,)
    fields = {dimension.field: True for dimension in PURCHASES.stored} | dict.fromkeys(numbers, True) | {"_id": False}
    condition = match_transactions((), first, last)
    find = {"find": TRANSACTIONS.name, "filter": condition, "projection": fields}
    parts = read_replies(reads, find, _decode)
    names = [*(dimension.name for dimension in PURCHASES.stored), *numbers]
    joined = {name: np.concatenate([part[name] for part in parts] or [np.empty(0, np.int64)]) for name in names}
    order = np.argsort(joined[DATE.name], kind="stable")
    joined = {name: values[order] for name, values in joined.items()}
    joined |= {part.name: _of_days(joined[DATE.name], part) for part in PURCHASES.parts}
    codes = {dimension.name: joined[dimension.name] for dimension in PURCHASES.dimensions}
    return Columns(codes, joined[AMOUNT], joined.get(_CUSTOMER))


def _of_days(days: Array, part: DatePart) -> Array:
    """A dimension computed from days, once for each distinct day."""
    distinct, positions = np.unique(days, return_inverse=True)
    return np.array([part.code_of_day(day) for day in distinct.tolist()], np.int64)[positions]


def read_replies(reads: Reads, find: dict[str, Any], decode: Callable[[bytes, Array], Result]) -> list[Result]:
    """The result of `decode` for each reply to a `find`, given its bytes and the offsets of its documents.

    Bytes follow the last document's beginning, so that a look ahead never leaves the reply.
    """

    def take(reply: Reply) -> Result:
        return decode(reply.data, np.array(_starts(*reply), np.int64))

    return reads.replies(find, take)


def _starts(reply: bytes, begin: int, end: int) -> list[int]:
    """The offset of each document of an array: each begins with its length, after a type and its position as text."""
    starts: list[int] = []
    at, head, last = begin + 4, 3, end - 1
    following = 10
    read_length = _INT.unpack_from
    while at < last:
        if len(starts) == following:
            head, following = head + 1, following * 10
        at += head
        starts.append(at)
        at += read_length(reply, at)[0]
    return starts


def _decode(buffer: bytes, starts: Array) -> dict[str, Array]:
    """The columns of one reply, all documents at a time if their fields are in the same order."""
    at = starts + 4
    columns: dict[str, Array] = {}
    for field in next(_documents(buffer, starts)):
        kinds = take(buffer, at, "u1")
        if not is_text(buffer, at + 1, field.encode() + b"\0").all():
            return _decode_one_by_one(buffer, starts)
        at = at + len(field) + 2
        if field in _NUMBERS:
            columns[field], at = _numbers(buffer, at, kinds, field)
        else:
            dimension = _BY_FIELD[field]
            columns[dimension.name], at = _codes(buffer, at, kinds, dimension)
    if take(buffer, at, "u1").any():  # some have more fields than the first
        return _decode_one_by_one(buffer, starts)
    for each in PURCHASES.stored:
        if each.name not in columns:  # loaded before the field was declared
            _require(each in PURCHASES.optional, each.field)
            columns[each.name] = np.zeros(len(starts), np.int64)
    return columns


def _documents(buffer: bytes, starts: Array) -> Iterator[dict[str, Any]]:
    for at in starts.tolist():
        yield bson.decode(buffer[at : at + length_at(buffer, at)], CodecOptions(tz_aware=True))


def _decode_one_by_one(buffer: bytes, starts: Array) -> dict[str, Array]:
    """The same for documents with other fields than the first one, or in another order."""
    documents = list(_documents(buffer, starts))
    columns = {}
    for each in PURCHASES.stored:
        stored = [document.get(each.field) for document in documents]
        _require(each in PURCHASES.optional or None not in stored, each.field)
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
    values[known] = take(buffer, at[known], "<i8")
    return values, at + 8 * known


def _codes(buffer: bytes, at: Array, kinds: Array, dimension: Dimension) -> tuple[Array, Array]:
    if dimension.bson == "date":
        _require((kinds == _DATE).all(), dimension.field)
        return take(buffer, at, "<i8") // _DAY_MS, at + 8
    if dimension.bson == "int":
        _require((kinds == _INT32).all(), dimension.field)
        return take(buffer, at, "<i4").astype(np.int64), at + 4
    _require((kinds == _STRING).all(), dimension.field)
    codes, lengths = read_labels(buffer, at, dimension.members)
    _require((codes >= 0).all(), dimension.field)
    return codes, at + lengths


def read_labels(buffer: bytes, at: Array, members: Sequence[str]) -> tuple[Array, Array]:
    """The code of the label at each position (NULL if unknown), and its length in bytes."""
    lengths = take(buffer, at, "<i4")
    heads = take(buffer, at + 4, "<u8")
    codes = np.full(len(at), NULL, np.int64)
    for code, member in enumerate(members):
        text = member.encode() + b"\0"
        mask, head = _word(text)
        rows = np.flatnonzero((lengths == len(text)) & (heads & mask == head))
        if len(text) > 8:
            rows = rows[is_text(buffer, at[rows] + 12, text[8:])]
        codes[rows] = code
    return codes, np.maximum(lengths, 0).astype(np.int64) + 4


def is_text(buffer: bytes, at: Array, text: bytes) -> Array:
    """Whether the text is at each position, compared eight bytes at a time."""
    same = np.ones(len(at), bool)
    for begin in range(0, len(text), 8):
        mask, word = _word(text[begin:])
        same &= take(buffer, at + begin, "<u8") & mask == word
    return same


def _word(text: bytes) -> tuple[np.uint64, np.uint64]:
    """The first eight bytes of a text as a number, and the mask of the bits that count."""
    part = text[:8]
    return np.uint64(2 ** (8 * len(part)) - 1), np.uint64(int.from_bytes(part, "little"))


def take(buffer: bytes, at: Array, form: str) -> Array:
    """The little-endian number at each position: numpy views one at every byte, and picks these."""
    numbers: Array = np.ndarray(len(buffer) - np.dtype(form).itemsize + 1, form, buffer, strides=(1,))
    return numbers[at]


def _require(condition: Any, field: str) -> None:
    if not condition:
        raise InternalError(f"The field {field} of a transaction does not satisfy its validator.")
