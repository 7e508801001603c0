"""Answer questions: plan, read everything in one snapshot, merge the parts, arrange the rows."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

from catalog.dimensions import date_of, day_number
from catalog.measures import Parts
from pipelines.answer.answer import Answer, Grouped, arrange
from pipelines.answer.cache import MAX_KEPT_ROWS, AnswerCache
from pipelines.answer.comparison import compare, halves, spans
from pipelines.answer.known import Known
from pipelines.answer.sources import CACHE_BYTES, Groups, Sources, compiled
from pipelines.ask.queries import Query
from pipelines.ask.question import Interval, Parameters, Question, ask
from pipelines.plan.choose import plan
from pipelines.plan.compiler import Pipeline
from pipelines.plan.groups import check_groups
from pipelines.plan.reads import Plan, Read, RollupRead
from pipelines.plan.whole import NotWhole
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
    ) -> None:
        """Take the store; with `watch`, a change stream tells of new versions, so that none has to be asked for."""
        self._store = store
        self._tell = tell
        self._answers = AnswerCache(answer_rows)
        self._sources = Sources(cache_bytes)
        self.known = Known(store, watch=watch)

    def close(self) -> None:
        """End the watcher."""
        self.known.close()

    def resolve(
        self, query: Query, parameters: Parameters, allowed: Collection[str] | None = None
    ) -> tuple[Question, Directory]:
        """The question that parameters as text make of a query, and the directory as it is now.

        Raises:
            UserError: a parameter is unknown or impossible, or the answer may be too large.
            StoreUnavailable: MongoDB cannot be reached.
        """
        now = self.known.now()
        question = ask(query, parameters, now.vocabulary, allowed)
        check_groups(question, now)
        return question, now

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
        elif len(questions) == 1 and not kept:
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
        told = []
        for each in asked:
            for read in plan(each, directory).reads:
                name, pipeline = compiled(each, read)
                command = {"aggregate": name, "pipeline": pipeline, "cursor": {}}
                told.append((read, name, pipeline, explain(self._store, command, run=True)))
        return told

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
            chosen = plan(question, last)
        if len(chosen.reads) != 1 or not isinstance(chosen.reads[0], RollupRead):
            return None
        with self._store.snapshot() as snapshot:
            groups = self._sources.read_at_once(snapshot, question, chosen.reads[0], last, timer)
            if groups is None:
                return None
            grouped: dict[tuple[int, ...], Parts] = {}
            with timer.stretch("shape"):
                _add(grouped, groups, question.interval)
            answer = _arranged(snapshot, question, chosen, grouped, last, timer)
        self._answers.put(answer)
        return [_Given(answer, kept=False)]

    def _make(self, snapshot: Snapshot, question: Question, directory: Directory, timer: Timer) -> Answer:
        while True:
            if self.known.last and self.known.last.version == directory.version:
                directory = self.known.last  # it may have learnt what is incomplete
            with timer.stretch("plan"):
                chosen = plan(question, directory)
            grouped: dict[tuple[int, ...], Parts] = {}
            try:
                for read in chosen.reads:
                    groups = self._sources.read(snapshot, question, read, directory, timer)
                    with timer.stretch("shape"):
                        _add(grouped, groups, question.interval)
            except NotWhole as found:  # never again the same: each time less is left that may be used
                self.known.distrust(directory, found.periods)
                continue
            return _arranged(snapshot, question, chosen, grouped, directory, timer)

    def _compare(self, snapshot: Snapshot, question: Question, directory: Directory, timer: Timer) -> Answer:
        with timer.stretch("mongo"):
            both = spans(question, *self._sources.ends(snapshot, question, directory))
        now, *then = self._answer_all(snapshot, list(halves(question, both)), directory, timer)
        with timer.stretch("shape"):
            beside = then[0].answer if then else now.answer
            found = compare(question, both, now.answer, beside, directory.vocabulary)
            return replace(found, filters=question.echo(directory.vocabulary))


def _arranged(
    snapshot: Snapshot, question: Question, chosen: Plan, grouped: Grouped, directory: Directory, timer: Timer
) -> Answer:
    with timer.stretch("shape"):
        rows, codes, total, sentence = arrange(question, grouped, directory.vocabulary)
        filters = question.echo(directory.vocabulary)
    return Answer(question, filters, rows, total, sentence, chosen, directory.version, snapshot.moment, codes=codes)


def _add(grouped: dict[tuple[int, ...], Parts], groups: Groups, interval: Interval | None) -> None:
    """Merge groups, each of which has a key of its own, into others; days become the first day of their interval."""
    if interval:
        starts: dict[int, int] = {}
        for key, parts in groups:
            day = key[0]
            if day not in starts:
                starts[day] = day_number(interval.start(date_of(day)))
            key = (starts[day], *key[1:])
            grouped[key] = grouped[key].merge(parts) if key in grouped else parts
    elif grouped:
        for key, parts in groups:
            grouped[key] = grouped[key].merge(parts) if key in grouped else parts
    else:
        grouped.update(groups)
