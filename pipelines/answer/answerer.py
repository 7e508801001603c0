"""Answer questions: plan, read everything in one snapshot, merge the parts, arrange the rows."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from operator import itemgetter
from typing import Any

from catalog.calendar import Grain, Period, Piece, month_of, year_of
from catalog.collections import PAGES, ROLLUPS, STATUS, TRANSACTIONS
from catalog.dimensions import Dimension, date_of, day_number, day_of
from catalog.errors import InternalError, StoreUnavailable
from catalog.measures import NOTHING, Parts
from catalog.purchases import DATE
from pipelines.answer.answer import Answer, Cells, arrange
from pipelines.answer.cache import MAX_ROWS, AnswerCache
from pipelines.answer.comparison import Span, compare, halves, spans
from pipelines.ask.queries import Query
from pipelines.ask.question import BUCKET, Interval, Parameters, Question, ask
from pipelines.derived.columns import Columns
from pipelines.derived.pages import BlockCache, evaluate, read_whole_pages
from pipelines.derived.presence import missing_periods
from pipelines.plan.compiler import Pipeline, raw_pipeline, rollup_pipeline
from pipelines.plan.groups import check_groups
from pipelines.plan.planner import PagesRead, Plan, Read, RollupRead, plan
from pipelines.plan.whole import NotWhole, counts_slices, expected, leaves_days
from pipelines.state.directory import VERSIONS, parse_version, read_directory
from pipelines.state.version import EMPTY, Directory
from store.client import Session, Store
from store.explain import Explained, explain
from store.scope import comment
from store.timing import Timer

log = logging.getLogger(__name__)
CACHE_BYTES = 64 << 20
LOOK_S = 10.0
"""What monitors are told of the presence of rollups and pages is at most so old; looking takes 10 ms."""

FEW_MONTHS = 2
"""So few months of a year are unpacked one by one, as where a range cuts them; more are cheaper as one block."""

_BATCH = 10_000  # so that all days come in one reply
Groups = Iterable[tuple[tuple[int, ...], Parts]]
Listener = Callable[[Answer, bool], None]
"""Told of each answer that is given, and whether it was kept from before."""


class Executor:
    """Answers questions, and keeps what it read as long as that is right: the directory, and unpacked pages.

    It may be used by several threads.
    """

    def __init__(
        self,
        store: Store,
        *,
        cache_bytes: int = CACHE_BYTES,
        answer_rows: int = MAX_ROWS,
        watch: bool = False,
        tell: Listener = lambda answer, kept: None,
    ) -> None:
        """Take the store; with `watch`, let a change stream tell of new versions, so that none has to be asked for."""
        self._store = store
        self._tell = tell
        self.answers = AnswerCache(answer_rows)
        self.watcher = store.watch(STATUS.name, VERSIONS) if watch else None
        self._blocks = BlockCache(cache_bytes)
        self._known: Directory | None = None
        self._looked = (EMPTY, 0.0)
        self._lock = threading.Lock()

    def directory(self, session: Session) -> Directory:
        """The directory as of a session's snapshot."""
        found = read_directory(self._store, session, self._known, is_named=True)
        with self._lock:
            self._known = found
        return found

    def inspect(self, session: Session) -> Directory:
        """The directory, after a look whether all that was built is there; one look in LOOK_S for each version."""
        directory = self.directory(session)
        seen, at = self._looked
        if seen == directory.version and time.monotonic() - at < LOOK_S:
            return directory
        missing = missing_periods(self._store, session, directory)
        self._looked = directory.version, time.monotonic()
        return self._distrust(directory, missing) if missing else directory

    def answer(self, question: Question, timer: Timer) -> Answer:
        """The exact answer as of one moment. The timer gets `plan`, `mongo` and `shape`.

        Raises:
            SourceRefused: the source that is asked for cannot answer exactly.
            StoreUnavailable: MongoDB is away.
        """
        known = self._known
        found = None
        if known and not question.compare and (known.version, question) not in self.answers:
            found = self._answer_at_once(question, known, timer)
        return found or self.answer_all((question,), timer)[0]

    def close(self) -> None:
        """End the watcher."""
        if self.watcher:
            self.watcher.close()

    def resolve(
        self, query: Query, parameters: Parameters, allowed: Collection[str] | None = None
    ) -> tuple[Question, Directory]:
        """The question that parameters as text say, and the directory as it is now.

        Raises:
            UserError: a parameter is unknown or impossible, or the answer may be too large.
            StoreUnavailable: MongoDB is away.
        """
        known = self.present()
        question = ask(query, parameters, known.vocabulary, allowed)
        check_groups(question, known)
        return question, known

    def present(self) -> Directory:
        """The directory as it is now.

        Raises:
            StoreUnavailable: MongoDB is away.
        """
        told = self.watcher.current() if self.watcher else None
        known = self._known
        if not (told and known and parse_version(told) == known.version):
            with self._store.snapshot(is_small=True) as session:  # also a kept answer may need it
                known = self.directory(session)
        return known

    def resolved(self, question: Question, directory: Directory, timer: Timer) -> Answer:
        """The answer to a resolved question: the one that is known as of that directory, or else a new one."""
        return self._kept(directory, question) or self.answer(question, timer)

    def all_resolved(self, questions: Sequence[Question], directory: Directory, timer: Timer) -> list[Answer]:
        """The answers to resolved questions, all as of the same moment."""
        known = [self.answers.get(directory.version, question) for question in questions]
        found = [answer for answer in known if answer]
        return found if len(found) == len(questions) else self.answer_all(questions, timer)

    def explain(self, question: Question) -> list[tuple[Read, str, Pipeline, Explained]]:
        """How each read of a question is made: its collection, its pipeline, and what MongoDB does for it."""
        with self._store.snapshot() as session:
            directory = self.directory(session)
            asked = [question]
            if question.compare:
                asked = list(halves(question, self._spans(session, question, directory)))
        told = []
        for each in asked:
            for read in plan(each, directory).reads:
                name, pipeline = compiled(each, read)
                command = {"aggregate": name, "pipeline": pipeline, "cursor": {}}
                told.append((read, name, pipeline, explain(self._store, command, run=True)))
        return told

    def answer_all(self, questions: Sequence[Question], timer: Timer) -> list[Answer]:
        """The exact answers to several questions, all as of the same moment."""
        with self._store.snapshot() as session:
            with timer.stretch("mongo"):
                directory = self.directory(session)
            return [self._answer(session, question, directory, timer) for question in questions]

    def _answer(self, session: Session, question: Question, directory: Directory, timer: Timer) -> Answer:
        known = self._kept(directory, question)
        if known:
            return known
        if question.compare:
            return self._compare(session, question, directory, timer)
        while True:
            if self._known and self._known.version == directory.version:  # it may have learnt what is incomplete
                directory = self._known
            with timer.stretch("plan"):
                chosen = plan(question, directory)
            cells: dict[tuple[int, ...], Parts] = {}
            try:
                for read in chosen.reads:
                    groups = self._read(session, question, read, directory, timer)
                    with timer.stretch("shape"):
                        _add(cells, groups, question.interval)
            except NotWhole as found:  # never again the same: each time less is left that may be used
                self._distrust(directory, found.periods)
                continue
            return self._arrange(session, question, chosen, cells, directory, timer)

    def _distrust(self, directory: Directory, periods: Collection[Period]) -> Directory:
        """Use nothing any more that was built of some periods, until something is built anew."""
        names = ", ".join(sorted(period.name for period in periods))
        log.warning("rollups or pages of %s are incomplete; `python -m loader verify --repair` mends it", names)
        with self._lock:
            known = self._known
            self._known = (known if known and known.version == directory.version else directory).without(periods)
            return self._known

    def _compare(self, session: Session, question: Question, directory: Directory, timer: Timer) -> Answer:
        with timer.stretch("mongo"):
            both = self._spans(session, question, directory)
        answers = [self._answer(session, each, directory, timer) for each in halves(question, both)]
        with timer.stretch("shape"):
            found = compare(question, both, answers[0], answers[-1], directory.vocabulary)
            found = replace(found, filters=question.echo(directory.vocabulary))
        self.answers.put(found)
        return found

    def _spans(self, session: Session, question: Question, directory: Directory) -> tuple[Span, Span] | None:
        """The two periods of a comparison; where an end is open, the data's first or last day is read."""
        ends: list[date | None] = []
        for given, direction in ((question.first, 1), (question.last, -1)):
            found = None
            if not given:
                found = self._store.db[TRANSACTIONS.name].find_one(
                    {}, {DATE.field: 1}, sort=[(DATE.field, direction)], session=session
                )
                if not found:
                    self._require_transactions(session, directory)
            ends.append(found[DATE.field].date() if found else None)
        return spans(question, *ends)

    def _answer_at_once(self, question: Question, known: Directory, timer: Timer) -> Answer | None:
        """Read the rollups and the version together, trusting that the directory is what it was.

        None where other sources are needed too, or where the version tells that the directory is another one: then
        nothing of what was read is used. It saves one of two round trips.
        """
        with timer.stretch("plan"):
            chosen = plan(question, known)
        if len(chosen.reads) != 1 or not isinstance(chosen.reads[0], RollupRead):
            return None
        name, pipeline = compiled(question, chosen.reads[0])
        with self._store.snapshot() as session:
            with timer.stretch("mongo"):
                union = {"$unionWith": {"coll": STATUS.name, "pipeline": [{"$match": {"_id": VERSIONS}}]}}
                collection = self._store.db[name]
                cursor = collection.aggregate([*pipeline, union], session=session, batchSize=_BATCH, comment=comment())
                documents = cursor.to_list()
            versions = []
            while documents and "version" in documents[-1]:
                versions.append(documents.pop())
            if parse_version(versions) != known.version:
                return None
            cells: dict[tuple[int, ...], Parts] = {}
            with timer.stretch("shape"):
                if not _is_whole(question, chosen.reads[0], documents, known):
                    return None  # what is missing is found where it is read once more
                _add(cells, _rollup_groups(question, chosen.reads[0], documents), question.interval)
            return self._arrange(session, question, chosen, cells, known, timer)

    def _arrange(
        self, session: Session, question: Question, chosen: Plan, cells: Cells, directory: Directory, timer: Timer
    ) -> Answer:
        with timer.stretch("shape"):
            rows, codes, total, sentence = arrange(question, cells, directory.vocabulary)
            filters = question.echo(directory.vocabulary)
        moment = _moment(session)
        found = Answer(question, filters, rows, total, sentence, chosen, directory.version, moment, codes=codes)
        self.answers.put(found)
        self._tell(found, False)
        return found

    def _kept(self, directory: Directory, question: Question) -> Answer | None:
        found = self.answers.get(directory.version, question)
        if found:
            self._tell(found, True)
        return found

    def _read(self, session: Session, question: Question, read: Read, directory: Directory, timer: Timer) -> Groups:
        if isinstance(read, PagesRead):
            return self._read_pages(session, question, read, directory, timer)
        name, pipeline = compiled(question, read)
        with timer.stretch("mongo"):
            cursor = self._store.db[name].aggregate(pipeline, session=session, batchSize=_BATCH, comment=comment())
            documents = cursor.to_list()
        if isinstance(read, RollupRead):
            if not _is_whole(question, read, documents, directory):
                raise NotWhole(self._missing(session, question, read, directory))
            return _rollup_groups(question, read, documents)
        if not documents:
            self._require_transactions(session, directory)
        return parse_groups(question, documents, is_coded=False)

    def _missing(self, session: Session, question: Question, read: RollupRead, directory: Directory) -> set[Period]:
        """The months and years of a read of which something is missing, each tried alone."""
        missing = set()
        for period in read.periods:
            alone = replace(read, periods=(period,))
            name, pipeline = compiled(question, alone)
            documents = self._store.db[name].aggregate(pipeline, session=session, comment=comment()).to_list()
            if not _is_whole(question, alone, documents, directory):
                missing.add(period)
        return {month_of(each.start) if each.grain is Grain.DAY else each for each in missing or read.periods}

    def _require_transactions(self, session: Session, directory: Directory) -> None:
        """Make sure that nothing was found because nothing matches, not because the transactions are gone."""
        is_empty = (
            self._store.db[TRANSACTIONS.name].find_one({}, {"_id": 1}, session=session, comment=comment()) is None
        )
        rows = sum(state.rows for state in directory.months.values() if not state.stale)
        if is_empty and rows:
            raise StoreUnavailable(
                f"The collection transactions is empty, and {rows:,} transactions were counted",
                "Restore it from a backup",
            )

    def _read_pages(
        self, session: Session, question: Question, read: PagesRead, directory: Directory, timer: Timer
    ) -> Groups:
        by_year: dict[Period, list[Piece]] = {}
        for piece in read.pieces:
            by_year.setdefault(year_of(piece.first), []).append(piece)
        groups: dict[tuple[int, ...], Parts] = {}
        for year, of_year in by_year.items():
            few = len(of_year) <= FEW_MONTHS
            for pieces in ([piece] for piece in of_year) if few else (of_year,):
                block = self._block(session, pieces[0].period.months if few else year.months, directory, timer)
                with timer.stretch("compute"):
                    for first, last in _stretches(pieces):
                        found = evaluate(block, question, day_number(first), day_number(last))
                        groups |= {key: parts.merge(groups.get(key, NOTHING)) for key, parts in found.items()}
        return groups.items()

    def _block(self, session: Session, wanted: Sequence[Period], directory: Directory, timer: Timer) -> Columns:
        """The fresh months among some as one run of columns. Their versions name it, so it cannot be out of date."""
        months = [
            (month, state.changed) for month in wanted if (state := directory.months.get(month)) and not state.stale
        ]
        name = (directory.version.epoch, tuple(months))
        block = self._blocks.get(name)
        if block is None:
            with timer.stretch("mongo"):
                expected = {month: (directory.months[month].rows, built) for month, built in months}
                block = read_whole_pages(self._store, session, expected)
            self._blocks.put(name, block)
        return block


def compiled(question: Question, read: Read) -> tuple[str, Pipeline]:
    """The collection and the pipeline that a read is made by."""
    if isinstance(read, RollupRead):
        return ROLLUPS.name, rollup_pipeline(question, read)
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
    names = tuple(dimensions)
    if documents and "slices" in documents[0]:  # a slice without a cell that is let through was counted all the same
        documents = [document for document in documents if document["n"]]
    parts = [Parts(document["n"], document["p"], document["r"]) for document in documents]
    if not isinstance(sum(map(sum, parts)), int):  # one double among the summands makes the sum a double
        raise InternalError("a sum overflowed")
    keys: Iterable[tuple[Any, ...]]
    if len(names) == 1:
        name = "k" if documents and "k" in documents[0] else "_id"
        keys = [(document[name],) for document in documents]
    else:
        keys = [tuple(map(document["_id"].get, names)) if names else () for document in documents]
    if not is_coded or question.interval:  # an interval's key may be the start of a period
        keys = [
            tuple(
                code if is_coded and isinstance(code, int) else dimension.code(code)
                for code, dimension in zip(key, dimensions.values(), strict=True)
            )
            for key in keys
        ]
    if is_coded:
        return zip(keys, parts, strict=True)
    merged: dict[tuple[int, ...], Parts] = {}
    for key, each in zip(keys, parts, strict=True):  # a field that is not there and one that says Unknown are one
        merged[key] = merged[key].merge(each) if key in merged else each
    return merged.items()


def _is_whole(question: Question, read: RollupRead, documents: Sequence[dict[str, Any]], directory: Directory) -> bool:
    """Whether what was read of the rollups is all that there has to be."""
    counted = "slices" if counts_slices(question, read) else "n"
    found: int = sum(map(itemgetter(counted), documents))
    return found == expected(question, read, directory)


def _rollup_groups(question: Question, read: RollupRead, documents: Sequence[dict[str, Any]]) -> Groups:
    groups = parse_groups(question, documents, is_coded=True)
    if not leaves_days(question, read):
        return groups
    place = 0 if question.interval else question.query.by.index(DATE)
    first, last = day_number(read.first), day_number(read.last)
    return ((key, parts) for key, parts in groups if first <= key[place] <= last)


def _add(cells: dict[tuple[int, ...], Parts], groups: Groups, interval: Interval | None) -> None:
    """Merge groups, each of which has a key of its own, into cells; days become the first day of their interval."""
    if interval:
        starts: dict[int, int] = {}
        for key, parts in groups:
            day = key[0]
            if day not in starts:
                starts[day] = day_number(interval.start(date_of(day)))
            key = (starts[day], *key[1:])
            cells[key] = cells[key].merge(parts) if key in cells else parts
    elif cells:
        for key, parts in groups:
            cells[key] = cells[key].merge(parts) if key in cells else parts
    else:
        cells.update(groups)


def _stretches(pieces: Sequence[Piece]) -> Iterable[tuple[date, date]]:
    """The days of pieces in order of time, adjacent ones joined."""
    first, last = pieces[0].first, pieces[0].last
    for piece in pieces[1:]:
        if day_number(last) + 1 != day_number(piece.first):
            yield first, last
            first = piece.first
        last = piece.last
    yield first, last


def _moment(session: Session) -> datetime:
    """The snapshot's cluster time; now, where nothing was read yet."""
    timestamp = getattr(session, "_snapshot_time", None)
    return timestamp.as_datetime() if timestamp else datetime.now(UTC)
