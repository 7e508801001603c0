"""Heads of replies: what the same answer always has. Making one takes most of the time of a large reply."""

from collections.abc import Callable

from flask import Flask

from pipelines.answer.answer import Answer
from pipelines.answer.cache import Cache
from pipelines.ask.question import Question
from pipelines.state.version import Directory, Version

MAX_BYTES = 8 << 20
"""The size of a process's cache of heads, in bytes."""

Make = Callable[[Answer, Directory], bytes]


class Heads:
    """A cache of heads by data version and question; thread-safe."""

    def __init__(self) -> None:
        self._heads: Cache[tuple[Version, Question], bytes] = Cache(MAX_BYTES, len)

    def get(self, found: Answer, directory: Directory, make: Make) -> bytes:
        """The head of an answer of this directory's version, made only where it is not here."""
        name = (directory.version, found.question)
        head = self._heads.get(name)
        if head is None:
            self._heads.put(name, head := make(found, directory))
        return head


def install(app: Flask) -> None:
    """Let `service.api.replies` get heads from this cache."""
    app.extensions["heads"] = Heads().get
