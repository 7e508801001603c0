"""Read what a plan says, and give it as groups: from rollups, from pages, or from transactions."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from operator import itemgetter
from typing import Any

import numpy as np

from catalog.calendar import Grain, Period, Piece, month_of, year_of
from catalog.collections import PAGES, ROLLUPS, STATUS, TRANSACTIONS
from catalog.dimensions import Dimension, day_number, day_of
from catalog.errors import InternalError, StoreUnavailable
from catalog.purchases import DATE
from pipelines.answer.cache import Cache, bytes_of
from pipelines.ask.question import BUCKET, Question
from pipelines.derived.columns import Columns
from pipelines.derived.groups import Groups, merge
from pipelines.derived.pages import evaluate, read_whole_pages
from pipelines.plan.compiler import Pipeline, raw_pipeline, rollup_pipeline
from pipelines.plan.reads import ColumnsRead, PagesRead, Read, RollupRead
from pipelines.plan.whole import NotWhole, counts_slices, expected, leaves_days
from pipelines.state.directory import VERSIONS, parse_version
from pipelines.state.version import Directory
from store.client import Snapshot
from store.timing import Timer

CACHE_BYTES = 64 << 20
FEW_MONTHS = 2
"""So few months of a year are unpacked one by one, as where a range cuts them; more are cheaper as one block."""

_BATCH = 10_000  # so that all days come in one reply


class Sources:
    """Reads groups as of a snapshot, and keeps unpacked pages; may be used by several threads."""

    def __init__(self, cache_bytes: int) -> None:
        self._blocks: Cache[Any, Columns] = Cache(cache_bytes, bytes_of)

    def read(self, snapshot: Snapshot, question: Question, read: Read, directory: Directory, timer: Timer) -> Groups:
        """What one read gives.

        Raises:
            NotWhole: something is missing of what was built of some periods.
            StoreUnavailable: MongoDB cannot be reached, or the transactions are gone.
        """
        if isinstance(read, PagesRead):
            return self._read_pages(snapshot, question, read, directory, timer)
        name, pipeline = compiled(question, read)
        with timer.stretch("mongo"):
            documents = snapshot.aggregate(name, pipeline, batch_size=_BATCH)
        if isinstance(read, RollupRead):
            if not _is_whole(question, read, documents, directory):
                raise NotWhole(self._missing(snapshot, question, read, directory))
            return _rollup_groups(question, read, documents)
        if not documents:
            self._require_transactions(snapshot, directory)
        return parse_groups(question, documents, is_coded=False)

    def read_at_once(
        self, snapshot: Snapshot, question: Question, read: RollupRead, known: Directory, timer: Timer
    ) -> Groups | None:
        """The same of rollups, read together with the version, trusting that the directory is what it was.

        None where it is another one by now, or where something is missing: then nothing of what was read is used. It
        saves one of two round trips.
        """
        name, pipeline = compiled(question, read)
        with timer.stretch("mongo"):
            union = {"$unionWith": {"coll": STATUS.name, "pipeline": [{"$match": {"_id": VERSIONS}}]}}
            documents = snapshot.aggregate(name, [*pipeline, union], batch_size=_BATCH)
        versions = []
        while documents and "version" in documents[-1]:
            versions.append(documents.pop())
        if parse_version(versions) != known.version or not _is_whole(question, read, documents, known):
            return None  # what is missing is found where it is read once more
        return _rollup_groups(question, read, documents)

    def ends(self, snapshot: Snapshot, question: Question, directory: Directory) -> tuple[date | None, date | None]:
        """The question's first and last day; where an end is open, that of the data."""
        ends: list[date | None] = []
        for given, direction in ((question.first, 1), (question.last, -1)):
            found = None
            if not given:
                found = snapshot.find_one(TRANSACTIONS.name, fields={DATE.field: 1}, sort=[(DATE.field, direction)])
                if not found:
                    self._require_transactions(snapshot, directory)
            ends.append(found[DATE.field].date() if found else None)
        return ends[0], ends[1]

    def _missing(self, snapshot: Snapshot, question: Question, read: RollupRead, directory: Directory) -> set[Period]:
        """The months and years of a read of which something is missing, each tried alone."""
        missing = set()
        for period in read.periods:
            alone = replace(read, periods=(period,))
            name, pipeline = compiled(question, alone)
            documents = snapshot.aggregate(name, pipeline)
            if not _is_whole(question, alone, documents, directory):
                missing.add(period)
        return {month_of(each.start) if each.grain is Grain.DAY else each for each in missing or read.periods}

    def _require_transactions(self, snapshot: Snapshot, directory: Directory) -> None:
        """Make sure that nothing was found because nothing matches, not because the transactions are gone."""
        is_empty = snapshot.find_one(TRANSACTIONS.name, fields={"_id": 1}) is None
        rows = sum(state.rows for state in directory.months.values() if not state.stale)
        if is_empty and rows:
            raise StoreUnavailable(
                f"The collection transactions is empty, and {rows:,} transactions were counted",
                "Restore it from a backup",
            )

    def _read_pages(
        self, snapshot: Snapshot, question: Question, read: PagesRead, directory: Directory, timer: Timer
    ) -> Groups:
        by_year: dict[Period, list[Piece]] = {}
        for piece in read.pieces:
            by_year.setdefault(year_of(piece.first), []).append(piece)
        groups = []
        for year, of_year in by_year.items():
            few = len(of_year) <= FEW_MONTHS
            for pieces in ([piece] for piece in of_year) if few else (of_year,):
                block = self._block(snapshot, pieces[0].period.months if few else year.months, directory, timer)
                with timer.stretch("compute"):
                    for first, last in _stretches(pieces):
                        groups.append(evaluate(block, question, day_number(first), day_number(last)))
        return groups[0] if len(groups) == 1 else merge(groups, len(groups[0].keys))

    def _block(self, snapshot: Snapshot, wanted: Sequence[Period], directory: Directory, timer: Timer) -> Columns:
        """The fresh months among some as one run of columns. Their versions name it, so it cannot be out of date."""
        months = [
            (month, state.changed) for month in wanted if (state := directory.months.get(month)) and not state.stale
        ]
        name = (directory.version.epoch, tuple(months))
        block = self._blocks.get(name)
        if block is None:
            with timer.stretch("mongo"):
                expected = {month: (directory.months[month].rows, built) for month, built in months}
                block = read_whole_pages(snapshot, expected)
            self._blocks.put(name, block)
        return block


def compiled(question: Question, read: Read) -> tuple[str, Pipeline]:
    """The collection and the pipeline that a read is made by; none of columns, which are in memory."""
    if isinstance(read, RollupRead):
        return ROLLUPS.name, rollup_pipeline(question, read)
    if isinstance(read, ColumnsRead):
        return "", []
    if isinstance(read, PagesRead):
        starts = sorted({day_of(day_number(piece.period.start)) for piece in read.pieces})
        return PAGES.name, [{"$match": {"month": {"$in": starts}}}, {"$sort": {"month": 1, "part": 1}}]
    return TRANSACTIONS.name, raw_pipeline(question, read.first, read.last)


def parse_groups(question: Question, documents: Sequence[dict[str, Any]], *, is_coded: bool) -> Groups:
    """The groups that a compiled pipeline returned, with codes for keys.

    Attributes:
        is_coded: whether the keys are codes already, as in rollups, or values as transactions store them.

    Raises:
        InternalError: a sum is no whole number: MongoDB turns an overflowing one into a double.
    """
    dimensions: dict[str, Dimension] = dict.fromkeys([BUCKET], DATE) if question.interval else {}
    dimensions |= {dimension.name: dimension for dimension in question.query.by}
    if documents and "slices" in documents[0]:  # a slice without a cell that is let through was counted all the same
        documents = [document for document in documents if document["n"]]
    parts = [(document["n"], document["p"], document["r"]) for document in documents]
    if not isinstance(sum(map(sum, parts)), int):  # one double among the summands makes the sum a double
        raise InternalError("a sum overflowed")
    keys = []
    for name, dimension in dimensions.items():
        if len(dimensions) == 1:
            field = "k" if documents and "k" in documents[0] else "_id"
            values = [document[field] for document in documents]
        else:
            values = [document["_id"].get(name) for document in documents]
        if not is_coded or question.interval:  # an interval's key may be the start of a period
            values = [each if is_coded and isinstance(each, int) else dimension.code(each) for each in values]
        keys.append(np.array(values, np.int64))
    groups = Groups(tuple(keys), np.array(parts, np.int64).reshape(-1, 3).T)
    return groups if is_coded else merge([groups], len(keys))  # a missing field and one that says Unknown are one


def _is_whole(question: Question, read: RollupRead, documents: Sequence[dict[str, Any]], directory: Directory) -> bool:
    """Whether what was read of the rollups is all that there has to be."""
    counted = "slices" if counts_slices(question, read) else "n"
    found: int = sum(map(itemgetter(counted), documents))
    return found == expected(question, read, directory)


def _rollup_groups(question: Question, read: RollupRead, documents: Sequence[dict[str, Any]]) -> Groups:
    groups = parse_groups(question, documents, is_coded=True)
    if not leaves_days(question, read):
        return groups
    days = groups.keys[0 if question.interval else question.query.by.index(DATE)]
    return groups.take(np.flatnonzero((days >= day_number(read.first)) & (days <= day_number(read.last))))


def _stretches(pieces: Sequence[Piece]) -> Iterable[tuple[date, date]]:
    """The days of pieces in order of time, adjacent ones joined."""
    first, last = pieces[0].first, pieces[0].last
    for piece in pieces[1:]:
        if day_number(last) + 1 != day_number(piece.first):
            yield first, last
            first = piece.first
        last = piece.last
    yield first, last
