"""Write one batch, in one transaction: checkpoint, customers, transactions, quarantine and the data version.

Either all of it is there or nothing, so a load that was killed anywhere goes on at its checkpoint, and a
load that another one has overtaken finds its expected offset gone and stops.

The two big collections are written past their validators, which are for everyone else: the encoder cannot
make a document that they would refuse (a test holds all kinds of rows against them), and checking each
one again took 38 s instead of 24 s for a million rows.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import bson
import numpy as np
from bson.codec_options import CodecOptions
from pymongo import ReturnDocument, WriteConcern
from pymongo.errors import BulkWriteError
from pymongo.read_concern import ReadConcern

from catalog.collections import CUSTOMERS, LOADS, QUARANTINE, TRANSACTIONS
from catalog.errors import LoadError
from loader.clean import Clean, Ints, Refused
from loader.documents import Encoded, encode, profile, profile_ids
from loader.files import Chunk
from loader.report import LoadReport
from pipelines.directory import bump_version
from store.client import Session, Store, translated
from store.holder import session_name

_DUPLICATE_KEY = 11000
CONFLICT = "id_conflict"


@dataclass(frozen=True)
class Batch:
    """The rows of one chunk, encoded and ready to be written.

    Attributes:
        offset: where the load must stand before this batch.
        chunk, clean: where the rows come from.
        customer_ids: the customer of each row.
        customers, transactions: the encoded documents of each row.
    """

    offset: int
    chunk: Chunk
    clean: Clean
    customer_ids: Ints
    customers: list[Encoded]
    transactions: list[Encoded]

    @classmethod
    def of(cls, offset: int, chunk: Chunk, clean: Clean, load_id: str, *, by_profile: bool) -> "Batch":
        """Encode the rows of a chunk."""
        ids = profile_ids(clean) if by_profile else clean.columns["transaction_id"]
        return cls(offset, chunk, clean, ids, *encode(clean, ids, load_id))


class Writer:
    """Writes the batches of one load."""

    def __init__(self, store: Store, session: Session, report: LoadReport, *, by_profile: bool) -> None:
        self._store = store
        self._session = session
        self._report = report
        self._by_profile = by_profile
        self._lsid = session_name(session)
        self._expect_present = False
        self._profiles = {row["_id"] for row in store.db[CUSTOMERS.name].find({"_id": {"$lt": 0}}, {"_id": 1})}

    def write(self, batch: Batch, seconds: float) -> None:
        """Commit the batch and count it in the report. The first duplicate met makes later batches look first.

        Raises:
            LoadError: another loader has gone on with this load.
        """
        new: Sequence[int] | None = None
        refused: list[Refused] = []
        if self._expect_present or _repeats(batch):
            new, refused = self._settle(batch)
        try:
            self._commit(batch, new, refused, seconds)
        except _Duplicates:
            self._expect_present = True
            self._commit(batch, *self._settle(batch), seconds)

    def _settle(self, batch: Batch) -> tuple[list[int], list[Refused]]:
        """Which rows are new; and those whose id is taken by a transaction with other content."""
        ids = batch.clean.columns["transaction_id"].tolist()
        with translated():
            found = self._store.db[TRANSACTIONS.name].find({"_id": {"$in": ids}})
            known = {document["_id"]: _content(document) for document in found}
        new: list[int] = []
        refused: list[Refused] = []
        for row, transaction_id in enumerate(ids):
            if transaction_id not in known:
                new.append(row)
                continue
            content = _content(_decode(batch.transactions[row]))
            if known[transaction_id] != content:
                refused.append(_conflict(batch, row, transaction_id))
        return _first_of_each(batch, ids, new, refused), refused

    def _commit(self, batch: Batch, new: Sequence[int] | None, refused: Sequence[Refused], seconds: float) -> None:
        rows = range(len(batch.transactions)) if new is None else new
        all_refused = [*batch.clean.refused, *refused]
        present = len(batch.transactions) - len(rows) - len(refused)
        report = deepcopy(self._report)  # the real one changes when the transaction is committed
        report.add(
            len(batch.chunk.lines),
            len(rows),
            present,
            Counter(each.reason for each in all_refused),
            batch.clean.missing(),
        )
        profiles = sorted(set(batch.customer_ids[list(rows)].tolist()) - self._profiles) if self._by_profile else []

        def write(session: Session) -> None:
            db = self._store.db
            self._advance(session, batch, report, seconds, rows)
            if profiles:
                db[CUSTOMERS.name].insert_many([profile(each) for each in profiles], session=session)
            if rows:
                if not self._by_profile:
                    self._insert(CUSTOMERS.name, [batch.customers[row] for row in rows], session)
                self._insert(TRANSACTIONS.name, [batch.transactions[row] for row in rows], session)
            if all_refused:
                documents = [_quarantined(each, report) for each in all_refused]
                db[QUARANTINE.name].insert_many(documents, session=session)

        with _translated_but_duplicates(), suppress(_Committed):
            self._session.with_transaction(write, ReadConcern("snapshot"), WriteConcern("majority", j=True))
        self._profiles.update(profiles)
        vars(self._report).update(vars(report))

    def _insert(self, collection: str, documents: list[Encoded], session: Session) -> None:
        """As `insert_many`, which looks at each document and spends 2 us on it, where the command alone takes 0.3."""
        command = {"insert": collection, "documents": documents, "ordered": True, "bypassDocumentValidation": True}
        reply = self._store.db.command(command, session=session)
        if "writeErrors" in reply:
            raise BulkWriteError(reply)

    def _advance(self, session: Session, batch: Batch, report: LoadReport, seconds: float, rows: Sequence[int]) -> None:
        """Move the checkpoint, if it is where this loader left it."""
        now = datetime.now(UTC)
        progress = {
            "offset": batch.chunk.end, "line": batch.chunk.end_line, "counts": report.counts, "updated_at": now,
            "missing": dict(report.missing), "reasons": dict(report.reasons), "seconds": seconds,
        }  # fmt: skip
        expected = {
            "_id": self._report.load_id, "offset": batch.offset, "status": "running", "session": self._lsid,
        }  # fmt: skip
        if not self._store.db[LOADS.name].update_one(expected, {"$set": progress}, session=session).matched_count:
            state = self._store.db[LOADS.name].find_one({"_id": self._report.load_id}, session=session) or {}
            if state.get("session") == self._lsid and state.get("offset") == batch.chunk.end:
                raise _Committed  # the answer to an earlier try of this commit was lost
            raise LoadError(
                "Another loader has gone on with this file",
                "Let it finish; `python -m loader status` shows how far it is",
                retryable=False,
            )
        self._add_members(session, batch)
        if len(rows) or batch.clean.new_members:
            bump_version(self._store, session, np.unique(batch.clean.day[list(rows)]).tolist())

    def _add_members(self, session: Session, batch: Batch) -> None:
        """Add the names that the batch's rows bring; another loader may have taken their codes for others."""
        for dimension, code, name in batch.clean.new_members:
            member = self._store.db[str(dimension.collection)].find_one_and_update(
                {"_id": code},
                {"$setOnInsert": {"name": name}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
                session=session,
            )
            if not member or member["name"] != name:
                raise LoadError(
                    f"Another loader added to {dimension.collection} meanwhile",
                    "Run the same command again",
                    retryable=True,
                )


def _repeats(batch: Batch) -> bool:
    ids = batch.clean.columns["transaction_id"]
    return len(np.unique(ids)) < len(ids)


def _first_of_each(batch: Batch, ids: list[int], new: list[int], refused: list[Refused]) -> list[int]:
    """Of new rows with one id the first is inserted; another one with other content is refused."""
    first: dict[int, int] = {}
    for row in new:
        at = first.setdefault(ids[row], row)
        if at != row and batch.transactions[at].raw != batch.transactions[row].raw:
            refused.append(_conflict(batch, row, ids[row]))
    return list(first.values())


def _conflict(batch: Batch, row: int, transaction_id: int) -> Refused:
    message = f"transaction {transaction_id} exists with other content; the one that was there first is kept"
    line, raw = int(batch.clean.lines[row]), batch.clean.raw[row].decode()
    return Refused(line, "Transaction_ID", str(transaction_id), CONFLICT, message, raw)


def _content(document: dict[str, Any]) -> dict[str, Any]:
    """What a transaction says, whoever loaded it and whoever is its customer."""
    return {name: value for name, value in document.items() if name not in ("load_id", "customer_id")}


def _decode(document: Encoded) -> dict[str, Any]:
    return bson.decode(document.raw, CodecOptions(tz_aware=True))


def _quarantined(refused: Refused, report: LoadReport) -> dict[str, Any]:
    """The quarantine document of a row: named by load and line, so that writing it twice is one."""
    named = {"_id": f"{report.load_id}:{refused.line}", "load_id": report.load_id, "file": report.file}
    return named | refused._asdict()


@contextmanager
def _translated_but_duplicates() -> Iterator[None]:
    with translated():
        try:
            yield
        except BulkWriteError as error:
            if any(each["code"] == _DUPLICATE_KEY for each in (error.details or {}).get("writeErrors", ())):
                raise _Duplicates from error
            raise


class _Committed(Exception):
    """The batch is there already: an earlier try of the same commit went through."""


class _Duplicates(Exception):
    """Some transaction of a batch is there already; nothing of the batch was written."""
