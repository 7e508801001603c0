"""Rollups, pages and transactions give equal answers to every question, whatever was loaded in whatever order."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pytest

from catalog.errors import SourceRefused
from catalog.measures import REVENUE
from catalog.purchases import PURCHASES, STATES
from loader.load import Options, load
from pipelines.answer.answer import finish
from pipelines.answer.answerer import Answerer
from pipelines.ask.queries import QUERIES, Descending, Query
from pipelines.ask.question import Interval, Question, Source, ask
from pipelines.ask.sentences import Leader
from pipelines.derived.refresh import refresh
from store.client import Store
from store.schema import read_vocabulary
from store.timing import Timer
from tests.support import oracle
from tests.support.questions import SEED, content, random_parameters, random_query, with_source
from tests.support.rows import quietly, random_days, row, write
from tests.support.stores import new_store

pytestmark = pytest.mark.live


def as_json(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as in the JSON reply."""
    return {name: value if isinstance(value, int | str | None) else str(value) for name, value in record.items()}


class Checked:
    """A database of random files in random order, and the oracle's reading of all of them."""

    def __init__(self, stack: ExitStack, data_dir: Path, folder: Path, seed: int, rows: int) -> None:
        self.random = random = Random(seed)
        self.seed = seed
        self.store = stack.enter_context(new_store(data_dir))
        states = random.sample(STATES, random.choice((2, 6, len(STATES))))
        lines = [row(random, 1000 + n, day, states) for n, day in enumerate(random_days(random, rows))]
        files = []
        for number in range(4):  # overlapping months, and rows in several files
            some = random.sample(lines, random.randint(len(lines) // 4, len(lines) // 2))
            files.append(write(folder / f"{number}.csv", some))
        everything = {line for path in files for line in path.read_text().splitlines()[1:]}
        self.frame = oracle.read(write(folder / "all.csv", sorted(everything)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("loader.load.refresh", lambda store: refresh(store) if random.random() < 0.3 else None)
            for path in random.sample(files, len(files)):
                report = load(self.store, path, Options(random.choice(("transaction", "profile"))), 0.0, quietly)
                assert report.quarantined == 0
        refresh(self.store)
        self.vocabulary = read_vocabulary(self.store.outside)
        self.answerers = (
            Answerer(self.store, answer_rows=0),
            Answerer(self.store),
            Answerer(self.store, answer_rows=0, cache_bytes=0),
        )
        self.answered: Counter[str] = Counter()

    def ask_one(self) -> None:
        """Ask every source one random question, with caches or without; compare all with each other and the oracle."""
        query, parameters = random_query(self.random), random_parameters(self.random, self.vocabulary)
        question = ask(query, parameters, self.vocabulary)
        told = f"seed {self.seed}: {query.slug} by {[each.name for each in query.by]} {parameters}"
        expected = content(self.answerers[0].answer([with_source(question, Source.RAW)], Timer())[0])
        for source in Source:
            try:
                found = self.random.choice(self.answerers).answer([with_source(question, source)], Timer())[0]
            except SourceRefused as refused:
                assert source in (Source.ROLLUP, Source.PAGES), told
                self.answered["without a reason"] += not refused.reasons
                self.answered[f"{source} refused"] += 1
                continue
            assert content(found) == expected, f"{source} differs from raw, {told}"
            self.answered[source] += 1
            self.answered[f"read {found.plan.source}"] += 1
        if query in QUERIES:
            wanted = oracle.answer(self.frame, query.slug, parameters)
            assert [as_json(each) for each in found.records()] == wanted["rows"], f"raw differs from pandas, {told}"
            assert as_json(finish(found.total)) == wanted["totals"], f"raw differs from pandas, {told}"
            self.answered["pandas"] += 1
        self.answered["questions"] += 1


def check_questions(data_dir: Path, folder: Path, databases: int, questions: int, rows: int) -> Counter[str]:
    """Ask random questions on several random databases."""
    answered: Counter[str] = Counter()
    for number in range(databases):
        place = folder / str(number)
        place.mkdir()
        with ExitStack() as stack:
            checked = Checked(stack, data_dir, place, SEED + number, rows)
            for _ in range(questions // databases):
                checked.ask_one()
            answered += checked.answered
    print(f"seed {SEED}: {dict(answered)}")
    return answered


def test_200_random_questions_are_answered_alike_by_every_source(server: Store, data_dir: Path, tmp_path: Path) -> None:
    """Two databases of four overlapping files each; rollup = pages = raw = auto = pandas, caches on and off."""
    answered = check_questions(data_dir, tmp_path, 2, 200, 2_000)
    assert answered["questions"] == 200
    assert answered[Source.ROLLUP] >= 20
    assert answered[Source.PAGES] == answered[Source.AUTO] == answered[Source.RAW] == 200
    assert answered["pandas"] >= 100
    assert answered["without a reason"] == 0


@pytest.mark.slow
def test_2000_random_questions_are_answered_alike_by_every_source(
    server: Store, data_dir: Path, tmp_path: Path
) -> None:
    """The same with ten databases."""
    answered = check_questions(data_dir, tmp_path, 10, 2_000, 4_000)
    assert answered["questions"] == 2_000
    assert answered[Source.ROLLUP] >= 300
    assert answered[Source.PAGES] == answered[Source.AUTO] == answered[Source.RAW] == 2_000
    assert answered["pandas"] >= 1_000
    assert answered["without a reason"] == 0


@pytest.fixture(scope="module")
def two_years(server: Store, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """2022 and 2023 with a purchase every six hours."""
    random = Random(4)
    start = date(2022, 1, 1)
    lines = [row(random, n, start + timedelta(days=n // 4)) for n in range(4 * 730)]
    with new_store(data_dir) as store:
        load(store, write(tmp_path_factory.mktemp("years") / "years.csv", lines), Options(), 0.0, quietly)
        yield store


def test_a_stale_month_is_answered_from_its_transactions_and_its_year_is_not_used(
    two_years: Store, data_dir: Path, tmp_path: Path
) -> None:
    """After a batch and before the refresh: the new rows count at once, and only their month is read from raw."""
    answerer = Answerer(two_years, answer_rows=0)
    vocabulary = read_vocabulary(two_years.outside)
    question = ask(QUERIES[0], {}, vocabulary)
    before = answerer.answer([question], Timer())[0]
    assert before.plan.source == "rollup"
    line = row(Random(5), 900_001, date(2023, 5, 17))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("loader.load.refresh", lambda store: None)
        load(two_years, write(tmp_path / "late.csv", [line]), Options(), 0.0, quietly)
    stale = answerer.answer([question], Timer())[0]
    assert "transactions 2023-05-01 to 2023-05-31" in [str(read) for read in stale.plan.reads]
    assert stale.plan.source == "rollup+raw"
    assert stale.total.transactions == before.total.transactions + 1
    assert content(stale) == content(answerer.answer([with_source(question, Source.RAW)], Timer())[0])
    for source in (Source.ROLLUP, Source.PAGES):
        with pytest.raises(SourceRefused, match="changed since they were built"):
            answerer.answer([with_source(question, source)], Timer())[0]
    refresh(two_years)
    after = answerer.answer([question], Timer())[0]
    assert after.plan.source == "rollup"
    assert content(after) == content(stale)


def test_an_undeclared_query_is_answered_alike_by_every_source(two_years: Store) -> None:
    """A pair of dimensions without a query, on the real server, split by each interval."""
    by = (PURCHASES.by_name["segment"], PURCHASES.by_name["payment_method"])
    query = Query("eleventh", "", "", by, Descending(REVENUE), Leader(REVENUE, "{} brings most"))
    answerer = Answerer(two_years, answer_rows=0)
    for interval in (None, *Interval):
        answers = {}
        for source in Source:
            question = Question(query, date(2022, 1, 1), date(2023, 12, 31), (), interval, None, source)
            try:
                answers[source] = answerer.answer([question], Timer())[0]
            except SourceRefused:
                assert interval in (Interval.DAY, Interval.WEEK)
        assert len({content(each) for each in answers.values()}) == 1
        assert answers[Source.AUTO].rows
        assert {Source.AUTO, Source.PAGES, Source.RAW} <= set(answers)


def test_a_wrong_cell_makes_the_sources_differ(two_years: Store) -> None:
    """The comparison can fail: a wrong cent in one cell is noticed, and no longer once it is restored."""
    answerer = Answerer(two_years, answer_rows=0)
    question = ask(QUERIES[0], {"from": ["2022-02-01"], "to": ["2022-02-28"]}, read_vocabulary(two_years.outside))

    def differs() -> bool:
        answers = answerer.answer((question, with_source(question, Source.RAW)), Timer())
        return content(answers[0]) != content(answers[1])

    assert not differs()
    for cents in (1, -1):
        two_years.db.rollups.update_many({"_id": {"$regex": "^2022-02:"}}, {"$inc": {"cells.segment.0.r": cents}})
        two_years.db.rollups.update_many({"_id": {"$regex": "^2022-02:segment"}}, {"$inc": {"cells.total.0.r": cents}})
        assert differs() == (cents == 1)


def test_answers_asked_together_are_of_one_moment(two_years: Store) -> None:
    """The same version and the same cluster time for all."""
    vocabulary = read_vocabulary(two_years.outside)
    found = Answerer(two_years).answer([ask(query, {}, vocabulary) for query in QUERIES], Timer())
    assert len({(each.version, each.as_of) for each in found}) == 1
    assert len({each.total for each in found}) == 1


def test_the_answer_cache_is_asked_before_the_database(two_years: Store) -> None:
    """The second time, the same question reads no rollups; another version needs a new answer."""
    told: list[bool] = []
    answerer = Answerer(two_years, tell=lambda _, kept: told.append(kept))
    question = ask(QUERIES[0], {}, read_vocabulary(two_years.outside))
    first, second = answerer.answer([question], Timer())[0], answerer.answer([question], Timer())[0]
    assert second is first
    assert told == [False, True]


def test_each_question_is_told_once(two_years: Store) -> None:
    """Computed, then cached: a comparison as one answer, not as its halves, and several questions one by one."""
    told: list[tuple[Question, bool]] = []
    answerer = Answerer(two_years, tell=lambda answer, kept: told.append((answer.question, kept)))
    now = answerer.known.now()
    compared = ask(QUERIES[0], {"compare": ["previous_year"], "from": ["2021-01-01"]}, now.vocabulary)
    for questions in ([compared], [ask(query, {}, now.vocabulary) for query in QUERIES[1:]]):
        for kept in (False, True):
            told.clear()
            answers = answerer.answer(questions, Timer(), now)
            assert [answer.question for answer in answers] == questions
            assert told == [(question, kept) for question in questions]


def test_the_oracle_reads_what_the_database_holds(server: Store, data_dir: Path, tmp_path: Path) -> None:
    """The comparison can fail: without one row, the oracle's total differs."""
    with ExitStack() as stack:
        checked = Checked(stack, data_dir, tmp_path, 12, 300)
        found = Answerer(checked.store).answer([ask(QUERIES[-1], {}, checked.vocabulary)], Timer())[0]
        frame: pd.DataFrame = checked.frame
        assert as_json(finish(found.total)) == oracle.answer(frame, QUERIES[-1].slug, {})["totals"]
        assert as_json(finish(found.total)) != oracle.answer(frame[1:], QUERIES[-1].slug, {})["totals"]
