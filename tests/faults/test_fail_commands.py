"""Whichever command fails, and however: every row is loaded exactly once, and no answer is wrong."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pymongo import monitoring

import loader.reading.files
from catalog.errors import AnalyticsError, InternalError, StoreUnavailable
from loader.load import load
from loader.loads.options import Options
from pipelines.answer.answerer import Answerer
from pipelines.ask.queries import BY_SLUG
from pipelines.ask.question import ask
from pipelines.derived.verify import verify
from store.client import Store
from store.schema import read_vocabulary
from store.settings import Settings
from store.timing import Timer
from tests.support.faults.judge import judge
from tests.support.faults.servers import Mongod, replica_set
from tests.support.questions import content
from tests.support.rows import quietly

pytestmark = pytest.mark.live

MOST_RUNS = 3
SHORT_CASES = 2
CHUNK_BYTES = 8 << 10
TRANSIENT, UNKNOWN = "TransientTransactionError", "UnknownTransactionCommitResult"
CODES = {11602: "InterruptedDueToReplStateChange", 91: "ShutdownInProgress", 112: "WriteConflict"}
FAULTS: dict[str, dict[str, Any]] = {
    "connection closed": {"closeConnection": True},
    "blocked for 2 s": {"blockConnection": True, "blockTimeMS": 2_000},
    "write concern error": {"writeConcernError": {"code": 91, "errmsg": "Replication is being shut down"}},
    **{f"{name}, as the server labels it": {"errorCode": code} for code, name in CODES.items()},
    **{f"{name}, not labelled": {"errorCode": code, "errorLabels": []} for code, name in CODES.items()},
    **{f"{name}, {TRANSIENT}": {"errorCode": code, "errorLabels": [TRANSIENT]} for code, name in CODES.items()},
    **{f"{name}, {UNKNOWN}": {"errorCode": code, "errorLabels": [UNKNOWN]} for code, name in CODES.items()},
}
LOAD_COMMANDS = (
    "insert", "update", "delete", "findAndModify", "commitTransaction", "abortTransaction", "find", "getMore",
    "createIndexes", "create", "listCollections", "listIndexes", "count",
)  # fmt: skip
QUERY_COMMANDS = ("aggregate", "find", "getMore")
LATEST = 6


@dataclass(frozen=True)
class Case:
    """A fault.

    Attributes:
        command: the command that fails.
        fault: the kind of failure.
        skip: the number of these commands that succeed first.
        times: the number that fail then.
    """

    command: str
    fault: str
    skip: int
    times: int


def cases(command: str, random: Random) -> list[Case]:
    """Every fault for a command: at once, three times in a row, and once after some successes."""
    return [
        Case(command, fault, skip, times)
        for fault, (skip, times) in product(FAULTS, ((0, 1), (0, 3), (random.randint(1, LATEST), 1)))
        if UNKNOWN not in fault or command == "commitTransaction"
    ]


class Saboteur(monitoring.CommandListener):
    """Sets the server's fail point after a number of commands.

    The server itself can skip some or fail several times, but not both. A listener cannot be removed: it is idle unless
    armed.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # setting the fail point sends a command, too
        self._case: Case | None = None
        self._mongod: Mongod | None = None
        self._seen = 0
        self.has_struck = False

    def arm(self, mongod: Mongod, case: Case) -> None:
        """Strike once."""
        with self._lock:
            self._mongod, self._case, self._seen, self.has_struck = mongod, case, 0, False

    def disarm(self) -> None:
        """Stop, and disable the server's fail point."""
        with self._lock:
            self._case = None
            if self._mongod:
                self._mongod.fail("off", failCommands=[])

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Before a command is sent."""
        with self._lock:
            case = self._case
            if not (case and self._mongod and event.command_name == case.command):
                return
            self._seen += 1
            if self._seen > case.skip:
                self._case, self.has_struck = None, True
                only = {"failCommands": [case.command], "appName": "customer-analytics"}
                self._mongod.fail({"times": case.times}, **only, **FAULTS[case.fault])

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Ignored."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Ignored."""


@pytest.fixture(scope="module")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    """A one-node replica set that can be made to fail."""
    with replica_set(tmp_path_factory.mktemp("failing"), 1) as (server,):
        yield server


@pytest.fixture(scope="module")
def saboteur() -> Saboteur:
    """The listener that makes commands fail."""
    found = Saboteur()
    monitoring.register(found)
    return found


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several batches in a small file, so that the first repeat occurs in the middle."""
    monkeypatch.setattr(loader.reading.files, "CHUNK_BYTES", CHUNK_BYTES)


def load_under(case: Case, mongod: Mongod, saboteur: Saboteur, path: Path, before: Sequence[Path] = ()) -> str:
    """Load under a fault, after other files without one, and judge; returns the outcome."""
    settings = Settings(database="failing", uri=mongod.uri)
    told: list[str] = []
    with Store(settings) as store:
        for each in before:
            load(store, each, Options(), 0.01, quietly)
    saboteur.arm(mongod, case)
    try:
        for _ in range(MOST_RUNS):
            try:
                with Store(settings) as store:
                    load(store, path, Options(), 0.01, quietly)
                break
            except AnalyticsError as error:
                told.append(type(error).__name__ + (", many lines" if "\n" in str(error) else ""))
                saboteur.disarm()
        else:
            raise AssertionError(f"{case}: not loaded after {MOST_RUNS} runs: {told}")
        struck = saboteur.has_struck
    finally:
        saboteur.disarm()
    with Store(settings) as store:
        wrong = judge(store, [*before, path])
        store.client.drop_database("failing")
    assert wrong == [], case
    assert "many lines" not in "".join(told), case
    if not struck:
        return "not met"
    return " then ".join([*told, "loaded"])


def load_under_all(
    every: list[Case], mongod: Mongod, saboteur: Saboteur, path: Path, before: Sequence[Path] = ()
) -> Counter[str]:
    """Load under every case and count the outcomes; an exception that is not ours fails with its case."""
    done: Counter[str] = Counter()
    for case in every:
        try:
            outcome = load_under(case, mongod, saboteur, path, before)
        except Exception as error:
            raise AssertionError(f"{case}: {error!r}") from error
        assert InternalError.__name__ not in outcome, case
        done[outcome] += 1
    return done


@pytest.mark.usefixtures("small_chunks")
def test_a_load_survives_some_failing_commands(
    mongod: Mongod, saboteur: Saboteur, small_file: Path, random: Random
) -> None:
    """A sample of the cases, and an error other than a duplicate key within a batch's transaction."""
    every = [case for command in LOAD_COMMANDS[:5] for case in cases(command, random) if "blocked" not in case.fault]
    within = Case("insert", "write concern error", skip=LATEST, times=1)
    done = load_under_all([within, *random.sample(every, SHORT_CASES)], mongod, saboteur, small_file)
    print(dict(done))
    assert set(done) != {"not met"}


@pytest.mark.faults
@pytest.mark.parametrize("command", LOAD_COMMANDS)
def test_a_load_survives_every_failure_of_a_command(
    mongod: Mongod, saboteur: Saboteur, small_file: Path, random: Random, command: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Every fault, at once, three times, and later. Only rows already present are looked up, with a getMore."""
    before = []
    if command == "getMore":
        before = [tmp_path / "half.csv"]
        lines = small_file.read_text().splitlines(keepends=True)
        before[0].write_text("".join(lines[: len(lines) // 2]))
    else:
        monkeypatch.setattr(loader.reading.files, "CHUNK_BYTES", CHUNK_BYTES)
    done = load_under_all(cases(command, random), mongod, saboteur, small_file, before)
    print(f"\n{command}: {done.total()} loads judged right: {dict(done)}")
    assert set(done) != {"not met"}, "no load sends this command"


QUESTIONS: tuple[tuple[str, dict[str, list[str]]], ...] = (
    ("revenue-by-segment", {"source": ["rollup"]}),
    ("overall-summary", {}),
    ("top-states", {"gender": ["Female"], "payment_method": ["Card"], "source": ["pages"]}),
    ("daily-sales", {"source": ["raw"]}),
)


@pytest.fixture(scope="module")
def filled(mongod: Mongod, small_file: Path) -> Settings:
    """A database for questions."""
    settings = Settings(database="asked", uri=mongod.uri)
    with Store(settings) as store:
        load(store, small_file, Options(), 0.01, quietly)
    return settings


def asked(store: Store) -> list[Any]:
    """The answers to every question, twice: the second time with the cached directory."""
    vocabulary = read_vocabulary(store.outside)
    questions = [ask(BY_SLUG[slug], given, vocabulary) for slug, given in QUESTIONS]
    answerer = Answerer(store, answer_rows=0)
    return [content(answerer.answer([each], Timer())[0]) for each in questions * 2]


def verified(store: Store) -> tuple[int, int]:
    """The result of a verification."""
    found = verify(store, quietly)
    return found.differences, found.rows


@pytest.mark.faults
@pytest.mark.parametrize("ask_it", [asked, verified], ids=lambda ask_it: ask_it.__name__)
@pytest.mark.parametrize("command", QUERY_COMMANDS)
def test_no_failing_command_makes_an_answer_wrong(
    mongod: Mongod, saboteur: Saboteur, filled: Settings, random: Random, command: str,
    ask_it: Callable[[Store], Any],
) -> None:  # fmt: skip
    """It is correct, or the error says that MongoDB is unavailable."""
    with Store(filled) as store:
        right = ask_it(store)
    done: Counter[str] = Counter()
    for case in cases(command, random):
        saboteur.arm(mongod, case)
        try:
            with Store(filled) as store:
                assert ask_it(store) == right, case
            outcome = "right"
        except StoreUnavailable:
            outcome = "unavailable"
        finally:
            struck = saboteur.has_struck
            saboteur.disarm()
        done[outcome if struck else "not met"] += 1
    print(f"\n{ask_it.__name__}, {command}: {dict(done)}")
