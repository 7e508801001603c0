"""The process that holds a piece of work: whether it is still running, and how to end what it left open."""

import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from catalog.errors import InternalError, LoadError
from store.client import Document, Store

SILENCE = timedelta(seconds=90)
"""A holder on another machine counts as dead after this silence; a transaction lives at most 60 s."""


def myself() -> Document:
    """This process, as a document."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "born": _born(os.getpid())}


def is_alive(holder: Document, heard_at: datetime) -> bool:
    """Whether a process that wrote last at `heard_at` may still be working."""
    if holder["host"] != socket.gethostname():
        return datetime.now(UTC) - heard_at < SILENCE
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return bool(_born(holder["pid"]) == holder["born"])


def end_session(store: Store, name: Any) -> None:
    """End a transaction that a killed process left open; it would block its successor for a minute.

    Raises:
        LoadError: MongoDB does not allow it.
    """
    try:
        store.outside.admin("killSessions", [{"id": name}])
    except InternalError as error:
        raise LoadError("The session of a killed process cannot be ended", "Try again in a minute") from error


def _born(pid: int) -> str:
    """A process's start time in kernel ticks, empty if unknown: tells it from a later process with the same id."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
