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
"""The byte for each type, by its `bsonType` in validators."""

FORMS: Mapping[str, str] = {"date": "<i8", "int": "<i4", "long": "<i8"}
"""The numpy type of values that are numbers; a date is stored as milliseconds since 1970."""

LENGTH = Struct("<i")
"""The length in bytes at the beginning of a document, an array or a string."""

_AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)


@cache
def head(kind: str, name: str) -> bytes:
    """What precedes the value of an element: its type and its name."""
    return bytes([TAGS[kind]]) + name.encode() + b"\0"


def framed(body: bytes | memoryview) -> bytes:
    """The document or array with these elements."""
    return LENGTH.pack(len(body) + 5) + body + b"\0"


def nested(kind: str, name: str, body: bytes | memoryview) -> bytes:
    """An element whose value is the document (`object`) or array with these elements."""
    return head(kind, name) + framed(body)


def elements(document: Mapping[str, Any]) -> bytes:
    """The elements of a document."""
    return bson.encode(document)[4:-1]


def decode(document: bytes) -> dict[str, Any]:
    """A document, with time-zone-aware dates.

    Raises:
        BSONError: the bytes are not a document.
    """
    return bson.decode(document, _AWARE)
