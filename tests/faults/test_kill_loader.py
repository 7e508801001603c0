"""A loader killed with -9 anywhere continues with the same command, and every row is stored once."""

import statistics
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

import pytest

from store.client import Store
from tests.support.faults.judge import judge, judge_part
from tests.support.faults.point import POINTS, Point
from tests.support.process import ORPHAN_S, Process, first_commit_s, loader

pytestmark = pytest.mark.live

CHUNK_BYTES = 128 << 10
"""The chunk size of the killed run, so that a small file has several batches; the next run has the normal one."""

RANDOM_KILLS = 50


@pytest.fixture(scope="module")
def waited() -> Iterator[list[float]]:
    """The seconds from each second start to its first commit, printed at the end."""
    seconds: list[float] = []
    yield seconds
    if seconds:
        print(
            f"\nfirst commit after a resume: {len(seconds)} measured, median {statistics.median(seconds):.2f} s, "
            f"longest {max(seconds):.2f} s"
        )


def killed_at(
    point: Point, occurrence: int, random: Random, store: Store, environment: Mapping[str, str], path: Path,
    waited: list[float],
) -> Process:  # fmt: skip
    """Run the loader until the point kills it, and check that the committed part is consistent."""
    delay_ms = random.uniform(0, point.within_ms)
    arguments = [point.name, str(occurrence), str(delay_ms), str(CHUNK_BYTES), "load", str(path)]
    process = Process(["-m", "tests.support.faults.point", *arguments], environment)
    measure(store, process, path, waited)
    assert process.wait() == -9, f"{point.name} was not reached: {process.output}"
    assert judge_part(store) == [], point.name
    return process


def measure(store: Store, process: Process, path: Path, waited: list[float]) -> None:
    """Record a process's time to its first commit, if it makes one."""
    if (seconds := first_commit_s(store, process, path.name)) is not None:
        waited.append(seconds)


def resume_and_judge(
    store: Store, environment: Mapping[str, str], path: Path, killed: Process, waited: list[float]
) -> None:
    """Run the same command again to its end, and check that nothing is wrong."""
    process = loader(environment, "load", path)
    measure(store, process, path, waited)
    assert process.wait() == 0, process.output
    assert judge(store, [path], killed.output + process.output) == []


@pytest.fixture(scope="module")
def undisturbed_s(server: Store, data_dir: Path, short_file: Path) -> float:
    """Seconds from a loader's start to its first commit without a previous kill."""
    database = "undisturbed"
    environment = {"DATA_DIR": str(data_dir), "MONGODB_DATABASE": database}
    settings = type(server.settings)(database=database, data_dir=data_dir)
    with Store(settings) as store:
        process = loader(environment, "load", short_file)
        seconds = first_commit_s(store, process, short_file.name)
        process.wait()
        store.client.drop_database(database)
    assert seconds is not None
    return seconds


def test_a_load_killed_at_every_named_point_goes_on(
    store: Store, own_environment: dict[str, str], short_file: Path, random: Random, waited: list[float],
    undisturbed_s: float,
) -> None:  # fmt: skip
    """One load, killed at each point in turn; what is committed at each kill is consistent."""
    for point in POINTS:
        occurrence = random.randint(1, min(2, point.at_most(2)))
        killed = killed_at(point, occurrence, random, store, own_environment, short_file, waited)
    resume_and_judge(store, own_environment, short_file, killed, waited)
    assert max(waited) < undisturbed_s + ORPHAN_S, "it waited for an orphaned transaction"


@pytest.mark.faults
@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_a_long_load_killed_at_a_named_point_goes_on(
    store: Store, own_environment: dict[str, str], long_file: Path, random: Random, point: Point,
    waited: list[float], undisturbed_s: float,
) -> None:  # fmt: skip
    """Ten times as many rows, one kill per load, at any occurrence."""
    occurrence = random.randint(1, point.at_most(60))
    killed = killed_at(point, occurrence, random, store, own_environment, long_file, waited)
    resume_and_judge(store, own_environment, long_file, killed, waited)
    assert max(waited, default=0) < undisturbed_s + ORPHAN_S, "it waited for an orphaned transaction"


def kill_at_random(store: Store, environment: Mapping[str, str], path: Path, moment_s: float) -> Process:
    """Kill the loader this long after its start; it may have ended by then."""
    process = loader(environment, "load", path)
    while process.runs and process.seconds < moment_s:
        time.sleep(0.002)
    process.kill()
    return process


@pytest.fixture(scope="module")
def duration_s(server: Store, data_dir: Path, long_file: Path) -> float:
    """The time of an undisturbed load of the long file."""
    environment = {"DATA_DIR": str(data_dir), "MONGODB_DATABASE": "duration"}
    process = loader(environment, "load", long_file)
    assert process.wait() == 0, process.output
    seconds = process.seconds
    server.client.drop_database("duration")
    print(f"\nan undisturbed load takes {seconds:.1f} s")
    return seconds


@pytest.mark.faults
@pytest.mark.parametrize("round_", range(RANDOM_KILLS))
def test_a_load_killed_at_a_random_moment_goes_on(
    store: Store, own_environment: dict[str, str], long_file: Path, random: Random, round_: int,
    waited: list[float], duration_s: float, undisturbed_s: float,
) -> None:  # fmt: skip
    """Anywhere between its start and its end."""
    killed = kill_at_random(store, own_environment, long_file, random.uniform(0.3, duration_s))
    assert judge_part(store) == []
    resume_and_judge(store, own_environment, long_file, killed, waited)
    assert max(waited, default=0) < undisturbed_s + ORPHAN_S, "it waited for an orphaned transaction"
