"""Replies to a `find` as raw bytes, for callers that parse the documents themselves.

The driver's `find_raw_batches` creates an object for each document (PyMongo 4.20), which takes longer than everything
done with it here; the reply to a plain command stays as it arrived.
"""

from collections.abc import Iterator, Mapping
from struct import Struct
from typing import Any, NamedTuple

import bson
from bson.codec_options import CodecOptions
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from pymongo.database import Database

BATCH = 30_000
MARGIN = 64
_RAW: CodecOptions[RawBSONDocument] = CodecOptions(RawBSONDocument)
_LENGTH = Struct("<i")


class Reply(NamedTuple):
    """A reply, and where the array of its documents begins and ends in it; at least MARGIN bytes follow the array."""

    data: bytes
    begin: int
    end: int


def replies(db: Database[Any], find: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[Reply]:
    """The replies to a `find` that contain documents; all its commands get the same session and comment."""
    command: dict[str, Any] = {**find, "batchSize": BATCH}
    tag = b"\x04firstBatch\0"
    cursor_id = -1
    while cursor_id:
        cursor = db.command(command, codec_options=_RAW, **given)["cursor"]
        data = b"".join((cursor.raw, bytes(MARGIN)))
        begin = data.index(tag)
        end = begin + len(tag) + length_at(data, begin + len(tag))
        if end - begin - len(tag) > _EMPTY:
            yield Reply(data, begin + len(tag), end)
        others = data[4:begin] + data[end : length_at(data, 0)]  # the cursor without its documents
        cursor_id = bson.decode((len(others) + 4).to_bytes(4, "little") + others)["id"]
        command = {"getMore": Int64(cursor_id), "collection": find["find"], "batchSize": BATCH}
        tag = b"\x04nextBatch\0"


_EMPTY = 5
"""The size in bytes of an empty array."""


def length_at(data: bytes, at: int) -> int:
    """The length in bytes of the document that begins at `at`."""
    length: int = _LENGTH.unpack_from(data, at)[0]
    return length
