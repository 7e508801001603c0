"""The lanes of running loads: what batches written side by side record, each in the document of its lane.

Two transactions that write the same document conflict. So a batch records its checkpoint, the periods that it
makes stale and its increment of the data version in the status document of its lane, which no other lane writes.
Readers add these up. Folding moves them to their final place: the data version and the periods, and the
checkpoint into the load.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from catalog.collections import CHECKPOINT, DATA_VERSION, LOADS, MEMBERS, STATUS
from pipelines.state.directory import VERSIONS, begin, bump_version_of, marked
from pipelines.state.members import marking, noted_marks
from store.client import Document, Reads, Transaction

LANES = {"$gt": DATA_VERSION, "$lt": VERSIONS["$lt"]}
"""The ids of the lanes of all loads."""


def lane_id(load_id: str, number: int) -> str:
    """The id of a lane's document."""
    return f"{DATA_VERSION}/{load_id}/{number}"


def open_lanes(transaction: Transaction, load: Mapping[str, Any], names: Sequence[Any]) -> None:
    """In the transaction that claims a load, give it lanes, each of which only the session of that name may use."""
    begin(transaction)
    stands = {field: load[field] for field in CHECKPOINT}
    noted = {"load_id": load["_id"], "version": 0, "periods": [], "adopted": load.get("adopted", 0)}
    documents = [{"_id": lane_id(load["_id"], number), "session": name, **noted} for number, name in enumerate(names)]
    transaction.insert(STATUS.name, [{**document, **stands} for document in documents])


def lane_sessions(reads: Reads, load_id: str) -> list[Any]:
    """The names of the sessions that a load's batches were written in."""
    return [lane["session"] for lane in reads.find(STATUS.name, {"_id": LANES, "load_id": load_id})]


def close_lanes(transaction: Transaction, load_id: str) -> None:
    """In a transaction, fold a load's lanes and remove them: the load itself then has the checkpoint."""
    lanes = transaction.find(STATUS.name, {"_id": LANES, "load_id": load_id})
    if lanes:
        _fold(transaction, lanes)
        transaction.delete(STATUS.name, {"_id": LANES, "load_id": load_id})
        load = transaction.find_one(LOADS.name, {"_id": load_id}) or {}
        transaction.update(LOADS.name, {"_id": load_id}, {"$set": _checkpoint(load, lanes)})


def fold_lanes(transaction: Transaction) -> None:
    """In a transaction, fold what the lanes of all loads have recorded, and reset them."""
    lanes = transaction.find(STATUS.name, {"_id": LANES})
    if any(lane["version"] for lane in lanes):
        _fold(transaction, lanes)
        nothing = {"version": 0, "periods": [], MEMBERS: {}}
        transaction.update_all(STATUS.name, {"_id": LANES}, {"$set": nothing})


def read_loads(reads: Reads, found: Sequence[Document]) -> list[Document]:
    """Loads with their current checkpoint: that of the lane that is furthest."""
    lanes = reads.find(STATUS.name, {"_id": LANES})
    told = []
    for load in found:
        of_load = [lane for lane in lanes if lane["load_id"] == load["_id"]]
        stands = _checkpoint(load, of_load) if of_load else {}
        told.append({field: stands.get(field, value) for field, value in load.items()})
    return told


def _fold(transaction: Transaction, lanes: Sequence[Document]) -> None:
    commits = sum(lane["version"] for lane in lanes)
    if commits:
        bump_version_of(transaction, marked(lanes), commits)
    if update := marking(noted_marks(lanes)):
        transaction.update(STATUS.name, {"_id": DATA_VERSION}, update)


def _checkpoint(load: Mapping[str, Any], lanes: Sequence[Document]) -> Document:
    """Batches are committed in the order of the file, so the lane that committed last has the checkpoint.

    It includes rows adopted before the lane was opened; rows adopted since are added.
    """
    last = max(lanes, key=lambda lane: (lane["offset"], lane["seconds"]))
    stands = {field: last[field] for field in CHECKPOINT}
    since = load.get("adopted", 0) - last.get("adopted", 0)
    return stands | {"counts": moved(stands["counts"], since)}


def moved(counts: Mapping[str, int], adopted: int) -> dict[str, int]:
    """A load's counts after it has adopted rows, which it had counted as already present."""
    there = {"inserted": counts["inserted"] + adopted, "already_present": counts["already_present"] - adopted}
    return {**counts, **there}
