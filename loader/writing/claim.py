"""Who may continue a load: its document says who holds it, and its lanes how far it has come."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from catalog.collections import LOADS
from catalog.errors import LoadError
from catalog.status import LoadStatus
from loader.loads.options import Options
from loader.loads.quarantine import released_lines
from loader.loads.repeats import prepare
from loader.loads.report import LoadReport
from loader.reading.files import Survey
from pipelines.state.lanes import close_lanes, lane_sessions, open_lanes, read_loads
from store.client import Document, Session, Store, Transaction
from store.holder import end_session, is_alive, myself


def claim(store: Store, found: Survey, options: Options, session: Session, lanes: Sequence[Session]) -> Document:
    """Claim a load: a new one, an interrupted one, or one with released conflicts. Any other complete load is returned
    unchanged.

    The previous holder can no longer continue: its open transactions are ended, and its lanes are removed.

    Attributes:
        session: the session of the claim.
        lanes: the sessions that may write the load's batches from now on.

    Raises:
        LoadError: a running loader holds it, or its removal is not finished.
    """
    load_id = options.name(found.sha256)
    outside = store.outside
    prepare(store)
    fresh = LoadReport(found.path.name, load_id)
    now = datetime.now(UTC)
    beginning = {
        "offset": found.start, "line": found.start_line, "counts": fresh.counts, "missing": {}, "reasons": {},
        "seconds": 0.0, "started_at": now, "runs": [], "adopted": 0,
    }  # fmt: skip
    named = {"file": found.path.name, "sha256": found.sha256, "bytes": found.size, "options": asdict(options)}
    named["columns"] = list(found.header.names)
    mine = {"status": LoadStatus.RUNNING, "updated_at": now, "holder": myself(), "session": session.name}
    state = next(iter(read_loads(outside, outside.find(LOADS.name, {"_id": load_id}))), None)
    if state and state["status"] == LoadStatus.COMPLETE and not released_lines(store, load_id):
        return state
    if state and state["status"] == LoadStatus.REMOVING:  # its checkpoint counts rows that are gone
        raise LoadError(
            "This file's load is being removed",
            f"Wait until that is done, or run `python -m loader remove {load_id}` again; then load the file",
        )
    if state is None:
        document = {"_id": load_id, **named, **beginning, **mine}
        outside.update(LOADS.name, {"_id": load_id}, {"$setOnInsert": document}, upsert=True)
    else:
        is_mine = state["holder"] == mine["holder"]  # an earlier attempt of this very process
        if state["status"] == LoadStatus.RUNNING and not is_mine and is_alive(state["holder"], state["updated_at"]):
            raise _held(state)
        end_session(store, state["session"])
        for name in lane_sessions(outside, load_id):
            end_session(store, name)
        taken = mine | (beginning if state["status"] == LoadStatus.REMOVED else {})
        outside.update(LOADS.name, {"_id": load_id, "session": state["session"]}, {"$set": taken})

    def take_lanes(transaction: Transaction) -> Document:
        """If we are killed here, our successor finds our session in the load and ends it."""
        close_lanes(transaction, load_id)
        ours = {"_id": load_id, "session": mine["session"]}
        if not transaction.update(LOADS.name, ours, {"$set": {"updated_at": datetime.now(UTC)}}).matched_count:
            raise _held(transaction.find_one(LOADS.name, {"_id": load_id}) or {})
        load = transaction.find_one(LOADS.name, ours) or {}
        open_lanes(transaction, load, [lane.name for lane in lanes])
        return load

    return session.transaction(take_lanes)


def _held(state: Document) -> LoadError:
    holder = state.get("holder", {})
    who = f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"
    return LoadError(
        f"This file is being loaded by {who}",
        "Wait for it to finish; `python -m loader status` shows its progress",
    )
