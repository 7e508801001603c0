"""A reply of MongoDB as bytes, and where each of its documents begins."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from store.bson.elements import LENGTH, decode, framed, head

RAW: CodecOptions[RawBSONDocument] = CodecOptions(RawBSONDocument)
"""Makes the driver return documents as undecoded bytes."""

_MARGIN = bytes(64)
_length_at = LENGTH.unpack_from


@dataclass(frozen=True, slots=True)
class Reply:
    """Documents in a buffer.

    Attributes:
        data: the buffer; at least 64 bytes follow the last document, so that reading ahead stays within it.
        starts: the offset of each document.
    """

    data: bytes
    starts: list[int]

    def documents(self) -> Iterator[bytes]:
        """Each document."""
        return (self.data[at : at + _length_at(self.data, at)[0]] for at in self.starts)


def cut(document: bytes | memoryview, array: str) -> tuple[Reply, dict[str, Any]]:
    """The documents in an array of a document, and its other fields."""
    data = b"".join((document, _MARGIN))
    before = head("array", array)
    at = data.index(before)
    begin = at + len(before)
    end = begin + _length_at(data, begin)[0]
    others = data[4:at] + data[end : len(document) - 1]
    return Reply(data, _starts(data, begin, end)), decode(framed(others))


def _starts(data: bytes, begin: int, end: int) -> list[int]:
    """The offset of each document of an array; a type, its position as text and a zero byte precede each."""
    starts: list[int] = []
    at, before, last = begin + 4, 3, end - 1
    following = 10
    while at < last:
        if len(starts) == following:
            before, following = before + 1, following * 10
        at += before
        starts.append(at)
        at += _length_at(data, at)[0]
    return starts


def id_of(document: bytes) -> str:
    """The `_id` of a document, provided that it comes first and is a string."""
    begin = 4 + len(head("string", "_id")) + 4
    return document[begin : document.index(b"\0", begin)].decode()
