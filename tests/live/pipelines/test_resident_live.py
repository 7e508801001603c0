"""Columns beside a database that changes: one version in each answer, never an older one, and none without MongoDB."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from catalog.purchases import STATES
from loader.load import Options, load
from pipelines.answer.answerer import Answerer
from pipelines.ask.queries import BY_SLUG
from pipelines.ask.question import Question, Source, ask
from pipelines.derived.refresh import refresh
from pipelines.resident.shelf import Shelf
from pipelines.state.floor import Floor
from pipelines.state.version import Version
from store.client import Store
from store.timing import Timer
from store.watch import SILENCE_S
from tests.support.process import Process, loader
from tests.support.questions import content, random_parameters, random_query, with_source
from tests.support.rows import quietly, row, write
from tests.support.segments import ROOM
from tests.support.stores import new_store

pytestmark = pytest.mark.live

SEED = int(os.environ.get("RESIDENT_SEED") or time.time_ns() % 2**32)
FIRST, DAYS = date(2020, 10, 1), 450
IDS = count(10**6)
SUMMARY = Question(BY_SLUG["overall-summary"])


def becomes(condition: Callable[[], Any], seconds: float = 15) -> Any:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def lines_of(random: Random, rows: int, days: Sequence[int] = range(DAYS)) -> list[str]:
    """Purchases of random days, which no other file has."""
    return [row(random, next(IDS), FIRST + timedelta(days=random.choice(days)), STATES[:9]) for _ in range(rows)]


@pytest.fixture(scope="module")
def filled(server: Store, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A database with fifteen months, which the tests add to."""
    path = write(tmp_path_factory.mktemp("resident") / "base.csv", lines_of(Random(1), 1_500))
    with new_store(data_dir) as store:
        load(store, path, Options(), 0.0, quietly)
        yield store


def append(store: Store, path: Path, rows: int = 1, days: Sequence[int] = range(100, 120)) -> None:
    """Load some more."""
    load(store, write(path, lines_of(Random(rows), rows, days)), Options(), 0.0, quietly)


@contextmanager
def worker(store: Store, folder: Path, floor: Floor | None = None) -> Iterator[Answerer]:
    """What a worker of the service has: a watcher, columns that are kept, a floor."""
    shelf = Shelf(folder / "columns", ROOM)
    with closing(Answerer(store, watch=True, answer_rows=0, shelf=shelf, floor=floor)) as answerer:
        answerer.keep_columns()
        yield answerer


def answered(answerer: Answerer, question: Question = SUMMARY, *, ask_anew: bool = False) -> tuple[str, Version, int]:
    """Where an answer came from as the service gives it, its version, and how many transactions it counts."""
    now = answerer.known.now(ask_anew=ask_anew)
    found = answerer.answer([question], Timer(), now)[0]
    return found.plan.source, found.version, found.total.transactions


class Late:
    """A watcher that goes on to vouch for what it last heard, though there is something newer."""

    def __init__(self, said: Any) -> None:
        self.said = said
        self.changes = 0

    def current(self) -> Any:
        """What it last heard."""
        self.said = (self.said[0], time.monotonic())
        return self.said[0]

    def wait(self, seen: int, timeout_s: float) -> int:
        """Nothing ever happens."""
        time.sleep(timeout_s)
        return self.changes

    def close(self) -> None:
        """Nothing to end."""


def put_in(answerer: Answerer, kind: type[Late]) -> None:
    """Take the watcher away, and put another one in its place, which has heard the same."""
    watcher = answerer.known.watcher
    assert watcher
    assert becomes(watcher.current)
    said = watcher.said
    watcher.close()
    answerer.known.watcher = kind(said)  # type: ignore[assignment]


# Exactness under load.


class Gentle:
    """Loaders in processes of their own, one after the other, each of a few rows of a few months."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._folder = folder
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self._environment = kept | {
            "DATA_DIR": str(store.settings.data_dir), "MONGODB_DATABASE": store.settings.database,
        }  # fmt: skip
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.loaded = 0

    def __enter__(self) -> "Gentle":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        random = Random(SEED + 1)
        while not self._stop.is_set():
            first = random.randrange(DAYS - 60)
            lines = lines_of(random, 60, range(first, first + 60))
            process = loader(self._environment, "load", write(self._folder / f"more-{self.loaded}.csv", lines))
            assert process.wait(60) == 0, process.output
            self.loaded += 1
            self._stop.wait(0.5)


def compare_under_load(store: Store, folder: Path, comparisons: int, versions: int) -> Counter[str]:
    """AUTO without MongoDB beside RAW of the same version, by readers that ask two workers in turn."""
    told, random = Counter[str](), Random(SEED)
    seen: set[int] = set()
    print(f"seed {SEED}")
    with ExitStack() as stack:
        floors = [stack.enter_context(closing(Floor(folder / "newest"))) for _ in range(2)]
        workers = [stack.enter_context(worker(store, folder, floor)) for floor in floors]
        for each in workers:
            assert becomes(lambda each=each: answered(each)[0] == "columns")
        vocabulary = workers[0].known.now().vocabulary
        stack.enter_context(Gentle(store, folder))
        newest = 0
        deadline = time.monotonic() + 60
        while told["compared"] < comparisons or len(seen) < versions:
            assert time.monotonic() < deadline, told
            question = ask(random_query(random), random_parameters(random, vocabulary), vocabulary)
            answerer = random.choice(workers)
            found = answerer.answer([question], Timer(), answerer.known.now())[0]
            assert found.version.number >= newest, "an older version after a newer one"
            newest = found.version.number
            raw = random.choice(workers).answer([with_source(question, Source.RAW)], Timer())[0]
            assert raw.version.number >= newest
            newest = raw.version.number
            told["asked"] += 1
            told[found.plan.source] += 1
            if raw.version.number == found.version.number:
                assert content(found) == content(raw), f"seed {SEED}: {found.plan.source} differs for {question}"
                told["compared"] += 1
                told["compared columns"] += found.plan.source == "columns"
                told["compared columns and others"] += found.plan.source.startswith("columns+")
            seen.add(newest)
    print(f"{dict(told)} over {len(seen)} versions")
    return told


def test_what_columns_say_is_what_the_transactions_of_that_version_say(filled: Store, tmp_path: Path) -> None:
    """While a loader loads; a good part of the answers is from columns alone, and some are from columns and others."""
    told = compare_under_load(filled, tmp_path, 100, 3)
    assert told["compared columns"] > told["asked"] / 5
    assert told["compared columns and others"]


@pytest.mark.slow
def test_1000_answers_from_columns_are_what_the_transactions_of_that_version_say(filled: Store, tmp_path: Path) -> None:
    """The same for longer."""
    told = compare_under_load(filled, tmp_path, 1_000, 12)
    assert told["compared columns"] > 200
    assert told["compared columns and others"] > 20


def test_columns_that_miss_a_row_are_seen(filled: Store, tmp_path: Path) -> None:
    """The comparison can fail."""
    with worker(filled, tmp_path) as answerer:
        assert becomes(lambda: answered(answerer)[0] == "columns")
        assert answerer._shelf
        epoch, held = answerer._shelf._held
        year, segment = next(iter(held.items()))
        running = {names: each + (names == ()) for names, each in segment.running.items()}
        answerer._shelf._held = (epoch, {**held, year: type(segment)(**{**vars(segment), "running": running})})
        assert answered(answerer)[0] == "columns"
        assert answered(answerer)[2] != answered(answerer, with_source(SUMMARY, Source.RAW))[2]


# What `present` means.


def test_a_worker_whose_watcher_is_late_shows_nothing_older_than_another_has_shown(
    filled: Store, tmp_path: Path
) -> None:
    """The floor in the file makes it ask MongoDB; alone it would have shown the older version."""
    with ExitStack() as stack:
        floors = [stack.enter_context(closing(Floor(tmp_path / "newest"))) for _ in range(2)]
        prompt, late = (stack.enter_context(worker(filled, tmp_path, floor)) for floor in floors)
        alone = stack.enter_context(worker(filled, tmp_path))
        for each in (prompt, late, alone):
            assert becomes(lambda each=each: answered(each)[0] == "columns")
        for each in (late, alone):
            put_in(each, Late)
        before = answered(prompt)[1].number
        append(filled, tmp_path / "one.csv")
        assert answered(alone)[1].number == before
        assert becomes(lambda: answered(prompt)[1].number > before)
        newer = answered(prompt)[1].number
        for _ in range(20):
            assert answered(late)[1:] == answered(prompt)[1:]
            assert answered(prompt)[1].number == newer
        assert answered(alone)[1].number == before  # the checker can fail


def test_a_process_alone_shows_nothing_older_than_it_has_shown(filled: Store, tmp_path: Path) -> None:
    """Its watcher is late, and it has asked MongoDB for one answer: the next one is not older."""
    with worker(filled, tmp_path) as answerer:
        assert becomes(lambda: answered(answerer)[0] == "columns")
        put_in(answerer, Late)
        before = answered(answerer)[1]
        append(filled, tmp_path / "one.csv")
        assert answered(answerer)[1] == before
        newer = answered(answerer, ask_anew=True)[1].number
        assert newer > before.number
        assert answered(answerer)[1].number == newer
        assert not answerer.known.vouches_for(before)  # as the kept replies ask


def test_the_moment_of_an_answer_is_not_before_its_version(filled: Store, tmp_path: Path) -> None:
    """Asked anew, while the watcher still tells of the version before, or has never heard anything."""
    with worker(filled, tmp_path) as answerer:
        assert becomes(lambda: answered(answerer)[0] == "columns")
        assert answerer.known.watcher
        before, rows = answerer.known.watcher.said, answered(answerer)[2]
        append(filled, tmp_path / "one.csv")
        assert becomes(lambda: answered(answerer)[0] == "columns" and answered(answerer)[2] == rows + 1)
        committed = filled.db.status.find_one({"_id": "data"})["committed_at"].replace(microsecond=0, tzinfo=UTC)
        put_in(answerer, Late)
        for said in (before, ((), -SILENCE_S)):
            answerer.known.watcher.said = said
            found = answerer.answer([SUMMARY], Timer(), answerer.known.now(ask_anew=True))[0]
            assert found.plan.source == "columns"
            assert committed <= found.as_of <= datetime.now(UTC)


def test_a_watcher_that_is_cut_off_is_not_believed(filled: Store, tmp_path: Path) -> None:
    """After SILENCE_S MongoDB is asked: the version that is there then is shown, before it is heard of."""
    with worker(filled, tmp_path) as answerer:
        assert becomes(lambda: answered(answerer)[0] == "columns")
        watcher = answerer.known.watcher
        assert watcher
        watcher.close()
        time.sleep(SILENCE_S)
        assert not watcher.current()
        before = answered(answerer)[1].number
        append(filled, tmp_path / "one.csv")
        assert answered(answerer)[1].number > before


# Renewal.


def test_after_a_change_the_years_file_is_renewed_and_the_others_stay(filled: Store, tmp_path: Path) -> None:
    """And everything is answered from columns again within a few seconds, by whoever builds and by others."""
    with worker(filled, tmp_path) as one, worker(filled, tmp_path) as other:
        for each in (one, other):
            assert becomes(lambda each=each: answered(each)[0] == "columns")

        def files() -> dict[str, tuple[int, int]]:
            found = (tmp_path / "columns").rglob("*.columns")
            return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}

        before, rows = files(), answered(one)[2]
        assert set(before) == {"2020.columns", "2021.columns"}
        append(filled, tmp_path / "one.csv")
        start = time.monotonic()
        for each in (one, other):
            assert becomes(lambda each=each: answered(each)[0] == "columns" and answered(each)[2] == rows + 1, 8)
        print(f"from columns again {time.monotonic() - start:.2f} s after the load")
        after = files()
        assert after["2020.columns"] == before["2020.columns"]
        assert after["2021.columns"] != before["2021.columns"]


def test_months_whose_rows_are_removed_disappear_from_columns(filled: Store, tmp_path: Path) -> None:
    """A file of two months of its own is loaded and removed."""
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(filled.settings.data_dir)}
    environment["MONGODB_DATABASE"] = filled.settings.database
    with worker(filled, tmp_path) as answerer:
        assert becomes(lambda: answered(answerer)[0] == "columns")
        rows = answered(answerer)[2]
        append(filled, tmp_path / "later.csv", 30, range(900, 960))
        assert becomes(lambda: answered(answerer)[0] == "columns" and answered(answerer)[2] == rows + 30)
        name = filled.db.loads.find_one({"file": "later.csv"})["_id"]
        removal: Process = loader(environment, "remove", name)
        assert removal.wait(60) == 0, removal.output
        refresh(filled)
        assert becomes(lambda: answered(answerer)[0] == "columns" and answered(answerer)[2] == rows)


def test_a_refresh_beside_the_keeper_is_no_alarm(
    filled: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pages that it reads are newer than the directory it has: nothing is missing, and it tries again."""
    with worker(filled, tmp_path) as answerer:
        assert becomes(lambda: answered(answerer)[0] == "columns")
    keeper_reads = type(answerer._keeper)._read

    def later(self: Any, directory: Any, months: Any) -> Any:
        monkeypatch.undo()
        append(filled, tmp_path / "one.csv")
        return keeper_reads(self, directory, months)

    monkeypatch.setattr(type(answerer._keeper), "_read", later)
    (tmp_path / "other").mkdir()
    with worker(filled, tmp_path / "other") as answerer:
        assert becomes(lambda: answered(answerer)[0] == "columns")
        assert not answerer.known.now().incomplete
    assert "incomplete" not in caplog.text
