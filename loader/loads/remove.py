"""Remove a load: its transactions, their customers and its quarantine, in batches that can be resumed.

Rows that the file of another load also contains are kept and become part of that load.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from catalog.collections import CUSTOMERS, LOADS, QUARANTINE, REPEATS, STATUS, TRANSACTIONS
from catalog.errors import LoadError, UnknownName
from catalog.purchases import DATE
from catalog.status import GONE, LoadStatus
from loader.loads.quarantine import released_lines
from loader.loads.repeats import find_heirs, prepare, take_turn
from loader.loads.report import CONFLICT
from pipelines.derived.refresh import refresh
from pipelines.state.directory import bump_version
from pipelines.state.lanes import LANES, read_loads
from store.client import Document, Session, Store, Transaction, any_of
from store.holder import end_session, is_alive, myself

BATCH_ROWS = 10_000


@dataclass
class Removal:
    """What this run of a removal did.

    Attributes:
        load_id: the load that is gone.
        removed: transactions removed.
        kept: transactions kept because the file of another load also contains them, by that load.
        released: refused rows of other loads whose id is now free, by load; loading the file again inserts them.
        files: the file names of these loads.
    """

    load_id: str
    removed: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    released: Counter[str] = field(default_factory=Counter)
    files: Mapping[str, str] = field(default_factory=dict)

    def as_document(self) -> dict[str, Any]:
        """The report for `--json`."""
        counts = {"kept": dict(self.kept), "released": dict(self.released)}
        return {"load_id": self.load_id, "removed": self.removed, **counts}

    def __str__(self) -> str:
        lines = [f"{self.removed:,} transactions removed"]
        for load_id, rows in self.kept.items():
            lines.append(f"{rows:,} kept: {self.files[load_id]} also contains them, they now belong to load {load_id}")
        for load_id, rows in self.released.items():
            name = self.files[load_id]
            lines.append(f"{rows:,} refused rows of {name} (load {load_id}) no longer conflict: load {name} again")
        return "\n".join(lines)


def remove(store: Store, load_id: str, progress: Callable[[int, int], None]) -> Removal:
    """Remove a load. Answers are exact before, during and after, and no other load loses a row.

    Raises:
        UnknownName: there is no such load.
        LoadError: it is still being loaded, another process is removing it, or a load of an earlier release did not
            record which of its rows it shares.
    """
    outside, removal = store.outside, Removal(load_id)
    known = {load["_id"]: load for load in read_loads(outside, outside.find(LOADS.name))}
    if load_id not in known:
        raise UnknownName("load", load_id, known)
    _check_noted(known[load_id], known.values())
    prepare(store)
    with store.session() as session:
        ours = _take_over(store, load_id, session)
        total = outside.count(TRANSACTIONS.name, {"load_id": load_id})
        begin = time.monotonic()
        while done := session.transaction(partial(_remove_batch, store, ours)):
            removal.kept += done
            removal.removed = removal.kept.pop(load_id, 0) + removal.removed
            progress(min(removal.removed + removal.kept.total(), total), total)
            if outside.find_one(STATUS.name, {"_id": LANES}, {"_id": 1}):
                time.sleep(time.monotonic() - begin)  # lets a concurrent load take its turn before it gives up
            begin = time.monotonic()
        for name in (QUARANTINE.name, REPEATS.name):
            while session.transaction(partial(_delete_some, store, ours, name)):
                pass
        session.transaction(partial(_remove_lonely_profiles, store, ours))
    refresh(store)
    outside.update(LOADS.name, ours, {"$set": {"status": LoadStatus.REMOVED, "updated_at": datetime.now(UTC)}})
    removal.files = {each["_id"]: each["file"] for each in outside.find(LOADS.name, fields={"file": 1})}
    conflicting = {"status": {"$in": [LoadStatus.COMPLETE, LoadStatus.STOPPED]}, f"reasons.{CONFLICT}": {"$gt": 0}}
    others = outside.find(LOADS.name, conflicting, {"_id": 1})
    removal.released = +Counter({each["_id"]: len(released_lines(store, each["_id"])) for each in others})
    return removal


def _check_noted(load: Document, loads: Any) -> None:
    """Refuse if a load of an earlier release may share rows with this one: rows not recorded would be lost."""
    for other in loads:
        unnoted = other["_id"] != load["_id"] and "adopted" not in other and other["updated_at"] >= load["started_at"]
        may_repeat = other["status"] == LoadStatus.RUNNING or other["counts"]["already_present"]
        if unnoted and may_repeat and other["status"] not in GONE:
            raise LoadError(
                f"The load of {other['file']} was made by an earlier release, which did not record which of its rows "
                f"other loads had inserted ({other['counts']['already_present']:,} were already present)",
                f"Run `python -m loader remove {other['_id']}` first, then remove this load, then load {other['file']} "
                "again",
            )


def _take_over(store: Store, load_id: str, session: Session) -> Document:
    """End a transaction that a killed removal left open, and record our session; returns what makes it ours."""
    former = store.outside.find_one(LOADS.name, {"_id": load_id}) or {}
    alive = is_alive(former["holder"], former["updated_at"])
    if former["status"] == LoadStatus.RUNNING:
        raise LoadError("This load is not finished", "Wait for it to finish, or run it again; then remove it")
    if former["status"] == LoadStatus.REMOVING and alive and former["holder"] != myself():
        raise _held(former)
    if not alive:
        end_session(store, former["session"])
    mine = {
        "status": LoadStatus.REMOVING, "session": session.name, "holder": myself(),
        "updated_at": datetime.now(UTC),
    }  # fmt: skip
    unchanged = {"_id": load_id, "status": former["status"], "session": former["session"]}
    if not store.outside.update(LOADS.name, unchanged, {"$set": mine}).matched_count:
        raise _held(store.outside.find_one(LOADS.name, {"_id": load_id}) or {})
    return {"_id": load_id, "status": LoadStatus.REMOVING, "session": mine["session"]}


def _held(load: Document) -> LoadError:
    holder = load.get("holder", {})
    who = f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"
    return LoadError(f"This load is being removed by {who}", "Wait for it to finish")


def _begin(store: Store, transaction: Transaction, ours: Document) -> None:
    """Begin a transaction of the removal; fails if another process has taken it over."""
    take_turn(store, transaction)
    going_on = {"$set": {"updated_at": datetime.now(UTC)}}
    if not transaction.update(LOADS.name, ours, going_on).matched_count:
        raise LoadError("Another process has taken over this removal", "Wait for it to finish")


def _remove_batch(store: Store, ours: Document, transaction: Transaction) -> Counter[str]:
    """Remove a batch of transactions, or hand them to the loads whose files also contain them.

    Returns:
        the number of transactions by their new load; those under this load's own id were deleted. Empty at the end.
    """
    load_id = ours["_id"]
    _begin(store, transaction, ours)
    wanted = {"customer_id": 1, DATE.field: 1}
    some = transaction.find(TRANSACTIONS.name, {"load_id": load_id}, wanted, sort=[("_id", 1)], limit=BATCH_ROWS)
    found = {each["_id"]: each for each in some}
    if not found:
        return Counter()
    heirs = find_heirs(transaction, load_id, list(found))
    for heir, ids in heirs.items():
        transaction.update_all(TRANSACTIONS.name, any_of(ids), {"$set": {"load_id": heir}})
        gained = {"adopted": len(ids), "counts.inserted": len(ids), "counts.already_present": -len(ids)}
        transaction.update(LOADS.name, {"_id": heir}, {"$inc": gained})
        for each in ids:
            del found[each]
    if found:
        bump_version(transaction, {DATE.code(each[DATE.field]) for each in found.values()})
        own = [each["customer_id"] for each in found.values() if each["customer_id"] == each["_id"]]
        transaction.delete(TRANSACTIONS.name, any_of(list(found)))
        transaction.delete(CUSTOMERS.name, any_of(own))
    return Counter({load_id: len(found)} | {heir: len(ids) for heir, ids in heirs.items()})


def _delete_some(store: Store, ours: Document, name: str, transaction: Transaction) -> int:
    """Delete a batch of the load's documents from a collection; returns their number."""
    _begin(store, transaction, ours)
    some = transaction.find(name, {"load_id": ours["_id"]}, {"_id": 1}, limit=BATCH_ROWS)
    return transaction.delete(name, {"_id": {"$in": [each["_id"] for each in some]}})


def _remove_lonely_profiles(store: Store, ours: Document, transaction: Transaction) -> None:
    """Remove profiles that have no transactions left."""
    _begin(store, transaction, ours)
    if transaction.find_one(CUSTOMERS.name, {"_id": {"$lt": 0}}):
        pipeline: list[Document] = [{"$match": {"customer_id": {"$lt": 0}}}, {"$group": {"_id": "$customer_id"}}]
        needed = [group["_id"] for group in transaction.aggregate(TRANSACTIONS.name, pipeline)]
        transaction.delete(CUSTOMERS.name, {"_id": {"$lt": 0, "$nin": needed}})
