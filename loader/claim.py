"""Who may go on with a load: its document says where it stands and who holds it."""

import os
import socket
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bson.binary import Binary
from pymongo.errors import OperationFailure

from catalog.collections import LOADS
from catalog.errors import LoadError
from loader.files import Survey
from loader.options import Options
from loader.report import LoadReport
from store.client import Document, Session, Store

SILENCE = timedelta(seconds=90)
"""A holder on another machine that has not written for so long is taken for dead; a transaction lives 60 s at most."""


def claim(store: Store, found: Survey, options: Options, session: Session) -> Document:
    """Take up a load: a new one, or one that was interrupted. A complete one is given as it is.

    Whoever held it before can no longer go on: its open transaction is ended, and its checkpoint is taken over.

    Raises:
        LoadError: a loader that is alive holds it.
    """
    load_id = options.name(found.sha256)
    loads = store.db[LOADS.name]
    fresh = LoadReport(found.path.name, load_id)
    beginning = {
        "offset": found.start, "line": found.start_line, "counts": fresh.counts, "missing": {}, "reasons": {},
        "seconds": 0.0, "started_at": datetime.now(UTC),
    }  # fmt: skip
    named = {"file": found.path.name, "sha256": found.sha256, "bytes": found.size, "options": asdict(options)}
    named["columns"] = list(found.header.names)
    mine = {
        "status": "running", "updated_at": datetime.now(UTC), "holder": _myself(),
        "session": Binary.from_uuid(session.session_id["id"].as_uuid()),
    }  # fmt: skip
    state = loads.find_one({"_id": load_id})
    if state is None:
        document = {"_id": load_id, **named, **beginning, **mine}
        loads.update_one({"_id": load_id}, {"$setOnInsert": document}, upsert=True)
    elif state["status"] == "complete":
        return state
    else:
        if state["status"] == "running" and _is_alive(state["holder"], state["updated_at"]):
            raise _held(state)
        _end_session(store, state["session"])
        taken = mine | (beginning if state["status"] == "removed" else {})
        loads.update_one({"_id": load_id, "session": state["session"]}, {"$set": taken})
    now = loads.find_one({"_id": load_id})
    if now is None or now.get("session") != mine["session"]:
        raise _held(now or {})
    return now


def _myself() -> Document:
    return {"host": socket.gethostname(), "pid": os.getpid(), "born": _born(os.getpid())}


def _born(pid: int) -> str:
    """When a process began, in the kernel's ticks: tells it from a later one of that number. Empty where unknown."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _is_alive(holder: Document, updated_at: datetime) -> bool:
    if holder["host"] != socket.gethostname():
        return datetime.now(UTC) - updated_at < SILENCE
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return bool(_born(holder["pid"]) == holder["born"]) and holder["pid"] != os.getpid()


def _held(state: Document) -> LoadError:
    holder = state.get("holder", {})
    who = f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"
    return LoadError(
        f"This file is being loaded by {who}",
        "Let it finish; `python -m loader status` shows how far it is",
        retryable=True,
    )


def _end_session(store: Store, lsid: Any) -> None:
    """End the transaction that a killed loader may have left open; it would block its successor for a minute."""
    try:
        store.client.admin.command("killSessions", [{"id": lsid}])
    except OperationFailure as error:
        raise LoadError("The former loader's session cannot be ended", "Wait a minute", retryable=True) from error
