"""What BSON is made of (bsonspec.org): a document is its length, its elements and a zero byte; an element is a type, a
name and a value; the elements of an array are named by their positions.
"""

from collections.abc import Mapping
from functools import cache
from struct import Struct
from typing import Any

import bson
from bson.codec_options import CodecOptions

TAGS: Mapping[str, int] = {
    "string": 0x02, "object": 0x03, "array": 0x04, "date": 0x09, "null": 0x0A, "int": 0x10, "long": 0x12,
}  # fmt: skip
"""The byte of each type, by the names of `bsonType` in a validator."""

FORMS: Mapping[str, str] = {"date": "<i8", "int": "<i4", "long": "<i8"}
"""Numpy's form of the values that are numbers; a date is its milliseconds since 1970."""

LENGTH = Struct("<i")
"""With which a document and an array begin: that of all their bytes. With its zero byte, also a text's."""

_AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)


@cache
def head(kind: str, name: str) -> bytes:
    """What stands before the value of an element: its type and its name."""
    return bytes([TAGS[kind]]) + name.encode() + b"\0"


def framed(body: bytes | memoryview) -> bytes:
    """A document or an array of these elements."""
    return LENGTH.pack(len(body) + 5) + body + b"\0"


def nested(kind: str, name: str, body: bytes | memoryview) -> bytes:
    """The element that holds a document (`object`) or an array of these elements."""
    return head(kind, name) + framed(body)


def elements(document: Mapping[str, Any]) -> bytes:
    """The elements of a document."""
    return bson.encode(document)[4:-1]


def decode(document: bytes) -> dict[str, Any]:
    """A document, its dates being aware.

    Raises:
        BSONError: the bytes are not a document.
    """
    return bson.decode(document, _AWARE)
