"""Run the loader and kill -9 it at a named point.

`python -m tests.support.faults.point POINT OCCURRENCE DELAY_MS CHUNK_BYTES ARGUMENT...`. The product is not involved:
the points are commands that the driver reports to a listener. With small chunks, a small file has many batches.
"""

import os
import signal
import sys
import threading
from dataclasses import dataclass
from typing import Any

from pymongo import monitoring

import loader.reading.files
from loader.__main__ import main
from store.command import run


@dataclass(frozen=True)
class Point:
    """A moment in a load.

    Attributes:
        name: its name.
        command, collection: the driver's command that marks it; empty means any collection.
        after: whether its reply has arrived; otherwise the command is about to be sent.
        begins: only a command that begins a transaction (True), is in none (False), or any (None).
        index: only a command that creates this index, among others or not.
        within_ms: the longest random delay after the moment, to hit while the server is at work.
        most: how often it occurs in a load of any size; 0 means once per batch.
    """

    name: str
    command: str
    collection: str = ""
    after: bool = False
    begins: bool | None = None
    index: str = ""
    within_ms: int = 0
    most: int = 0

    def at_most(self, batches: int) -> int:
        """How often it occurs at least in a load of this many batches."""
        return self.most or batches


POINTS = (
    Point("before-claim", "find", "loads", most=2),
    Point("after-claim", "insert", "status", after=True, most=1),
    Point("before-batch", "insert", "customers", begins=True),
    Point("between-customers-and-transactions", "insert", "transactions"),
    Point("in-insert", "insert", "transactions", within_ms=60),
    Point("before-commit", "commitTransaction"),
    Point("in-commit", "commitTransaction", within_ms=12),
    Point("after-commit", "commitTransaction", after=True),
    Point("in-index-build", "createIndexes", "transactions", index="load_id_1__id_1", within_ms=150, most=1),
    Point("before-refresh", "findAndModify", "status", begins=False, most=1),
    Point("in-refresh-transaction", "insert", "rollups", most=8),
)
BY_NAME = {point.name: point for point in POINTS}


class Killer(monitoring.CommandListener):
    """Kills this process at the n-th occurrence of a point."""

    def __init__(self, point: Point, occurrence: int, delay_s: float) -> None:
        self._point, self._left, self._delay_s = point, occurrence, delay_s
        self._lock = threading.Lock()
        self._requests: set[int] = set()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Before a command is sent."""
        if _is(self._point, event.command_name, event.command):
            if self._point.after:
                self._requests.add(event.request_id)
            else:
                self._count()

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """After its reply has arrived."""
        if event.request_id in self._requests:
            self._count()

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """A failed command does not count."""

    def _count(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                if not self._delay_s:
                    _kill()
                threading.Timer(self._delay_s, _kill).start()


def _is(point: Point, name: str, command: Any) -> bool:
    collection = command.get(name)
    return (
        name == point.command
        and point.collection in ("", collection)
        and (point.begins is None or bool(command.get("startTransaction")) == point.begins)
        and (not point.index or point.index in [each["name"] for each in command["indexes"]])
    )


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    name, occurrence, delay_ms, chunk_bytes, *arguments = sys.argv[1:]
    loader.reading.files.CHUNK_BYTES = int(chunk_bytes)
    monitoring.register(Killer(BY_NAME[name], int(occurrence), float(delay_ms) / 1000))
    sys.argv[1:] = arguments
    run(main)
