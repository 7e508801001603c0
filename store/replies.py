"""Replies to a `find` as raw bytes, for callers that parse the documents themselves.

The driver's `find_raw_batches` creates an object for each document (PyMongo 4.20), which takes longer than everything
done with it here; the reply to a plain command stays as it arrived.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from bson.int64 import Int64
from pymongo.database import Database

from store.bson.reply import RAW, Reply, cut

BATCH = 30_000


def replies(db: Database[Any], find: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[Reply]:
    """The replies to a `find` that contain documents; all its commands get the same session and comment."""
    command: dict[str, Any] = {**find, "batchSize": BATCH}
    array, cursor_id = "firstBatch", -1
    while cursor_id:
        reply, cursor = cut(db.command(command, codec_options=RAW, **given)["cursor"].raw, array)
        if reply.starts:
            yield reply
        cursor_id = cursor["id"]
        command = {"getMore": Int64(cursor_id), "collection": find["find"], "batchSize": BATCH}
        array = "nextBatch"
