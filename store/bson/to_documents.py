"""Encode columns as documents: numpy lays out fields of fixed length for all rows at once.

Encoding dicts one by one takes ten times as long.
"""

from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from bson.raw_bson import RawBSONDocument
from numpy.typing import NDArray

from store.bson.elements import FORMS, TAGS, framed, head

Field = tuple[str, str, NDArray[Any]]
"""Type (one of FORMS, or `null`, which ignores the values), name and values."""

_LENGTH, _POSITION = "<length>", "<position>"


class Encoded(RawBSONDocument):
    """A document encoded here: unlike its base class, it does not parse its bytes, which takes most of the time (0.2
    instead of 1.2 us).
    """

    __slots__ = ("raw",)
    raw: bytes

    def __init__(self, raw: bytes) -> None:
        self.raw = raw


def documents(*parts: Iterable[bytes]) -> list[Encoded]:
    """The parts of each row joined; the shortest column ends it."""
    return list(map(Encoded, map(b"".join, zip(*parts, strict=False))))


def fixed(*fields: Field, rest: NDArray[Any] | None = None) -> list[bytes]:
    """The elements of each row.

    Attributes:
        rest: if documents begin with these elements, the number of bytes that follow them in each row.
    """
    layout = [part for kind, name, _ in fields for part in _element(kind, name)]
    table = _table(len(fields[0][2]), *([] if rest is None else [(_LENGTH, "<i4")]), *layout)
    width = table.dtype.itemsize
    if rest is not None:
        table[_LENGTH] = rest + width
    _fill(table, fields)
    encoded = table.tobytes()
    return [encoded[at : at + width] for at in range(0, len(encoded), width)]


def arrays(sizes: NDArray[Any], *fields: Field) -> list[memoryview]:
    """The elements of arrays of documents: the first `sizes[0]` rows are the first array, and so on."""
    upto = np.cumsum(sizes)
    positions = np.arange(sizes.sum()) - np.repeat(upto - sizes, sizes)
    digits = np.ones(len(positions), np.int64)
    while (longer := positions >= 10**digits).any():
        digits += longer
    form = tuple((kind, name) for kind, name, _ in fields)
    ends = np.append(0, np.cumsum(digits + (_documents_at(form, 1).dtype.itemsize - 1)))
    encoded = np.empty(ends[-1], np.uint8)
    for width in range(1, int(digits.max(initial=0)) + 1):
        here = np.flatnonzero(digits == width)
        table = _documents_at(form, width)[positions[here] - _first(width)]
        _fill(table, ((kind, name, values[here]) for kind, name, values in fields))
        size = table.dtype.itemsize
        encoded[(ends[here + 1] - size)[:, None] + np.arange(size)] = table.view(np.uint8).reshape(-1, size)
    data = encoded.data
    return [data[begin:end] for begin, end in pairwise([0, *ends[upto].tolist()])]


@cache
def _documents_at(form: tuple[tuple[str, str], ...], digits: int) -> NDArray[Any]:
    """Array elements without their numbers, for every position of so many digits."""
    body = [part for kind, name in form for part in _element(kind, name)]
    frame = framed(bytes(_table(0, *body).dtype.itemsize))
    tag, position = bytes([TAGS["object"]]), (_POSITION, f"S{digits}")
    table = _table(10**digits - _first(digits), tag, position, b"\0" + frame[:4], *body, frame[-1:])
    table[_POSITION] = np.arange(_first(digits), 10**digits).astype(f"S{digits}")
    return table


def _first(digits: int) -> int:
    """The first position that has so many digits."""
    return 0 if digits == 1 else 10 ** (digits - 1)


def _element(kind: str, name: str) -> list[bytes | tuple[str, str]]:
    """The parts of an element, for `_table`."""
    return [head(kind, name), *([(name, FORMS[kind])] if kind in FORMS else [])]


def _table(rows: int, *parts: bytes | tuple[str, str]) -> NDArray[Any]:
    """Rows of constant bytes and of named, still empty values of a numpy type."""
    named = [part if isinstance(part, tuple) else (f"<{at}>", f"V{len(part)}") for at, part in enumerate(parts)]
    table = np.empty(rows, named)
    for (name, _), part in zip(named, parts, strict=True):
        if isinstance(part, bytes):
            table[name] = np.void(part)
    return table


def _fill(table: NDArray[Any], fields: Iterable[Field]) -> None:
    for kind, name, values in fields:
        if kind in FORMS:
            table[name] = values
