"""What is kept from before: bounded in size, the least recently used goes first."""

import threading
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Generic, TypeVar

from cachetools import LRUCache

from pipelines.answer.answer import Answer
from pipelines.ask.question import Question
from pipelines.derived.columns import Columns
from pipelines.state.version import Version

MAX_KEPT_ROWS = 100_000
"""So many rows of answers are kept in all, about 30 MB."""

Name = TypeVar("Name", bound=Hashable)
Value = TypeVar("Value")


class Cache(Generic[Name, Value]):
    """Keeps values by name up to a total size; may be used by several threads."""

    def __init__(self, max_size: int, size_of: Callable[[Value], int]) -> None:
        self._values: LRUCache[Name, Value] = LRUCache(max_size, size_of)
        self._lock = threading.Lock()

    def get(self, name: Name) -> Value | None:
        """The value of that name, if it is here."""
        with self._lock:
            found: Value | None = self._values.get(name)
            return found

    def put(self, name: Name, value: Value) -> None:
        """Keep a value, and drop what no longer fits; a value that is larger than the bound is not kept."""
        with self._lock, suppress(ValueError):
            self._values[name] = value

    def __contains__(self, name: Name) -> bool:
        """Whether a value of that name is here; asking does not count as use."""
        return name in self._values

    @property
    def size(self) -> int:
        """The size of all that is here."""
        return int(self._values.currsize)


class AnswerCache:
    """Keeps answers by data version and question, so that none is ever out of date."""

    def __init__(self, max_rows: int = MAX_KEPT_ROWS) -> None:
        self._answers: Cache[tuple[str, int, Question], Answer] = Cache(max_rows, lambda each: len(each.rows) + 1)

    def get(self, version: Version, question: Question) -> Answer | None:
        """The answer, if it is here."""
        return self._answers.get((version.epoch, version.number, question))

    def put(self, answer: Answer) -> None:
        """Keep an answer; not one of a database without data, which has no name of its own."""
        if answer.version.epoch:
            self._answers.put((answer.version.epoch, answer.version.number, answer.question), answer)

    @property
    def rows(self) -> int:
        """How many rows are kept, and one more for each answer."""
        return self._answers.size


def bytes_of(columns: Columns) -> int:
    """The memory that columns take."""
    return int(columns.cents.nbytes) + sum(int(codes.nbytes) for codes in columns.codes.values())
