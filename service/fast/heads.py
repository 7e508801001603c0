"""Heads of replies: what the same answer always has. Making one takes most of the time of a reply."""

from collections.abc import Callable

from flask import Flask

from pipelines.answer.cache import Cache
from pipelines.ask.question import Question
from pipelines.state.version import Version

MAX_BYTES = 8 << 20
"""So many bytes of heads are kept by a process."""


class Heads:
    """Keeps heads by data version and question; may be used by several threads."""

    def __init__(self) -> None:
        self._heads: Cache[tuple[Version, Question], bytes] = Cache(MAX_BYTES, len)

    def get(self, version: Version, question: Question, make: Callable[[], bytes]) -> bytes:
        """The head of the reply to a question, made only where it is not here."""
        found = self._heads.get((version, question))
        if found is None:
            self._heads.put((version, question), found := make())
        return found


def install(app: Flask) -> None:
    """Let `service.api.replies` get heads from here."""
    app.extensions["heads"] = Heads().get
