"""Write batches, each in one transaction: customers, transactions, quarantine, checkpoint and the data version.

A batch is stored completely or not at all, so a killed load continues at its checkpoint, and a load that
another loader has taken over finds its lanes gone and stops. Two batches are written side by side and committed
one after the other (`loader.writing.turns`): MongoDB serves each connection with one thread, which a single
writer keeps busy.

The two big collections are written without their validators, which are for everyone else: the encoder cannot
produce a document that they would reject (a test checks all kinds of rows against them), and validating each
one took 38 s instead of 24 s for a million rows.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from catalog.collections import CUSTOMERS, QUARANTINE, STATUS, TRANSACTIONS
from catalog.errors import LoadError
from catalog.identity import Member
from catalog.labels import key
from catalog.purchases import PURCHASES
from loader.loads.repeats import note_repeats, take_turn
from loader.loads.report import CONFLICT, LoadReport
from loader.reading.clean import Clean, Ints, Refused
from loader.reading.files import Chunk
from loader.reading.members import NewMember
from loader.writing.documents import encode, profile, profile_ids
from loader.writing.turns import Behind, Stopped, Turns
from pipelines.state.directory import period_names
from pipelines.state.lanes import lane_id
from pipelines.state.members import noting
from store.bson.elements import decode
from store.bson.to_documents import Encoded
from store.client import Session, Store, Transaction, any_of
from store.faults import DuplicateKey


class Settled(NamedTuple):
    """What to do with the rows of a batch.

    Attributes:
        new: the rows to insert.
        refused: those whose id is stored with other content.
        repeated: the ids that another load has already inserted with the same content.
    """

    new: Sequence[int]
    refused: Sequence[Refused] = ()
    repeated: Sequence[int] = ()


@dataclass(frozen=True)
class Batch:
    """The rows of one chunk, encoded and ready to be written.

    Attributes:
        offset: the checkpoint that the load must have before this batch.
        chunk, clean: where the rows come from.
        customer_ids: the customer of each row.
        customers, transactions: the encoded documents of each row.
        released: whether the rows are in quarantine because of their ids, and leave it if they can.
    """

    offset: int
    chunk: Chunk
    clean: Clean
    customer_ids: Ints
    customers: list[Encoded]
    transactions: list[Encoded]
    released: bool = False

    @classmethod
    def of(
        cls, offset: int, chunk: Chunk, clean: Clean, load_id: str, *, by_profile: bool, released: bool = False
    ) -> "Batch":
        """Encode the rows of a chunk."""
        ids = profile_ids(clean) if by_profile else clean.columns["transaction_id"]
        return cls(offset, chunk, clean, ids, *encode(clean, ids, load_id), released)


class Writer:
    """Writes the batches of one load, in as many lanes as it is given sessions.

    Attributes:
        seconds: returns how long the load has taken so far.
        then: called with each batch after its commit, in order; what it raises ends the load.
    """

    def __init__(
        self, store: Store, report: LoadReport, seconds: Callable[[], float], then: Callable[[Batch], None], *,
        by_profile: bool,
    ) -> None:  # fmt: skip
        self.store = store
        self.report = report
        self.seconds = seconds
        self.then = then
        self.by_profile = by_profile
        self.turns = Turns()
        self.expects_present = False

    def write(self, batches: Iterator[Batch], sessions: Sequence[Session], offset: int) -> None:
        """Commit the batches in order, and count them in the report.

        Raises:
            LoadError: another loader has taken over this load.
        """
        numbered = enumerate(batches)
        taking = Lock()

        def work(lane: _Lane) -> None:
            while True:
                with taking:
                    taken = next(numbered, None)
                if not taken:
                    return
                lane.write(*taken)

        with ThreadPoolExecutor(len(sessions)) as pool:
            lanes = [_Lane(self, session, number, offset) for number, session in enumerate(sessions)]
            working = [pool.submit(work, lane) for lane in lanes]
            try:
                wait(working, return_when=FIRST_EXCEPTION)
            finally:
                self.turns.stop()
        for each in working:
            with suppress(Stopped):
                each.result()


class _Lane:
    """Writes one batch at a time, in transactions of its own session."""

    def __init__(self, writer: Writer, session: Session, number: int, offset: int) -> None:
        self._writer = writer
        self._store = writer.store
        self._session = session
        self._mine = {"_id": lane_id(writer.report.load_id, number), "session": session.name}
        self._offset = offset

    def write(self, number: int, batch: Batch) -> None:
        """Commit a batch when it is its turn. After the first duplicate, batches look up their ids first."""
        writer = self._writer
        looks = writer.expects_present or batch.released or _repeats(batch)
        if looks:
            writer.turns.await_turn(number)
        while True:
            try:
                counted = self._commit(number, batch, looks=looks)
                break
            except Behind:
                writer.turns.await_turn(number)
            except DuplicateKey:
                writer.turns.await_turn(number)
                looks = writer.expects_present = True
        self._offset = batch.chunk.end
        vars(writer.report).update(vars(counted))
        writer.then(batch)
        writer.turns.done()

    def _settle(self, transaction: Transaction, batch: Batch) -> Settled:
        """Find the rows that are already stored, in the transaction that relies on them."""
        ids = batch.clean.columns["transaction_id"].tolist()
        known = {each["_id"]: each for each in transaction.find(TRANSACTIONS.name, any_of(ids))}
        new: list[int] = []
        refused: list[Refused] = []
        repeated: list[int] = []
        for row, transaction_id in enumerate(ids):
            if not (there := known.get(transaction_id)):
                new.append(row)
            elif _content(there) != _content(decode(batch.transactions[row].raw)):
                refused.append(_conflict(batch, row, transaction_id))
            elif there["load_id"] != self._writer.report.load_id:
                repeated.append(transaction_id)
        return Settled(_first_of_each(batch, ids, new, refused), refused, repeated)

    def _commit(self, number: int, batch: Batch, *, looks: bool) -> LoadReport:
        """Write the batch; returns the report that includes it."""
        turns = self._writer.turns
        tries = 0
        counted = self._writer.report

        def write(transaction: Transaction) -> None:
            nonlocal tries, counted
            tries += 1
            turns.leave(number)  # from the previous attempt
            turns.enter(number, alone=tries > 1)
            if counted is not self._writer.report and self._is_committed(transaction, batch, counted):
                raise _Committed  # the reply to an earlier attempt of this commit was lost
            if looks or self._writer.by_profile:
                take_turn(self._store, transaction)
            settled = self._settle(transaction, batch) if looks else Settled(range(len(batch.transactions)))
            self._insert_rows(transaction, batch, settled.new)
            self._insert_refused(transaction, batch, settled.refused)
            note_repeats(transaction, counted.load_id, settled.repeated)
            turns.await_commit(number)
            counted = self._count(batch, settled)
            self._advance(transaction, batch, counted, settled.new)

        try:
            with suppress(_Committed):
                self._session.transaction(write)
        finally:
            turns.leave(number)
        return counted

    def _count(self, batch: Batch, settled: Settled) -> LoadReport:
        """The report that includes the batch; the real one changes when the transaction is committed."""
        report = deepcopy(self._writer.report)
        report.seconds = self._writer.seconds()
        present = len(batch.transactions) - len(settled.new) - len(settled.refused)
        reasons = Counter(each.reason for each in (*batch.clean.refused, *settled.refused))
        if batch.released:  # these rows, and their missing values, were counted before, as conflicts
            reasons[CONFLICT] -= len(batch.transactions)
            report.add(0, len(settled.new), present, reasons, {})
            report.reasons = +report.reasons
        else:
            report.add(len(batch.chunk.lines), len(settled.new), present, reasons, batch.clean.missing())
        return report

    def _insert_rows(self, transaction: Transaction, batch: Batch, rows: Sequence[int]) -> None:
        if rows:
            if self._writer.by_profile:
                self._insert_profiles(transaction, set(batch.customer_ids[list(rows)].tolist()))
            else:
                transaction.insert_past_validator(CUSTOMERS.name, [batch.customers[row] for row in rows])
            transaction.insert_past_validator(TRANSACTIONS.name, [batch.transactions[row] for row in rows])

    def _insert_profiles(self, transaction: Transaction, wanted: set[int]) -> None:
        """Create missing profiles; other loads add and remove them, so they are looked up in the transaction."""
        there = {each["_id"] for each in transaction.find(CUSTOMERS.name, {"_id": {"$lt": 0}}, {"_id": 1})}
        if missing := sorted(wanted - there):
            transaction.insert(CUSTOMERS.name, [profile(each) for each in missing])

    def _insert_refused(self, transaction: Transaction, batch: Batch, conflicts: Sequence[Refused]) -> None:
        load_id = self._writer.report.load_id
        if batch.released:
            lines = batch.clean.lines.tolist()
            transaction.delete(QUARANTINE.name, {"load_id": load_id, "line": {"$in": lines}})
        if refused := [*batch.clean.refused, *conflicts]:
            transaction.insert(QUARANTINE.name, [_quarantined(each, self._writer.report) for each in refused])

    def _is_committed(self, transaction: Transaction, batch: Batch, counted: LoadReport) -> bool:
        """Whether an earlier attempt was committed: no two commits leave a lane in the same state."""
        expected = {**self._mine, "offset": batch.chunk.end, "seconds": counted.seconds}
        return transaction.find_one(STATUS.name, expected) is not None

    def _advance(self, transaction: Transaction, batch: Batch, report: LoadReport, rows: Sequence[int]) -> None:
        """Advance the checkpoint, if it is where this loader left it, and record what the batch changes."""
        progress = {
            "offset": batch.chunk.end, "line": batch.chunk.end_line, "counts": report.counts,
            "missing": dict(report.missing), "reasons": dict(report.reasons), "seconds": report.seconds,
            "updated_at": datetime.now(UTC),
        }  # fmt: skip
        days = np.unique(batch.clean.day[list(rows)]).tolist()
        changes = {
            "$set": progress,
            "$inc": {"version": int(bool(len(rows) or batch.clean.new_members))},
            "$addToSet": {"periods": {"$each": sorted(period_names(days))}},
            **noting(self._add_members(transaction, batch)),
        }
        expected = {**self._mine, "offset": self._offset}
        if not transaction.update(STATUS.name, expected, changes).matched_count:
            raise LoadError(
                "Another loader has taken over this file",
                "Wait for it to finish; `python -m loader status` shows its progress",
            )

    def _add_members(self, transaction: Transaction, batch: Batch) -> list[Member]:
        """Add the names that the batch's rows bring; another loader may have taken their codes, or their names.

        Returns:
            those that did not exist.
        """
        added: list[Member] = []
        by_collection: dict[str, list[NewMember]] = {}
        for each in batch.clean.new_members:
            by_collection.setdefault(each.dimension.collection, []).append(each)
        for name, members in by_collection.items():
            condition = any_of([each.code for each in members])
            there = {each["_id"]: each["name"] for each in transaction.find(name, condition)}
            if any(key(there.get(each.code, each.name)) != key(each.name) for each in members):
                raise _overtaken(name)
            new = [{"_id": each.code, "name": each.name} for each in members if each.code not in there]
            try:
                if new:
                    transaction.insert(name, new)
            except DuplicateKey as error:
                raise _name_taken(name, error) from error
            added += [(name, each.code, each.name) for each in members if each.code not in there]
        return added


def _overtaken(collection: str) -> LoadError:
    return LoadError(f"Another loader added members to {collection} at the same time", "Run the same command again")


def _name_taken(collection: str, error: DuplicateKey) -> LoadError:
    """The error for a rejected insert of members: one of the names is equivalent to that of another member."""
    name = next((each["name"] for each in error.documents if "name" in each), "?")
    return LoadError(
        f"{collection} already has a member equivalent to {name!r}, with another code",
        "Run the same command again; if the error persists, write the name in the file as `/v1/dimensions` shows it",
    )


def _repeats(batch: Batch) -> bool:
    ids = batch.clean.columns["transaction_id"]
    return len(np.unique(ids)) < len(ids)


def _first_of_each(batch: Batch, ids: list[int], new: list[int], refused: list[Refused]) -> list[int]:
    """Of new rows with the same id, the first is inserted; one with other content is refused."""
    first: dict[int, int] = {}
    for row in new:
        at = first.setdefault(ids[row], row)
        if at != row and batch.transactions[at].raw != batch.transactions[row].raw:
            refused.append(_conflict(batch, row, ids[row]))
    return list(first.values())


def _conflict(batch: Batch, row: int, transaction_id: int) -> Refused:
    message = f"transaction {transaction_id} already exists with different content; the first one was kept"
    line, raw = int(batch.clean.lines[row]), batch.clean.raw[row].decode()
    return Refused(line, PURCHASES.key.column, str(transaction_id), CONFLICT, message, raw)


def _content(document: dict[str, Any]) -> dict[str, Any]:
    """The content of a transaction, without its load and customer; missing fields are unknown."""
    said = {name: value for name, value in document.items() if name not in ("load_id", "customer_id")}
    return {**PURCHASES.absent, **said}


def _quarantined(refused: Refused, report: LoadReport) -> dict[str, Any]:
    """The quarantine document of a row, with an id from load and line, so that it exists once."""
    named = {"_id": f"{report.load_id}:{refused.line}", "load_id": report.load_id, "file": report.file}
    return named | refused._asdict()


class _Committed(Exception):
    """The batch is already stored: an earlier attempt of the same commit succeeded."""
