"""A lane of its own for expensive questions, so that cheap ones do not wait for them.

A process answers one of them at a time; a few more wait for their turn, and what is beyond that is refused.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask

from pipelines.ask.question import Question
from pipelines.plan.cost import cost_us
from pipelines.state.version import Directory
from service.around.problems import Overloaded

HEAVY_US = 25_000
"""What may take longer is expensive."""

WAITING = 8
WAIT_S = 5.0
"""So many expensive questions wait, and for so long."""


class Lane:
    """Lets expensive questions pass one by one; may be used by several threads."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._places = threading.BoundedSemaphore(WAITING + 1)

    @contextmanager
    def enter(self, question: Question, directory: Directory) -> Iterator[None]:
        """Wait until a question may be answered; a cheap one may be at once.

        Raises:
            Overloaded: too many expensive ones wait already.
        """
        if cost_us(question, directory) < HEAVY_US:
            yield
            return
        if not self._places.acquire(blocking=False):
            raise Overloaded
        try:
            if not self._turn.acquire(timeout=WAIT_S):
                raise Overloaded
            try:
                yield
            finally:
                self._turn.release()
        finally:
            self._places.release()


def install(app: Flask) -> Lane:
    """Let `service.api.replies` send expensive questions through a lane."""
    lane = Lane()
    app.extensions["lane"] = lane.enter
    return lane
