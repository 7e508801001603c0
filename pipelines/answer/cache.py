"""Answers that are still right: named by question and data version, so that none is ever out of date."""

import threading
from collections import OrderedDict

from pipelines.answer.answer import Answer
from pipelines.ask.question import Question
from pipelines.state.version import Version

MAX_ROWS = 100_000
"""So many rows are kept in all, about 30 MB; the least recently used answers go first."""


class AnswerCache:
    """Keeps answers; may be used by several threads.

    Attributes:
        hits, misses: how often an answer was asked for and was here, or was not.
    """

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self._max_rows = max_rows
        self._rows = 0
        self._answers: OrderedDict[tuple[str, int, Question], Answer] = OrderedDict()
        self._lock = threading.Lock()
        self.hits = self.misses = 0

    def get(self, version: Version, question: Question) -> Answer | None:
        """The answer, if it is here."""
        key = (version.epoch, version.number, question)
        with self._lock:
            found = self._answers.get(key)
            if found:
                self._answers.move_to_end(key)
                self.hits += 1
            else:
                self.misses += 1
            return found

    def __contains__(self, key: tuple[Version, Question]) -> bool:
        """Whether an answer is here; asking this is not counted."""
        version, question = key
        return (version.epoch, version.number, question) in self._answers

    def put(self, answer: Answer) -> None:
        """Keep an answer; not one of a database without data, which has no name of its own."""
        if not answer.version.epoch:
            return
        key = (answer.version.epoch, answer.version.number, answer.question)
        with self._lock:
            if key not in self._answers:
                self._answers[key] = answer
                self._rows += len(answer.rows) + 1
            while self._rows > self._max_rows:
                self._rows -= len(self._answers.popitem(last=False)[1].rows) + 1
