"""Documents as MongoDB sends them."""

from collections.abc import Mapping, Sequence
from typing import Any

import bson
from bson.int64 import Int64

from store.bson.reply import Reply, cut


def reply_of(documents: Sequence[Mapping[str, Any]]) -> Reply:
    """A reply that holds these documents."""
    return cut(bson.encode({"firstBatch": documents, "id": Int64(0), "ns": "a.b"}), "firstBatch")[0]
