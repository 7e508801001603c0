"""Heads of replies: the part that is the same for the same answer. Creating it takes most of a reply's time."""

from collections.abc import Callable

from flask import Flask

from pipelines.answer.cache import Cache
from pipelines.ask.question import Question
from pipelines.state.version import Version

MAX_BYTES = 8 << 20
"""The size of a process's cache of heads, in bytes."""


class Heads:
    """A cache of heads by data version and question; thread-safe."""

    def __init__(self) -> None:
        self._heads: Cache[tuple[Version, Question], bytes] = Cache(MAX_BYTES, len)

    def get(self, version: Version, question: Question, make: Callable[[], bytes]) -> bytes:
        """The head of the reply to a question, created only if it is not cached."""
        found = self._heads.get((version, question))
        if found is None:
            self._heads.put((version, question), found := make())
        return found


def install(app: Flask) -> None:
    """Let `service.api.replies` get heads from this cache."""
    app.extensions["heads"] = Heads().get
