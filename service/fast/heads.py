"""Replies to answers as JSON, in two parts: a head that the same answer always has, and each request's own part.

Making a head takes most of the time of a reply, so heads are kept for as long as they are right.
"""

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

from cachetools import LRUCache
from flask import current_app

from pipelines.ask.question import Question
from pipelines.state.version import Version

MAX_BYTES = 8 << 20
"""So many bytes of heads are kept by a process; the least recently used go first."""


class Heads:
    """Keeps heads by data version and question; may be used by several threads."""

    def __init__(self) -> None:
        self._heads: LRUCache[tuple[Version, Question], bytes] = LRUCache(MAX_BYTES, len)
        self._lock = threading.Lock()

    def get(self, version: Version, question: Question, make: Callable[[], bytes]) -> bytes:
        """The head of the reply to a question, made only where it is not here."""
        key = version, question
        with self._lock:
            found = self._heads.get(key)
        if found is None:
            found = make()
            with self._lock, suppress(ValueError):  # it is larger than all that is kept may be
                self._heads[key] = found
        return found


def own_part(timing_ms: Mapping[str, float], request_id: str) -> bytes:
    """The end of a reply: the request's own timing and id, and what closes `meta` and the reply."""
    return json.dumps({"timing_ms": timing_ms, "request_id": request_id}).encode()[1:] + b"}"


def heads() -> Heads:
    """Those of the current application."""
    found: Heads = current_app.extensions.setdefault("heads", Heads())
    return found
