"""Compare the records of rows in several files with the loads that recorded them and with the transactions.

A noted row stays as long as the load that noted it: it is another load's, or that load has adopted it. So of the rows
that a load has noted, those that are its own are those that it has adopted.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from catalog.collections import LOADS, REPEATS, TRANSACTIONS
from catalog.status import LoadStatus
from pipelines.derived.columns import Array
from pipelines.derived.verification.findings import RESTORE, Difference, reload
from store.client import Document, Reads, any_of

BATCH = 10_000


def unpacked(note: Document) -> Array:
    """The ids of a record; none if they cannot be read."""
    ids = note.get("ids")
    return np.frombuffer(ids if isinstance(ids, bytes) and len(ids) % 8 == 0 else b"", "<i8")


def noted_ids(reads: Reads, load_id: str) -> Array:
    """The ids that a load has recorded, each once, in ascending order."""
    notes = reads.find(REPEATS.name, {"load_id": load_id})
    return _merged([unpacked(each) for each in notes])


def differing_repeats(reads: Reads, loads: Mapping[str, Document]) -> Iterator[Difference]:
    """Notes that are of no load, or not in order; loads that say otherwise; noted rows that are gone.

    A load that is being removed gives its rows away before its notes.
    """
    notes: dict[str, list[Array]] = {load_id: [] for load_id in loads}
    for each in reads.each(REPEATS.name):
        if not isinstance(load_id := each.get("load_id"), str):
            continue  # not what its validator allows: told already
        if load_id in loads:
            notes[load_id].append(unpacked(each))
        yield from _of_note(each, load_id, loads)
    for load_id, load in loads.items():
        if load["status"] != LoadStatus.REMOVED:
            yield from _of_load(reads, load, notes[load_id])


def _of_note(note: Document, load_id: str, loads: Mapping[str, Document]) -> Iterator[Difference]:
    """One record by itself."""
    name, ids = f"record {note['_id']}", unpacked(note)
    if load_id not in loads:
        yield Difference(REPEATS.name, f"load_id of {name}", load_id, "the id of an existing load", RESTORE)
        return
    if loads[load_id]["status"] == LoadStatus.REMOVED:
        remedy = f"run `python -m loader remove {load_id}` again"
        yield Difference(REPEATS.name, name, "present", f"absent, as load {load_id} is removed", remedy)
        return
    if not len(ids):
        yield Difference(REPEATS.name, f"ids of {name}", "unreadable", "ids of 8 bytes each", reload(load_id))
        return
    if (ids[1:] <= ids[:-1]).any():
        yield Difference(REPEATS.name, f"ids of {name}", "out of order", "ascending, without repeats", reload(load_id))
    for what, right in (("first", int(ids.min())), ("last", int(ids.max()))):
        if note.get(what) != right:
            yield Difference(REPEATS.name, f"{what} of {name}", str(note.get(what)), str(right), reload(load_id))


def _of_load(reads: Reads, load: Document, notes: list[Array]) -> Iterator[Difference]:
    """A load's notes beside what it counts: each noted row was present then, and is its own once it is adopted."""
    load_id, adopted = load["_id"], load.get("adopted", 0)
    noted, present = sum(map(len, notes)), load["counts"]["already_present"] + adopted
    if noted > present:
        what, right = f"{load_id}: rows already present or adopted", f"at least {noted}, the number of recorded repeats"
        yield Difference(LOADS.name, what, str(present), right, reload(load_id))
    if load["status"] == LoadStatus.REMOVING:
        return
    own, gone = _look_up(reads, load_id, _merged(notes))
    if own != adopted:
        yield Difference(LOADS.name, f"{load_id}: adopted rows", str(adopted), str(own), reload(load_id))
    if gone:
        what = f"{len(gone)} documents, first {gone[0]}"
        yield Difference(TRANSACTIONS.name, what, "missing", f"present, as load {load_id} recorded it", reload(load_id))


def _look_up(reads: Reads, load_id: str, ids: Array) -> tuple[int, list[int]]:
    """Of these transactions, how many are the load's own, and which are not stored."""
    own = 0
    gone: list[int] = []
    by_owner = {"_id": {"$eq": ["$load_id", {"$literal": load_id}]}, "n": {"$sum": 1}}
    for begin in range(0, len(ids), BATCH):
        wanted = ids[begin : begin + BATCH].tolist()
        counted = reads.aggregate(TRANSACTIONS.name, [{"$match": any_of(wanted)}, {"$group": by_owner}])
        found = {each["_id"]: each["n"] for each in counted}
        own += found.get(True, 0)
        if sum(found.values()) != len(wanted):
            there = {each["_id"] for each in reads.find(TRANSACTIONS.name, any_of(wanted), {"_id": 1})}
            gone += [each for each in wanted if each not in there]
    return own, gone


def _merged(notes: list[Array]) -> Array:
    return np.unique(np.concatenate([np.empty(0, np.int64), *notes]))
