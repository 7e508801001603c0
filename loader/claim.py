"""Who may go on with a load: its document says where it stands and who holds it."""

from dataclasses import asdict
from datetime import UTC, datetime

from catalog.collections import LOADS
from catalog.errors import LoadError
from loader.files import Survey
from loader.options import Options
from loader.report import LoadReport
from store.client import Document, Session, Store
from store.holder import end_session, is_alive, myself, session_name


def claim(store: Store, found: Survey, options: Options, session: Session) -> Document:
    """Take up a load: a new one, or one that was interrupted. A complete one is given as it is.

    Whoever held it before can no longer go on: its open transaction is ended, and its checkpoint is taken over.

    Raises:
        LoadError: a loader that is alive holds it, or its removal is not finished.
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
        "status": "running", "updated_at": datetime.now(UTC), "holder": myself(),
        "session": session_name(session),
    }  # fmt: skip
    state = loads.find_one({"_id": load_id})
    if state is None:
        document = {"_id": load_id, **named, **beginning, **mine}
        loads.update_one({"_id": load_id}, {"$setOnInsert": document}, upsert=True)
    elif state["status"] == "complete":
        return state
    elif state["status"] == "removing":  # its checkpoint counts rows that are gone
        raise LoadError(
            "This file's load is being removed",
            f"Let that finish, or run `python -m loader remove {load_id}` again; then load the file",
            retryable=True,
        )
    else:
        is_mine = state["holder"] == mine["holder"]  # an earlier try of this very process
        if state["status"] == "running" and not is_mine and is_alive(state["holder"], state["updated_at"]):
            raise _held(state)
        end_session(store, state["session"])
        taken = mine | (beginning if state["status"] == "removed" else {})
        loads.update_one({"_id": load_id, "session": state["session"]}, {"$set": taken})
    now = loads.find_one({"_id": load_id})
    if now is None or now.get("session") != mine["session"]:
        raise _held(now or {})
    return now


def _held(state: Document) -> LoadError:
    holder = state.get("holder", {})
    who = f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"
    return LoadError(
        f"This file is being loaded by {who}",
        "Let it finish; `python -m loader status` shows how far it is",
        retryable=True,
    )
