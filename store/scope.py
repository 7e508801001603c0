"""What the commands made for one request share: a comment that names them in MongoDB's log, and a deadline."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import pymongo

_comment: ContextVar[str | None] = ContextVar("comment", default=None)
_budget_ms: ContextVar[int | None] = ContextVar("budget_ms", default=None)


@contextmanager
def scope(comment: str, budget_ms: int) -> Iterator[None]:
    """Give the commands of the block a comment, and no more time than this in all.

    PyMongo sends what is left of the time with each command as `maxTimeMS`, so MongoDB stops working, too.
    """
    comment_before, budget_before = _comment.set(comment), _budget_ms.set(budget_ms)
    try:
        with pymongo.timeout(budget_ms / 1000):
            yield
    finally:
        _comment.reset(comment_before)
        _budget_ms.reset(budget_before)


def comment() -> str | None:
    """The comment for a command made now, or None outside of a scope."""
    return _comment.get()


def budget_ms() -> int | None:
    """The milliseconds that the present scope was given, or None outside of one."""
    return _budget_ms.get()
