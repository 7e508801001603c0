"""A new data version is reported within a second; without a connection, none is; no answer is outdated."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from random import Random

import pytest

from catalog.collections import STATUS
from catalog.dimensions import day_number
from loader.load import Options, load
from pipelines.answer.answerer import Answerer
from pipelines.ask.queries import BY_SLUG
from pipelines.state.directory import VERSIONS, bump_version, parse_version, read_version
from store.client import Store
from store.schema import apply_schema
from store.settings import Settings
from store.timing import Timer
from store.watch import SILENCE_S, Watcher
from tests.support.mongod import replica_set, uri_of
from tests.support.places import ROOT
from tests.support.rows import quietly, row, write

pytestmark = pytest.mark.live

SUMMARY = BY_SLUG["overall-summary"]


def becomes(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


def bump(store: Store) -> int:
    """Commit a new version, like a batch."""
    return store.transaction(lambda transaction: bump_version(transaction, [day_number(date(2024, 1, 1))]))


def number(watcher: Watcher) -> int:
    """The version that a watcher reports; -1 if it reports none."""
    told = watcher.current()
    return parse_version(told).number if told else -1


@pytest.fixture
def watched(store: Store) -> Iterator[tuple[Store, Watcher]]:
    """A store with a version, and a watcher that has reported it."""
    apply_schema(store)
    bump(store)
    with closing(store.watch(STATUS.name, VERSIONS)) as watcher:
        assert becomes(lambda: number(watcher) == 1)
        yield store, watcher


def test_a_new_version_is_told_within_a_second_of_its_commit(watched: tuple[Store, Watcher]) -> None:
    """Ten times; each wakes up a waiting thread."""
    store, watcher = watched
    delays = []
    for _ in range(10):
        seen = watcher.changes
        version = bump(store)
        start = time.monotonic()
        assert watcher.wait(seen, 5) > seen
        delays.append(time.monotonic() - start)
        assert number(watcher) == version
    print(f"told within {[round(each * 1000) for each in delays]} ms")
    assert max(delays) < 1.0


def test_what_is_told_is_the_version_that_the_database_says(watched: tuple[Store, Watcher]) -> None:
    """Number, builds and epoch, so that a directory can be compared with it."""
    store, watcher = watched
    bump(store)
    assert becomes(lambda: parse_version(watcher.current()) == read_version(store.outside))


def test_waiting_ends_when_its_time_is_over(watched: tuple[Store, Watcher]) -> None:
    """Without news the same number comes back."""
    _, watcher = watched
    start = time.monotonic()
    assert watcher.wait(watcher.changes, 0.2) == watcher.changes
    assert 0.2 <= time.monotonic() - start < 2


def test_a_quiet_hour_is_no_silence(watched: tuple[Store, Watcher]) -> None:
    """Nothing happens for longer than SILENCE_S, and the version is still trusted."""
    _, watcher = watched
    end = time.monotonic() + 2 * SILENCE_S
    while time.monotonic() < end:
        assert number(watcher) == 1
        time.sleep(0.05)


def test_before_it_is_connected_nothing_is_told() -> None:
    """With a server that does not exist."""
    with closing(
        Watcher(lambda: "mongodb://127.0.0.1:1/?directConnection=true", "any", STATUS.name, VERSIONS)
    ) as watcher:
        for _ in range(10):
            assert not watcher.current()
            time.sleep(0.02)


def test_other_documents_are_no_news(watched: tuple[Store, Watcher]) -> None:
    """A verification's result is in another status document and wakes nobody up."""
    store, watcher = watched
    seen = watcher.changes
    store.db[STATUS.name].insert_one({"_id": "another", "version": 99})
    assert watcher.wait(seen, 0.6) == seen
    assert number(watcher) == 1


def test_a_server_that_goes_is_noticed_and_one_that_comes_back_too(tmp_path: Path) -> None:
    """SIGKILL for a private mongod: within two seconds no version is reported; once back, new versions are.

    Nothing restarts it but the test: an embedded one may be back in less than a second, and the stream goes on.
    """
    with replica_set(tmp_path, 1) as servers, Store(Settings(uri=uri_of(servers))) as store:
        apply_schema(store)
        bump(store)
        with closing(store.watch(STATUS.name, VERSIONS)) as watcher:
            assert becomes(lambda: number(watcher) == 1)
            servers[0].kill()
            assert becomes(lambda: not watcher.current(), 2 * SILENCE_S)
            servers[0].start()
            assert becomes(lambda: number(watcher) == 1, 40)
            seen = watcher.changes
            version = bump(store)
            assert watcher.wait(seen, 5) > seen
            assert number(watcher) == version == 2
        assert not watcher.current() or becomes(lambda: not watcher.current())


LEAVES = """
import sys, time
from store.client import Store
from store.settings import Settings
store = Store(Settings.from_environment())
watcher = store.watch("status", {"$type": "string"})
time.sleep(float(sys.argv[1]))
sys.exit(3)
"""


def test_a_process_ends_quietly_while_it_watches(environment: dict[str, str]) -> None:
    """Nobody closes the watcher; the interpreter ends Motor's threads first."""
    for delay_s in (0.3, 0.5, 0.7, 1.1):
        done = subprocess.run(
            [sys.executable, "-c", LEAVES, str(delay_s)], cwd=ROOT, env=environment,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


def add(store: Store, path: Path, first_id: int) -> None:
    """Commit a batch of one purchase."""
    load(store, write(path, [row(Random(first_id), first_id, date(2024, 1, 1))]), Options(), 0.0, quietly)


def asked(answerer: Answerer) -> int:
    """The number of transactions, as for a request: from the known directory, if that is known to be current."""
    question, known = answerer.resolve(SUMMARY, {})
    return answerer.answer([question], Timer(), known)[0].total.transactions


@pytest.fixture
def answerer(store: Store, tmp_path: Path) -> Iterator[Answerer]:
    """An answerer with a watcher, on a store with one purchase, that has seen it and answered."""
    add(store, tmp_path / "first.csv", 0)
    made = Answerer(store, watch=True)
    with closing(made):
        watcher = made.known.watcher
        assert watcher
        assert becomes(lambda: number(watcher) == 1)
        assert asked(made) == 1
        yield made


def test_a_watching_answerer_answers_new_within_a_second(answerer: Answerer, store: Store, tmp_path: Path) -> None:
    """After each of several commits; it never goes back."""
    delays = []
    for count in range(2, 7):
        add(store, tmp_path / f"{count}.csv", count)
        start = time.monotonic()
        found = asked(answerer)
        while found < count and time.monotonic() - start < 5:
            assert found == count - 1
            found = asked(answerer)
        delays.append(time.monotonic() - start)
        assert found == count
        assert asked(answerer) == count
    print(f"new within {[round(each * 1000) for each in delays]} ms")
    assert max(delays) < 1.0


def test_while_the_watcher_is_silent_the_database_is_asked(
    answerer: Answerer, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer right after a commit is current, each time."""
    monkeypatch.setattr(answerer.known.watcher, "current", tuple)
    for count in range(2, 6):
        add(store, tmp_path / f"{count}.csv", count)
        assert asked(answerer) == count


def test_a_watching_answerer_asks_nothing_while_nothing_changes(
    answerer: Answerer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second answer needs neither snapshot nor read."""
    assert becomes(
        lambda: (
            answerer.known.watcher is not None
            and parse_version(answerer.known.watcher.current()) == read_version(store.outside)
        )
    )
    asked(answerer)

    def forbidden() -> None:
        raise AssertionError("the database was asked")

    monkeypatch.setattr(store, "snapshot", forbidden)
    assert asked(answerer) == 1


def test_an_answerer_without_a_watcher_is_always_new(store: Store, tmp_path: Path) -> None:
    """It reads the version each time."""
    answerer = Answerer(store)
    for count in range(1, 4):
        add(store, tmp_path / f"{count}.csv", count)
        assert asked(answerer) == count
