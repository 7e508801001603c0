"""Whatever happens meanwhile (loads, refreshes, kills), an answer matches the transactions of its own snapshot."""

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from random import Random

import pytest

from catalog.dimensions import Vocabulary, day_number
from catalog.errors import SourceRefused
from loader.load import Options, load
from pipelines.answer.answer import Answer
from pipelines.answer.answerer import Answerer
from pipelines.ask.queries import BY_SLUG
from pipelines.ask.question import Question, Source, ask
from pipelines.derived.refresh import refresh
from pipelines.derived.verify import verify
from pipelines.state.directory import bump_version
from pipelines.state.lanes import lane_sessions
from store.client import Store, Transaction
from store.schema import read_vocabulary
from store.settings import Settings
from store.timing import Timer
from tests.support.places import ROOT
from tests.support.questions import content, random_parameters, random_query, with_source
from tests.support.rows import quietly, row, write
from tests.support.stores import new_store

pytestmark = pytest.mark.live

SEED = int(os.environ.get("CONSISTENCY_SEED") or time.time_ns() % 2**32)
FIRST, DAYS = date(2020, 10, 1), 450
BASE_ROWS, BATCH_ROWS, BIG_ROWS = 1_500, 40, 8_000


class Writers:
    """A loader and refresher in this process, and loaders in other processes that are killed."""

    def __init__(self, store: Store, data_dir: Path, folder: Path) -> None:
        self._settings = Settings(database=store.settings.database, data_dir=data_dir)
        self._folder = folder
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._guarded, args=(work,)) for work in (self._load, self._kill)]
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("MONGODB_URI")}
        self._environment |= {"DATA_DIR": str(data_dir), "MONGODB_DATABASE": store.settings.database}
        self.done: Counter[str] = Counter()
        self.failures: list[BaseException] = []

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop, and raise what went wrong."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        assert self.failures == []

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  told by `stop`
            self.failures.append(error)

    def _rows(self, random: Random, first_id: int, count: int) -> list[str]:
        center = random.randrange(DAYS)
        days = [FIRST + timedelta(days=min(DAYS, center + random.randrange(70))) for _ in range(count)]
        return [row(random, first_id + n, day) for n, day in enumerate(days)]

    def _load(self) -> None:
        """Load small files, one after the other, with a refresh at once or a while later."""
        random, number = Random(SEED + 1), 0
        with Store(self._settings) as store:
            while not self._stop.is_set():
                number += 1
                path = write(self._folder / f"{number}.csv", self._rows(random, 100_000 + number * 100, BATCH_ROWS))
                load(store, path, Options(random.choice(("transaction", "profile"))), 0.0, quietly)
                self.done["batches"] += 1
                if random.random() < 0.3:
                    store.transaction(_touch)
                    time.sleep(random.random() * 0.3)
                    refresh(store)
                    self.done["refreshes"] += 1

    def _kill(self) -> None:
        """Load larger files by a process that is killed at some moment after its first batch."""
        random, number = Random(SEED + 2), 0
        while not self._stop.is_set():
            number += 1
            count = BIG_ROWS if number <= 2 else BIG_ROWS // 10  # otherwise raw answers would get slower and slower
            path = write(self._folder / f"big-{number}.csv", self._rows(random, 10**7 * number, count))
            process = subprocess.Popen(
                [sys.executable, "-m", "loader", "load", str(path)], cwd=ROOT, env=self._environment,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            deadline = time.monotonic() + random.uniform(1.5, 6)
            while time.monotonic() < deadline and process.poll() is None:
                if self._stop.wait(0.05):
                    break
            self.done["killed" if process.poll() is None else "loaded"] += 1
            process.kill()
            process.wait()
            self._end_sessions(path.name)

    def _end_sessions(self, file: str) -> None:
        """End what a killed loader has left open, like its successor would; it blocks the others for a minute."""
        with Store(self._settings) as store:
            for state in store.db.loads.find({"file": file}):
                for name in (state["session"], *lane_sessions(store.outside, state["_id"])):
                    store.client.admin.command("killSessions", [{"id": name}])


def _touch(transaction: Transaction) -> None:
    """Make three months stale without changing anything, like an empty batch."""
    bump_version(transaction, [day_number(FIRST + timedelta(days=days)) for days in (3, 95, 190)])


@contextmanager
def busy(data_dir: Path, folder: Path) -> Iterator[tuple[Store, Writers]]:
    """A store with some data, while loaders load, are killed, and refreshes run."""
    random = Random(SEED)
    print(f"seed {SEED}")
    lines = [row(random, n, FIRST + timedelta(days=random.randrange(DAYS))) for n in range(BASE_ROWS)]
    with new_store(data_dir) as store:
        load(store, write(folder / "base.csv", lines), Options(), 0.0, quietly)
        writers = Writers(store, data_dir, folder)
        writers.start()
        try:
            yield store, writers
        finally:
            writers.stop()


def answers_of(answerer: Answerer, questions: Sequence[Question], *, in_one_snapshot: bool) -> list[Answer]:
    """The answers, all from one snapshot, or each from its own."""
    if in_one_snapshot:
        return answerer.answer(questions, Timer())
    return [answerer.answer([each], Timer())[0] for each in questions]


def random_question(random: Random, vocabulary: Vocabulary) -> Question:
    """A random question, mostly with any source."""
    source = random.choice((Source.AUTO, Source.AUTO, Source.AUTO, Source.ROLLUP, Source.PAGES))
    question = ask(random_query(random), random_parameters(random, vocabulary), vocabulary)
    return with_source(question, source)


def compare_while_busy(data_dir: Path, folder: Path, comparisons: int, seconds: float) -> None:
    """Compare until there are enough comparisons, and enough has happened meanwhile."""
    random, told = Random(SEED + 3), Counter[str]()
    versions: set[int] = set()
    with busy(data_dir, folder) as (store, writers):
        vocabulary = read_vocabulary(store.outside)
        answerers = [
            Answerer(store),
            Answerer(store, answer_rows=0),
            Answerer(store, answer_rows=0, cache_bytes=200_000),
        ]
        deadline = time.monotonic() + seconds
        while told["compared"] < comparisons or (
            (len(versions) < 5 or not told["stale"]) and time.monotonic() < deadline
        ):
            question = random_question(random, vocabulary)
            pair = (question, with_source(question, Source.RAW))
            try:
                found, raw = answers_of(random.choice(answerers), pair, in_one_snapshot=True)
            except SourceRefused:
                told["refused"] += 1
                continue
            assert found.version.number == raw.version.number
            assert content(found) == content(raw), f"seed {SEED}: {found.plan.source} differs for {question}"
            told["compared"] += 1
            told[f"read {found.plan.source}"] += 1
            told["stale"] += found.plan.source.endswith("+raw")
            versions.add(found.version.number)
        done = writers.done
    print(f"{dict(told)} over {len(versions)} versions; meanwhile {dict(done)}")
    assert told["compared"] >= comparisons
    assert len(versions) >= 5
    assert told["stale"], "no answer was put together from fresh and stale months"


def test_150_answers_equal_the_transactions_of_their_snapshot_while_everything_changes(
    server: Store, data_dir: Path, tmp_path: Path
) -> None:
    """During loads, refreshes and kills, none differs."""
    compare_while_busy(data_dir, tmp_path, 150, 20)


@pytest.mark.slow
def test_1000_answers_equal_the_transactions_of_their_snapshot_while_everything_changes(
    server: Store, data_dir: Path, tmp_path: Path
) -> None:
    """The same for longer."""
    compare_while_busy(data_dir, tmp_path, 1_000, 90)


def test_without_a_common_snapshot_the_same_checker_finds_differences(
    server: Store, data_dir: Path, tmp_path: Path
) -> None:
    """Asked one after the other while batches are committed, the two sometimes differ: the checker can fail."""
    different = compared = 0
    with busy(data_dir, tmp_path) as (store, _):
        answerer = Answerer(store, answer_rows=0)
        question = Question(BY_SLUG["overall-summary"])
        pair = (question, with_source(question, Source.RAW))
        deadline = time.monotonic() + 40
        while not different and time.monotonic() < deadline:
            found, raw = answers_of(answerer, pair, in_one_snapshot=False)
            different += content(found) != content(raw)
            compared += 1
    print(f"{different} of {compared} differ without a common snapshot")
    assert different


def test_after_everything_a_refresh_leaves_nothing_wrong(server: Store, data_dir: Path, tmp_path: Path) -> None:
    """What was killed stays stale until it is rebuilt; fresh data were always correct."""
    with busy(data_dir, tmp_path) as (store, writers):
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            found = verify(store, quietly)
            assert found.shown == []
        writers.stop()
        refresh(store)
        found = verify(store, quietly)
        assert (found.shown, found.stale) == ([], 0)
        assert found.rows == store.db.transactions.count_documents({})
