"""Answer questions: plan, read everything as of one moment, merge the parts, arrange the rows.

While the change stream vouches for the version, what resident columns have is answered from them alone. Everything else
is read in one snapshot of MongoDB, columns of the same version among it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

import numpy as np

from catalog.dimensions import date_of, day_number
from pipelines.answer.answer import Answer, arrange
from pipelines.answer.cache import MAX_KEPT_ROWS, AnswerCache
from pipelines.answer.comparison import Span, compare, halves, spans
from pipelines.answer.keeper import Keeper
from pipelines.answer.known import Known
from pipelines.answer.sources import CACHE_BYTES, Sources, compiled
from pipelines.answer.table import members
from pipelines.ask.queries import Query
from pipelines.ask.question import Interval, Parameters, Question, ask
from pipelines.derived.groups import Groups, merge
from pipelines.plan.choose import plan
from pipelines.plan.compiler import Pipeline
from pipelines.plan.groups import check_groups
from pipelines.plan.reads import ColumnsRead, Plan, Read, RollupRead
from pipelines.plan.whole import NotWhole
from pipelines.resident.evaluate import read_resident
from pipelines.resident.shelf import NONE, Resident, Shelf
from pipelines.state.floor import Floor
from pipelines.state.version import Directory, Version
from store.client import Snapshot, Store
from store.explain import Explained, explain
from store.timing import Timer

Listener = Callable[[Answer, bool], None]
"""Called with each answer that is given, and whether it was kept from before."""


class _Given(NamedTuple):
    """An answer, and whether it was kept from before."""

    answer: Answer
    kept: bool


class Answerer:
    """Answers questions, and keeps what it read as long as that is right: answers, the directory, unpacked pages.

    May be used by several threads.

    Attributes:
        known: the directory, which tells what is there to be asked.
    """

    def __init__(
        self,
        store: Store,
        *,
        cache_bytes: int = CACHE_BYTES,
        answer_rows: int = MAX_KEPT_ROWS,
        watch: bool = False,
        tell: Listener = lambda answer, kept: None,
        shelf: Shelf | None = None,
        floor: Floor | None = None,
    ) -> None:
        """Take the store, and what may be used besides.

        Attributes:
            watch: whether a change stream tells of new versions, so that none has to be asked for.
            shelf: where resident columns are.
            floor: the newest version that any process of this service has shown.
        """
        self._store = store
        self._shelf = shelf
        self._keeper: Keeper | None = None
        self._tell = tell
        self._answers = AnswerCache(answer_rows)
        self._sources = Sources(cache_bytes)
        self.known = Known(store, watch=watch, floor=floor)

    def close(self) -> None:
        """End what runs beside."""
        if self._keeper:
            self._keeper.close()
        self.known.close()

    def keep_columns(self) -> None:
        """Have the columns built and renewed in the background."""
        if self._shelf and self._keeper is None:
            self._keeper = Keeper(self._store, self.known, self._shelf)

    @property
    def has_columns(self) -> bool:
        """Whether all fresh months are in memory, as of the directory read last."""
        last = self.known.last
        return bool(self._shelf and last and self._shelf.is_full(last))

    def resolve(
        self, query: Query, parameters: Parameters, allowed: Collection[str] | None = None, *, ask_anew: bool = False
    ) -> tuple[Question, Directory]:
        """The question that parameters as text make of a query, and the directory as it is now.

        Attributes:
            ask_anew: whether MongoDB is asked for the version even if the change stream vouches for the last one.

        Raises:
            UserError: a parameter is unknown or impossible, or the answer may be too large.
            StoreUnavailable: MongoDB cannot be reached.
        """
        now = self.known.now(ask_anew=ask_anew)
        return self.question(query, parameters, now, allowed), now

    def question(
        self, query: Query, parameters: Parameters, now: Directory, allowed: Collection[str] | None = None
    ) -> Question:
        """The same where the directory is known already."""
        question = ask(query, parameters, now.vocabulary, allowed)
        check_groups(question, now)
        return question

    def in_memory(self, question: Question, now: Directory, timer: Timer) -> Answer | None:
        """The answer without MongoDB, as of a directory that is vouched for; None where the columns do not have it."""
        kept = self._kept(now.version, [question])
        given = self._from_columns([question], now, kept, timer)
        return given[0].answer if given else None

    def answer(self, questions: Sequence[Question], timer: Timer, now: Directory | None = None) -> list[Answer]:
        """The exact answers, all as of one moment. The timer gets `plan`, `mongo`, `compute` and `shape`.

        Attributes:
            now: the directory as it is now, where that is known: answers of its version are right then, if all are
                kept.

        Raises:
            SourceRefused: the source that a question asks for cannot answer it exactly.
            StoreUnavailable: MongoDB cannot be reached.
        """
        known = now or self.known.last
        kept = self._kept(known.version, questions) if known else {}
        given = None
        if now and all(question in kept for question in questions):
            given = [_Given(kept[question], kept=True) for question in questions]
        elif now:
            given = self._from_columns(questions, now, kept, timer)
        if given is None and len(questions) == 1 and not kept:
            given = self._answer_at_once(questions[0], timer)
        if given is None:
            with self._store.snapshot() as snapshot:
                with timer.stretch("mongo"):
                    directory = self.known.as_of(snapshot)
                given = self._answer_all(snapshot, questions, directory, timer)
        for each in given:
            self._tell(each.answer, each.kept)
        return [each.answer for each in given]

    def explain(self, question: Question) -> list[tuple[Read, str, Pipeline, Explained]]:
        """How each read of a question is made: its collection, its pipeline, and what MongoDB does for it."""
        with self._store.snapshot() as snapshot:
            directory = self.known.as_of(snapshot)
            asked = [question]
            if question.compare:
                asked = list(halves(question, spans(question, *self._sources.ends(snapshot, question, directory))))
        told: list[tuple[Read, str, Pipeline, Explained]] = []
        for each in asked:
            for read in plan(each, directory, self._resident(directory).months).reads:
                if isinstance(read, ColumnsRead):
                    told.append((read, "", [], Explained((), None)))
                    continue
                name, pipeline = compiled(each, read)
                command = {"aggregate": name, "pipeline": pipeline, "cursor": {}}
                told.append((read, name, pipeline, explain(self._store, command, run=True)))
        return told

    def _resident(self, directory: Directory) -> Resident:
        return self._shelf.resident(directory) if self._shelf else NONE

    def _from_columns(
        self, questions: Sequence[Question], now: Directory, kept: Mapping[Question, Answer], timer: Timer
    ) -> list[_Given] | None:
        """The answers, without MongoDB; None where the columns do not have everything, or something has changed."""
        resident, moment = self._resident(now), self.known.moment_of(now.version)
        if not resident.months or not moment:
            return None
        given = []
        for question in questions:
            answer = kept.get(question) or self._of_columns(question, now, moment, resident, timer)
            if answer is None:
                return None
            given.append(_Given(answer, question in kept))
        for each in given:
            if not each.kept:
                self._answers.put(each.answer)
        return given

    def _of_columns(
        self, question: Question, now: Directory, moment: datetime, resident: Resident, timer: Timer
    ) -> Answer | None:
        if question.compare:
            both = spans(question, *now.days) if now.days else None
            if not both:
                return None
            halved = [self._of_columns(each, now, moment, resident, timer) for each in halves(question, both)]
            if None in halved:
                return None
            with timer.stretch("shape"):
                return _compared(question, both, [each for each in halved if each], now)
        with timer.stretch("plan"):
            chosen = plan(question, now, resident.months)
        if any(not isinstance(read, ColumnsRead) for read in chosen.reads):
            return None
        with timer.stretch("compute"):
            reads = (read for read in chosen.reads if isinstance(read, ColumnsRead))
            found = [read_resident(question, read, resident.segments) for read in reads]
        return _arranged(moment, question, chosen, found, now, timer)

    def _kept(self, version: Version, questions: Sequence[Question]) -> dict[Question, Answer]:
        """Those answers that are kept from before."""
        found = ((question, self._answers.get(version, question)) for question in questions)
        return {question: answer for question, answer in found if answer}

    def _answer_all(
        self, snapshot: Snapshot, questions: Sequence[Question], directory: Directory, timer: Timer
    ) -> list[_Given]:
        """The answers as of a session's snapshot; those that are not kept are made, and kept."""
        kept = self._kept(directory.version, questions)
        given = []
        for question in questions:
            answer = kept.get(question)
            if answer is None:
                make = self._compare if question.compare else self._make
                self._answers.put(answer := make(snapshot, question, directory, timer))
            given.append(_Given(answer, question in kept))
        return given

    def _answer_at_once(self, question: Question, timer: Timer) -> list[_Given] | None:
        """The answer in one round trip, where rollups alone have it and the directory is still the one read last."""
        last = self.known.last
        if not last or question.compare:
            return None
        with timer.stretch("plan"):
            chosen = plan(question, last, self._resident(last).months)
        if len(chosen.reads) != 1 or not isinstance(chosen.reads[0], RollupRead):
            return None
        with self._store.snapshot() as snapshot:
            groups = self._sources.read_at_once(snapshot, question, chosen.reads[0], last, timer)
            if groups is None:
                return None
            answer = _arranged(snapshot.moment, question, chosen, [groups], last, timer)
        self._answers.put(answer)
        return [_Given(answer, kept=False)]

    def _make(self, snapshot: Snapshot, question: Question, directory: Directory, timer: Timer) -> Answer:
        while True:
            if self.known.last and self.known.last.version == directory.version:
                directory = self.known.last  # it may have learnt what is incomplete
            resident = self._resident(directory)
            with timer.stretch("plan"):
                chosen = plan(question, directory, resident.months)
            try:
                found = [self._read(snapshot, question, read, directory, resident, timer) for read in chosen.reads]
            except NotWhole as error:  # never again the same: each time less is left that may be used
                self.known.distrust(directory, error.periods)
                continue
            return _arranged(snapshot.moment, question, chosen, found, directory, timer)

    def _read(
        self, snapshot: Snapshot, question: Question, read: Read, directory: Directory, resident: Resident, timer: Timer
    ) -> Groups:
        if isinstance(read, ColumnsRead):
            with timer.stretch("compute"):
                return read_resident(question, read, resident.segments)
        return self._sources.read(snapshot, question, read, directory, timer)

    def _compare(self, snapshot: Snapshot, question: Question, directory: Directory, timer: Timer) -> Answer:
        with timer.stretch("mongo"):
            both = spans(question, *self._sources.ends(snapshot, question, directory))
        now, *then = self._answer_all(snapshot, list(halves(question, both)), directory, timer)
        with timer.stretch("shape"):
            return _compared(question, both, [each.answer for each in (now, *then)], directory)


def _compared(
    question: Question, both: tuple[Span, Span] | None, halved: Sequence[Answer], directory: Directory
) -> Answer:
    found = compare(question, both, halved[0], halved[-1], directory.vocabulary)
    return replace(found, filters=question.echo(directory.vocabulary))


def _arranged(
    moment: datetime, question: Question, chosen: Plan, found: Sequence[Groups], directory: Directory, timer: Timer
) -> Answer:
    with timer.stretch("shape"):
        rows, total, sentence = arrange(question, _together(question, found), directory.vocabulary)
        filters = question.echo(directory.vocabulary)
    return Answer(question, filters, rows, total, sentence, chosen, directory.version, moment)


def _together(question: Question, found: Sequence[Groups]) -> Groups:
    """The groups of all reads with distinct keys; days become the first day of their interval."""
    if not question.interval:
        return found[0] if len(found) == 1 else merge(found, question.width)
    return merge([_folded(each, question.interval) for each in found], question.width)


def _folded(groups: Groups, interval: Interval) -> Groups:
    days, places = members(groups.keys[0])
    starts = np.array([day_number(interval.start(date_of(day))) for day in days], np.int64)[places]
    return Groups((starts, *groups.keys[1:]), groups.sums)
