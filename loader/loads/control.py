"""Compare the database with a loaded file: every field of every row, and the counts of the load.

The file is read again and judged as its load judged it (`loader.loads.runs`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from catalog.collections import LOADS, QUARANTINE, TRANSACTIONS
from catalog.errors import UserError
from catalog.identity import profile_id
from catalog.kinds import NULL
from catalog.measures import AMOUNT
from catalog.purchases import PURCHASES
from catalog.status import GONE
from loader.loads.report import CONFLICT
from loader.loads.runs import Run, runs_of
from loader.reading.clean import Clean, Cleaner, Ints, Refused
from loader.reading.files import Chunk, Survey, read_chunks, survey
from pipelines.derived.rows import read_rows
from pipelines.derived.verification.repeats import noted_ids
from pipelines.state.lanes import read_loads
from pipelines.state.members import read_renames
from store.client import Document, Reads, Store, any_of
from store.schema import read_vocabulary

SHOWN = 20
"""The number of differences that are shown."""

_ABSENT = -2
"""Stands for the amount of a missing transaction."""

_FIELDS = {each.name: each.field for each in PURCHASES.columns}
"""The columns of a file's clean rows, and the fields of a transaction that hold them."""


@dataclass
class Control:
    """A file compared with what is stored for one of its loads.

    Attributes:
        file: its name.
        load_id: the load.
        rows, stored_rows: transactions in the file (each id once), and how many of them are stored.
        cents, stored_cents: the sum of their known amounts.
        differences: how many rows and counts differ; `shown` describes the first ones.
        is_noted: whether the load recorded what it knew; those of an earlier release did not.
    """

    file: str
    load_id: str
    rows: int = 0
    stored_rows: int = 0
    cents: int = 0
    stored_cents: int = 0
    differences: int = 0
    shown: list[str] = field(default_factory=list)
    is_noted: bool = True

    @property
    def ok(self) -> bool:
        """Whether everything is stored, to the cent, as in the file."""
        return (self.rows, self.cents) == (self.stored_rows, self.stored_cents) and not self.differences

    def add(self, count: int, what: str) -> None:
        """Add a difference."""
        if count:
            self.differences += count
            self.shown += [what][: SHOWN - len(self.shown)]

    def __str__(self) -> str:
        verdict = "equal" if self.ok else "DIFFERENT"
        by_today = "" if self.is_noted else " (loaded by an earlier release: compared using the names known today)"
        lines = [
            f"{self.file}, load {self.load_id}: {self.rows:,} transactions, {self.cents:,} cents; "
            f"stored: {self.stored_rows:,} transactions, {self.stored_cents:,} cents: {verdict}{by_today}",
            *(f"  {each}" for each in self.shown),
        ]
        return "\n".join(lines)


def compare_with_files(store: Store, paths: Sequence[Path]) -> list[Control]:
    """Read loaded files again, and compare each of their loads with the database.

    Raises:
        UserError: one of them was not loaded, or its load was removed; nothing was compared.
        FileRefused: one of them cannot be read.
    """
    surveys = [survey(path) for path in paths]
    with store.snapshot() as reads:
        loads = [_loads(reads, found) for found in surveys]
        noted = {load["_id"]: noted_ids(reads, load["_id"]) for of_file in loads for load in of_file}
        vocabulary, renames = read_vocabulary(reads), read_renames(reads)
    return [
        _Comparison(
            store.outside,
            found,
            load,
            runs_of(load, vocabulary, renames, found.start, found.start_line),
            noted[load["_id"]],
        ).run()
        for found, of_file in zip(surveys, loads, strict=True)
        for load in of_file
    ]


def _loads(reads: Reads, found: Survey) -> list[Document]:
    """The loads of a file that were not removed."""
    documents = reads.find(LOADS.name, {"sha256": found.sha256}, sort=[("started_at", 1)])
    if not documents:
        raise UserError(f"{found.path}: this file was never loaded, or has been changed since. Load it first.")
    if there := [load for load in documents if load["status"] not in GONE]:
        return read_loads(reads, there)
    raise UserError(f"{found.path}: the load {documents[0]['_id']} of this file was removed. Load it again first.")


class _Comparison:
    """The comparison of one file with one of its loads."""

    def __init__(self, reads: Reads, found: Survey, load: Document, runs: Sequence[Run], noted: Ints) -> None:
        self._reads = reads
        self._found, self._load, self._runs, self._noted = found, load, runs, noted
        self._control = Control(found.path.name, load["_id"], is_noted=runs[0].is_noted)
        refused = reads.each(QUARANTINE.name, {"load_id": load["_id"]})
        self._quarantine: dict[int, Document] = {row["line"]: row for row in refused}
        self._read = 0
        self._missing: Counter[str] = Counter()
        self._rows: list[Ints] = []

    def run(self) -> Control:
        """Compare the part of the file that the load has read."""
        end = self._load["offset"], self._load["line"]
        reached = self._found.start, self._found.start_line
        for run, chunk, clean in self._chunks():
            reached = chunk.end, chunk.end_line
            self._read += len(chunk.lines)
            self._missing.update(clean.missing())
            self._compare_rows(clean, self._compare_refused(run, chunk, clean))
        self._total()
        for line, row in self._quarantine.items():
            self._control.add(1, f"line {line}: in quarantine ({row['reason']}), but valid in the file")
        account: dict[str, tuple[Any, Any]] = {
            "bytes and lines read": (end, reached),
            "rows read": (self._load["counts"]["read"], self._read),
            "columns": (self._load["columns"], list(self._found.header.names)),
            "bytes": (self._load["bytes"], self._found.size),
        }
        if self._control.is_noted:
            account["missing values"] = _counted(self._load["missing"]), _counted(self._missing)
        for what, (stored, right) in account.items():
            self._control.add(stored != right, f"the load's {what}: {stored}, {right} expected")
        return self._control

    def _chunks(self) -> Iterator[tuple[Run, Chunk, Clean]]:
        """The loaded part of the file, in chunks, cleaned by the rules of each run."""
        options = self._load["options"]
        ends = [*(run.offset for run in self._runs[1:]), self._load["offset"]]
        for run, end in zip(self._runs, ends, strict=True):
            zone, adds = ZoneInfo(options["timezone"]), options["new_members"] == "add"
            cleaner = Cleaner(self._found.header, run.vocabulary, zone, run.latest_day, add_members=adds)
            if run.offset >= end:
                continue
            for chunk in read_chunks(self._found, run.offset, run.line):
                yield run, chunk, cleaner.clean(chunk)
                if chunk.end >= end:
                    break

    def _compare_refused(self, run: Run, chunk: Chunk, clean: Clean) -> set[int]:
        """Compare the refused rows with the quarantine; returns the lines of conflicts.

        Whether an id was taken by other content is known to the database only, so conflicts are trusted.
        """
        for each in clean.refused:
            row = self._quarantine.pop(each.line, None)
            is_same = row is not None and all(row[name] == value for name, value in _said(each).items())
            told = f"in quarantine as {row['reason']} {row['raw']!r}" if row else "not in quarantine"
            self._control.add(not is_same, f"line {each.line}: {told}, refused as {each.reason} {each.raw!r}")
        believed = set()
        for line, raw in zip(chunk.lines, chunk.raw, strict=True):
            row = self._quarantine.get(line)
            if row and (row["reason"] == CONFLICT or (not run.is_noted and row["reason"].endswith("_unknown"))):
                del self._quarantine[line]
                believed.add(line)
                self._control.add(row["raw"] != raw.decode(), f"line {line}: in quarantine as {row['raw']!r}")
        return believed

    def _compare_rows(self, clean: Clean, believed: set[int]) -> None:
        """Every field of every transaction."""
        here = np.flatnonzero(~np.isin(clean.lines, list(believed)))
        columns = {name: values[here] for name, values in clean.columns.items()}
        ids = columns["transaction_id"]
        wanted = any_of(np.unique(ids).tolist())
        stored = read_rows(self._reads, TRANSACTIONS, wanted, self._load["_id"])
        at = np.minimum(np.searchsorted(stored["_id"], ids), max(len(stored) - 1, 0))
        there = stored["_id"][at] == ids if len(stored) else np.zeros(len(ids), bool)
        rows, at = np.flatnonzero(there), at[there]
        for name, of_transaction in _FIELDS.items():
            self._compare(of_transaction, ids[rows], stored[of_transaction][at], columns[name][rows])
        mine = stored.mine[at]
        profiles, customers = profile_id(columns)[rows], stored["customer_id"][at]
        right = np.where(customers == profiles, profiles, ids[rows])  # a customer of its own, or a profile
        self._compare("customer_id", ids[rows], customers, right)
        for id_, why in stored.malformed:
            self._control.add(1, f"transaction {id_}: {why}")
        cents = np.full(len(ids), _ABSENT, np.int64)
        cents[rows] = stored[AMOUNT][at]
        own = np.zeros(len(ids), np.int64)
        own[rows] = mine
        self._rows.append(np.array([ids, columns[AMOUNT], cents, own], np.int64))

    def _compare(self, name: str, ids: Ints, stored: Ints, right: Ints) -> None:
        wrong = np.flatnonzero(stored != right)
        if wrong.size:
            first = wrong[0]
            what = (
                f"{name} of {wrong.size} rows, first transaction {ids[first]}: {stored[first]}, {right[first]} expected"
            )
            self._control.add(wrong.size, what)

    def _total(self) -> None:
        """Each id once."""
        every = np.concatenate([np.empty((4, 0), np.int64), *self._rows], axis=1)
        ids, cents, stored, own = every[:, np.unique(every[0], return_index=True)[1]]
        control, there = self._control, stored != _ABSENT
        control.rows, control.stored_rows = len(ids), int(np.count_nonzero(there))
        control.cents = int(cents[cents != NULL].sum())
        control.stored_cents = int(stored[there & (stored != NULL)].sum())
        if not there.all():
            control.add(int(np.count_nonzero(~there)), f"transaction {ids[~there][0]} is missing")
        right = self._load["counts"]["inserted"] - self._load.get("adopted", 0)
        mine = int(own[~np.isin(ids, self._noted)].sum())  # recorded rows can be adopted at any time
        control.add(int(mine != right), f"transactions that this load inserted: {mine}, {right} expected")
        self._compare_noted(ids, ids[there & (own == 0)])

    def _compare_noted(self, ids: Ints, of_others: Ints) -> None:
        """Rows of other loads are recorded (except by earlier releases), and recorded rows are in the file."""
        lacking = np.setdiff1d(of_others, self._noted) if "adopted" in self._load else of_others[:0]
        strange = np.setdiff1d(self._noted, ids)
        for wrong, what in (
            (lacking, "belongs to another load, but is not recorded as repeated"),
            (strange, "is recorded as repeated, but is not in the file"),
        ):
            self._control.add(len(wrong), f"transaction {wrong[0]} {what}" if len(wrong) else "")


def _said(refused: Refused) -> dict[str, str]:
    """What the quarantine stores of a refused row, except the message."""
    return {"column": refused.column, "value": refused.value, "reason": refused.reason, "raw": refused.raw}


def _counted(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts that are not zero."""
    return {name: count for name, count in counts.items() if count}
