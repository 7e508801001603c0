"""Two loaders with overlapping files, a removal and a client at the same time, killed with -9 at random moments."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import cycle
from pathlib import Path
from random import Random

import pytest

from store.client import Store
from tests.support.faults.judge import judge_overlapping
from tests.support.faults.spoil import with_amount
from tests.support.faults.truth import Truth, following
from tests.support.process import LONGEST_S, Process
from tests.support.service import Service, serving

pytestmark = pytest.mark.live

TARGETS = (
    "/v1/queries/revenue-by-segment",
    "/v1/queries/revenue-by-segment?source=raw",
    "/v1/queries/overall-summary",
    "/v1/queries/revenue-by-segment?from=2000-01-01",
)


def overlapping(path: Path, rows: int, random: Random) -> tuple[Path, Path]:
    """Two files that share a third of their rows; in the second some of these have another amount."""
    with path.open(encoding="ascii", newline="") as file:
        header, *lines = file.readlines()[: rows + 1]
    third = rows // 3
    first, second = lines[: 2 * third], lines[third:]
    for at in random.sample(range(third), third // 10):
        second[at] = with_amount(second[at], f"{random.randrange(10**4, 10**5)}.75")
    files = path.with_name("one.csv"), path.with_name("two.csv")
    for each, content in zip(files, (first, second), strict=True):
        with each.open("w", encoding="ascii", newline="") as file:
            file.writelines([header, *content])
    return files


class Client:
    """Sends questions over HTTP all the time and records the replies, which are judged later."""

    def __init__(self, service: Service, segments: Mapping[str, int]) -> None:
        self._service, self._segments = service, segments
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._versions: Counter[str] = Counter()
        self.answers: list[tuple[str, int, dict[int | None, tuple[int, int]]]] = []
        self.told: Counter[str] = Counter()
        self.wrong: list[str] = []

    def __enter__(self) -> "Client":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        for target in cycle(TARGETS):
            if self._stop.is_set():
                return
            reply = self._service.request("GET", target)
            self.told[str(reply.status)] += 1
            if reply.status not in (200, 503):
                self.wrong.append(f"{target}: {reply.status} {reply.body[:300]!r}")
            if reply.status == 200:
                self._keep(target, reply.json)
            time.sleep(0.01)

    def _keep(self, target: str, body: dict[str, object]) -> None:
        meta, totals, rows = body["meta"], body["totals"], body["rows"]
        assert isinstance(meta, dict)
        assert isinstance(totals, dict)
        assert isinstance(rows, list)
        version = meta["data_version"]
        if version < self._versions[target]:
            self.wrong.append(f"{target}: version {version} after {self._versions[target]}")
        self._versions[target] = version
        sums = {self._segments[row["segment"]]: _pair(row) for row in rows if "segment" in row}
        self.answers.append((target, version, {**sums, None: _pair(totals)}))

    def judge(self, truth: Truth) -> list[str]:
        """Compare every answer with the truth of its version; returns what is wrong, and forgets the answers."""
        wrong = [*self.wrong, *truth.wrong]
        for target, version, told in self.answers:
            sums = truth.by_version.get(version)
            if sums is None:
                wrong.append(f"{target}: version {version} was never committed")
                continue
            count, cents = (sum(each[part] for each in sums.values()) for part in (0, 1))
            right = {**(sums if "revenue-by-segment" in target else {}), None: (count, cents)}
            if told != right:
                wrong.append(f"{target}: {told} at version {version}, {right} expected")
        return wrong


def _pair(row: Mapping[str, object]) -> tuple[int, int]:
    return int(str(row["transactions"])), int(Decimal(str(row["revenue"])) * 100)


class Together:
    """The loaders, the removal and the files of one test."""

    def __init__(self, store: Store, environment: Mapping[str, str], files: tuple[Path, Path], random: Random) -> None:
        self.store, self.environment, self.files, self.random = store, environment, files, random
        self.done: Counter[str] = Counter()

    def command(self, *arguments: str, fault: str = "none") -> Process:
        """Start a command of the loader."""
        return Process(["-m", "tests.support.faults.small", fault, *arguments], self.environment)

    def load(self, path: Path, fault: str = "none") -> Process:
        """Start a load."""
        return self.command("load", "--max-quarantined", "100%", str(path), fault=fault)

    def loads(self, *status: str) -> list[dict[str, str]]:
        """The loads with these statuses."""
        return list(self.store.db.loads.find({"status": {"$in": status}}, {"file": 1}))

    def disturb(self, most: int) -> None:
        """Start all three, and kill each at a random moment, until `most` kills are done."""
        known = self.loads("complete", "running", "removing", "stopped")
        removals = [self.command("remove", self.random.choice(known)["_id"])] if known else []
        processes = [*map(self.load, self.files), *removals]
        moments = sorted((self.random.uniform(0.8, 5), at) for at in range(len(processes)))
        for moment, at in moments:
            process = processes[at]
            while process.runs and process.seconds < moment:
                time.sleep(0.002)
            if process.runs and self.done["kills"] < most:
                process.kill()
                self.done["kills"] += 1
            process.wait()
            self._check_output(process)
        self.done["rounds"] += 1

    def finish(self) -> list[Path]:
        """Run every interrupted command to its end; returns the files that are then loaded."""
        for load in self.loads("removing"):
            self._until_done("remove", load["_id"])
        for _ in range(2):  # the second time for conflicts that the first one has released
            for path in self.files:
                if any(load["file"] == path.name for load in self.loads("running", "complete", "stopped")):
                    self._until_done("load", "--max-quarantined", "100%", str(path))
        loaded = {load["file"] for load in self.loads("complete")}
        self.done[f"{len(loaded)} loads left"] += 1
        return [path for path in self.files if path.name in loaded]

    def _until_done(self, *arguments: str) -> None:
        process = self.command(*arguments)
        assert process.wait(LONGEST_S) == 0, process.output
        self.done["resumed"] += 1

    def _check_output(self, process: Process) -> None:
        """Check that a process that was not killed succeeded, or failed with one clear line."""
        assert "Traceback" not in process.output, process.output
        if process.wait() > 0:
            assert len(process.output.splitlines()) == 1, process.output
            self.done[process.output.partition(".")[0][:60]] += 1


@pytest.fixture
def together(store: Store, own_environment: dict[str, str], short_file: Path, random: Random) -> Together:
    """Two files of 4,000 rows, in batches of 300."""
    return Together(store, own_environment, overlapping(short_file, 6_000, random), random)


@pytest.fixture
def truth(together: Together) -> Iterator[Truth]:
    """The truth at each version of its database."""
    together.store.require_replica_set()
    with following(together.store) as followed:
        yield followed


def run_and_judge(together: Together, truth: Truth, tmp_path: Path, kills: int, quiet: int) -> None:
    """Run with this many kills; the database is judged after every `quiet` kills, the answers at the end."""
    store, done = together.store, together.done
    environment = {name: together.environment[name] for name in ("DATA_DIR", "MONGODB_DATABASE")}
    together.disturb(1)
    segments = {each["name"]: each["_id"] for each in store.db.segments.find()}
    with serving(tmp_path / "service.log", environment) as service, Client(service, segments) as client:
        while done["kills"] < kills:
            target = min(kills, done["kills"] + quiet)
            while done["kills"] < target:
                together.disturb(target)
            assert judge_overlapping(store, together.finish()) == [], dict(done)
            truth.catch_up()
            assert client.judge(truth) == [], dict(done)
            print(
                f"{dict(done)}; {len(client.answers)} answers of {len(truth.by_version)} versions; {dict(client.told)}"
            )
    assert len(client.answers) > 100
    assert len({version for _, version, _ in client.answers}) > 3


def test_overlapping_loaders_a_removal_and_a_client_survive_five_kills(
    together: Together, truth: Truth, tmp_path: Path
) -> None:
    """No row is lost or duplicated, and each answer was true at its version."""
    run_and_judge(together, truth, tmp_path, 5, 5)


@pytest.mark.faults
def test_overlapping_loaders_a_removal_and_a_client_survive_sixty_kills(
    together: Together, truth: Truth, tmp_path: Path
) -> None:
    """The same for longer; the database is judged every six kills."""
    run_and_judge(together, truth, tmp_path, 60, 6)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("removes-what-others-brought", "transactions are missing"),
        ("notes-no-repeats", "transactions are missing"),
        ("keeps-too-much", "come from no file"),
    ],
)
def test_a_removal_that_is_wrong_is_found(together: Together, fault: str, told: str) -> None:
    """With the planted faults, such as not checking whose rows it takes; without them, the judge finds nothing."""
    for path in together.files:
        assert together.load(path, fault).wait() == 0
    assert judge_overlapping(together.store, together.files) == []
    load_id = next(load["_id"] for load in together.loads("complete") if load["file"] == together.files[0].name)
    assert together.command("remove", load_id, fault=fault).wait() == 0
    assert any(told in each for each in judge_overlapping(together.store, together.files[1:]))


def test_a_removal_that_does_not_tell_of_itself_is_found(together: Together, truth: Truth) -> None:
    """One version then has two states."""
    process = together.load(together.files[0])
    assert process.wait() == 0
    truth.catch_up()
    assert truth.wrong == []
    (load,) = together.loads("complete")
    assert together.command("remove", load["_id"], fault="forgets-the-version").wait() == 0
    truth.catch_up()
    assert any("names two states" in each for each in truth.wrong)
