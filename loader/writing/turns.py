"""Whose turn it is: batches are written side by side and committed in the order of the file.

So the committed part is always the beginning of the file, and of two rows with the same id the first one is stored.
Two batches conflict only if they contain the same id. Then the earlier one goes first, alone.
"""

from collections.abc import Callable
from threading import Condition


class Behind(Exception):
    """An earlier batch must go first: abort the transaction, and begin it again afterwards."""


class Stopped(Exception):
    """The load has ended before this batch."""


class Turns:
    """Shared by the lanes of a load. Batches are numbered from 0 in the order of the file."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._next = 0
        self._inside: set[int] = set()
        self._alone: int | None = None
        self._stopped = False

    def enter(self, number: int, *, alone: bool) -> None:
        """Begin to write a batch; `alone` waits for its turn, and until all others have given way.

        Raises:
            Stopped: the load has ended.
        """
        with self._changed:
            if alone:
                self._until(lambda: self._next == number)
                self._alone = number
                self._changed.notify_all()
                self._until(lambda: not self._inside)
            else:
                self._until(lambda: self._alone is None)
            self._inside.add(number)

    def leave(self, number: int) -> None:
        """Stop writing a batch, committed or not."""
        with self._changed:
            self._inside.discard(number)
            if self._alone == number:
                self._alone = None
            self._changed.notify_all()

    def await_commit(self, number: int) -> None:
        """Within its transaction, wait until a batch may commit.

        Raises:
            Behind: it must give way first.
            Stopped: the load has ended.
        """
        with self._changed:
            self._until(lambda: self._next == number or self._alone is not None)
            if self._next != number:
                raise Behind

    def await_turn(self, number: int) -> None:
        """Outside of a transaction, wait until every batch before this one is committed.

        Raises:
            Stopped: the load has ended.
        """
        with self._changed:
            self._until(lambda: self._next == number)

    def done(self) -> None:
        """The batch whose turn it was is committed."""
        with self._changed:
            self._next += 1
            self._changed.notify_all()

    def stop(self) -> None:
        """Let nothing more be committed."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _until(self, condition: Callable[[], bool]) -> None:
        self._changed.wait_for(lambda: self._stopped or condition())
        if self._stopped:
            raise Stopped
