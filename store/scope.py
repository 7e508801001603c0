"""What the commands of one request share: a comment that identifies them in MongoDB's log, and a deadline."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import pymongo

_comment: ContextVar[str | None] = ContextVar("comment", default=None)
_budget_ms: ContextVar[int | None] = ContextVar("budget_ms", default=None)


@contextmanager
def scope(comment: str, budget_ms: int) -> Iterator[None]:
    """Give the commands of the block a comment and a common time limit.

    PyMongo sends the remaining time with each command as `maxTimeMS`, so MongoDB stops working, too.
    """
    comment_before, budget_before = _comment.set(comment), _budget_ms.set(budget_ms)
    try:
        with pymongo.timeout(budget_ms / 1000):
            yield
    finally:
        _comment.reset(comment_before)
        _budget_ms.reset(budget_before)


def comment() -> str | None:
    """The comment of the current scope, or None outside of one."""
    return _comment.get()


def budget_ms() -> int | None:
    """The time limit of the current scope in milliseconds, or None outside of one."""
    return _budget_ms.get()
