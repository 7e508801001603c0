"""Rows of one load that the file of another load also contains: recorded with the batch, used by a removal.

A batch that counts a row as already present relies on that row, and a removal deletes rows. Both first write the same
document, and MongoDB aborts one of two transactions that do so at the same time. So they take turns: either the
removal sees what the batch recorded, or the batch sees that the row is gone.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from bson.int64 import Int64

from catalog.collections import LOADS, PRESENCE, REPEATS, STATUS
from catalog.errors import StoreUnavailable
from catalog.status import GONE, LoadStatus
from pipelines.state.lanes import lane_sessions, read_loads
from store.client import Reads, Store, Transaction
from store.holder import end_session, is_alive


def prepare(store: Store) -> None:
    """Before the first turn, create the shared document, and end transactions left open by killed processes."""
    store.outside.update(STATUS.name, {"_id": PRESENCE}, {"$setOnInsert": {"version": 0}}, upsert=True)
    _end_abandoned(store)


def take_turn(store: Store, transaction: Transaction) -> None:
    """Begin a transaction that relies on rows of other loads, or takes rows away.

    It fails at once, and has to be retried, if another such transaction is in progress.
    """
    try:
        transaction.update(STATUS.name, {"_id": PRESENCE}, {"$inc": {"version": 1}})
    except StoreUnavailable:
        _end_abandoned(store)
        raise


def _end_abandoned(store: Store) -> None:
    """End the transactions of killed loaders and removals: they would block everyone for a minute."""
    under_way = store.outside.find(LOADS.name, {"status": {"$in": [LoadStatus.RUNNING, LoadStatus.REMOVING]}})
    for load in read_loads(store.outside, under_way):
        if not is_alive(load["holder"], load["updated_at"]):
            for name in (load["session"], *lane_sessions(store.outside, load["_id"])):
                end_session(store, name)


def note_repeats(transaction: Transaction, load_id: str, ids: Sequence[int]) -> None:
    """Record that the file of a load also contains these transactions of other loads."""
    if ids:
        packed = np.unique(np.array(ids, "<i8"))
        first, last = Int64(packed[0]), Int64(packed[-1])
        noted = {"load_id": load_id, "first": first, "last": last, "ids": packed.tobytes()}
        transaction.insert(REPEATS.name, [noted])


def find_heirs(reads: Reads, load_id: str, ids: Sequence[int]) -> dict[str, list[int]]:
    """Which of these transactions the file of another load also contains; the first of several loads counts.

    Returns:
        ids by load, in ascending order.
    """
    left = np.unique(np.array(ids, "<i8"))
    heirs = {"_id": {"$ne": load_id}, "status": {"$nin": GONE}, "adopted": {"$exists": True}}
    loads = reads.find(LOADS.name, heirs, {"_id": 1}, sort=[("started_at", 1), ("_id", 1)])
    names = [load["_id"] for load in loads]
    overlapping = {"last": {"$gte": int(left[0])}, "first": {"$lte": int(left[-1])}, "load_id": {"$in": names}}
    noted: dict[str, list[Any]] = {name: [] for name in names}
    for each in reads.find(REPEATS.name, overlapping):
        noted[each["load_id"]].append(left[np.isin(left, np.frombuffer(each["ids"], "<i8"))])
    found: dict[str, list[int]] = {}
    for name, parts in noted.items():
        its = np.intersect1d(left, np.concatenate(parts)) if parts else left[:0]
        if len(its):
            found[name] = its.tolist()
            left = np.setdiff1d(left, its)
    return found
