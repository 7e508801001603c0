"""What was true at each data version, from MongoDB's own change stream, without any code of the product.

A change stream reports every write in commit order; those of one transaction have the same time. So the sums of every
committed moment are known, and any answer can be compared with those of its version.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from catalog.collections import STATUS, TRANSACTIONS
from store.client import Store

Sums = Mapping[int, tuple[int, int]]
"""Transactions and cents by segment; segments without transactions are absent."""

_MARK = "mark"
_SEEN = [
    {"$match": {"ns.coll": {"$in": [TRANSACTIONS.name, STATUS.name, _MARK]}}},
    {"$match": {"$nor": [{"ns.coll": TRANSACTIONS.name, "operationType": "update"}]}},
    {
        "$project": {
            "clusterTime": 1, "operationType": 1, "ns.coll": 1, "documentKey": 1, "fullDocument.segment_id": 1,
            "fullDocument.amount_cents": 1, "fullDocument.version": 1, "updateDescription.updatedFields.version": 1,
        }
    },
]  # fmt: skip


class Truth:
    """Follows a database from its empty state.

    Attributes:
        by_version: the sums at each data version.
        wrong: versions with two different states, one line each.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows: dict[int, tuple[int, int]] = {}
        self._sums: dict[int, tuple[int, int]] = {}
        self._versions: Counter[str] = Counter()
        self._time: Any = None
        self._ends = False
        self.by_version: dict[int, Sums] = {0: {}}
        self.wrong: list[str] = []
        self._stream = store.db.watch(_SEEN, batch_size=10_000)
        self._caught_up = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def catch_up(self) -> None:
        """Wait until everything committed so far has been seen."""
        self._caught_up.clear()
        self._store.db[_MARK].insert_one({})
        assert self._caught_up.wait(60), "the change stream is behind"

    def close(self) -> None:
        """End it."""
        self._ends = True
        self._store.db[_MARK].insert_one({})
        self._thread.join(60)
        self._stream.close()

    def _follow(self) -> None:
        for change in self._stream:
            if change["clusterTime"] != self._time:
                self._committed()
                self._time = change["clusterTime"]
            if change["ns"]["coll"] == _MARK:
                self._caught_up.set()
                if self._ends:
                    return
            elif change["ns"]["coll"] == TRANSACTIONS.name:
                self._transaction(change)
            else:
                self._status(change)

    def _transaction(self, change: Mapping[str, Any]) -> None:
        number = change["documentKey"]["_id"]
        if change["operationType"] == "insert":
            document = change["fullDocument"]
            self._rows[number] = document["segment_id"], document["amount_cents"] or 0
            self._add(*self._rows[number], 1)
        elif change["operationType"] == "delete":
            self._add(*self._rows.pop(number), -1)

    def _add(self, segment: int, cents: int, sign: int) -> None:
        count, revenue = self._sums.get(segment, (0, 0))
        self._sums[segment] = count + sign, revenue + sign * cents

    def _status(self, change: Mapping[str, Any]) -> None:
        name = change["documentKey"]["_id"]
        if name != "data" and not name.startswith("data/"):
            return
        if change["operationType"] == "insert":
            self._versions[name] = change["fullDocument"]["version"]
        elif change["operationType"] == "delete":
            del self._versions[name]
        else:
            fields = change["updateDescription"]["updatedFields"]
            self._versions[name] = fields.get("version", self._versions[name])

    def _committed(self) -> None:
        version = self._versions.total()
        sums = {segment: each for segment, each in self._sums.items() if each[0]}
        if self.by_version.setdefault(version, sums) != sums:
            self.wrong.append(f"version {version} names two states")


@contextmanager
def following(store: Store) -> Iterator[Truth]:
    """A context with the truth of a database, from now on."""
    truth = Truth(store)
    try:
        yield truth
    finally:
        truth.close()
