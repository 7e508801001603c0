"""Killing the server with -9 during a load loses no row and duplicates none."""

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from random import Random

import pytest

from store.client import Store
from store.embedded.server import find_mongod
from store.settings import Settings
from tests.support.embedded import HEALED_S, guardian_of, mongod_of
from tests.support.faults.judge import judge
from tests.support.faults.loads import embedded_environment, environment_of, judged, wait_for_rows
from tests.support.faults.servers import Mongod, primary_of, replica_set
from tests.support.process import Process, load_until_done, loader
from tests.support.service import serving

pytestmark = pytest.mark.live

KILLS = 20


@pytest.fixture
def mongod(tmp_path: Path) -> Iterator[Mongod]:
    """A one-node replica set."""
    with replica_set(tmp_path, 1) as (server,):
        yield server


def kill_and_restart(mongod: Mongod, down_s: float) -> None:
    """Kill -9, and restart it after a while."""
    mongod.kill()
    time.sleep(down_s)
    mongod.start()
    primary_of([mongod])


def test_a_server_that_is_killed_once_costs_nothing(mongod: Mongod, short_file: Path, random: Random) -> None:
    """It comes back on its port, and the load continues or is run again."""
    environment = environment_of(mongod, "once")
    process = loader(environment, "load", short_file)
    wait_for_rows(mongod, "once", process)
    time.sleep(random.uniform(0, 0.5))
    kill_and_restart(mongod, 0)
    _, output = load_until_done(environment, short_file, process)
    assert judged(mongod, "once", short_file, output) == []


@pytest.mark.faults
def test_a_server_that_is_killed_twenty_times_costs_nothing(mongod: Mongod, long_file: Path, random: Random) -> None:
    """Several loads, with up to three kills each; each load is judged."""
    done: Counter[str] = Counter()
    while done["kills"] < KILLS:
        done["loads"] += 1
        database = f"load-{done['loads']}"
        environment = environment_of(mongod, database)
        process = loader(environment, "load", long_file)
        for _ in range(3):
            _sleep_while_it_runs(process, random.uniform(0.5, 5))
            if process.runs:
                kill_and_restart(mongod, random.choice((0, 0, 2)))
                done["kills"] += 1
        runs, output = load_until_done(environment, long_file, process)
        done["runs"] += runs
        assert judged(mongod, database, long_file, output) == []
    print(f"{dict(done)}, every load judged right")


def kill_embedded(data_dir: Path, killed: str) -> None:
    """Kill -9 the embedded mongod, its guardian, or both."""
    pids = {"mongod": [mongod_of(data_dir)], "guardian": [guardian_of(data_dir)]}
    for pid in pids.get(killed) or (*pids["guardian"], *pids["mongod"]):
        os.kill(pid, 9)


KILLED = pytest.mark.parametrize("killed", ["mongod", "guardian", "both"])


@KILLED
def test_a_load_goes_on_when_the_embedded_server_is_killed(tmp_path: Path, short_file: Path, killed: str) -> None:
    """The server comes back, and the load is finished, usually in the same run."""
    environment = embedded_environment(tmp_path)
    settings = Settings(data_dir=tmp_path)
    process = loader(environment, "load", short_file)
    with Store(settings) as store:
        while process.runs and not store.db.transactions.find_one():
            time.sleep(0.005)
    kill_embedded(tmp_path, killed)
    runs, output = load_until_done(environment, short_file, process)
    print(f"{killed} killed: done after {runs} runs")
    assert runs <= 2  # on a busy machine the server may come back too late for the first
    with Store(settings) as store:
        assert judge(store, [short_file], output) == []


@pytest.mark.faults
def test_a_load_whose_embedded_server_stays_away_says_so_within_ten_seconds_and_the_next_one_goes_on(
    tmp_path: Path, short_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mongod cannot be restarted; one line, exit code 1."""
    program = tmp_path / "bin" / "mongod"
    program.parent.mkdir()
    real = find_mongod()
    program.symlink_to(real)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    environment = embedded_environment(tmp_path)
    settings = Settings(data_dir=tmp_path)
    process = loader(environment, "load", short_file)
    with Store(settings) as store:
        while process.runs and not store.db.transactions.find_one():
            time.sleep(0.005)
    program.unlink()
    begin = time.monotonic()
    os.kill(mongod_of(tmp_path), 9)
    assert process.wait(60) == 1
    seconds = time.monotonic() - begin
    print(f"the load ended {seconds:.1f} s after its server")
    assert seconds < 10
    assert process.output.startswith("error: The embedded MongoDB has stopped")
    assert process.output.count("\n") == 1
    program.symlink_to(real)
    runs, output = load_until_done(environment, short_file)
    assert runs == 1
    with Store(settings) as store:
        assert judge(store, [short_file], output) == []


@KILLED
def test_a_service_heals_when_its_embedded_server_is_killed(tmp_path: Path, short_file: Path, killed: str) -> None:
    """With questions from four threads: always alive, every reply correct or a 503, and healthy again soon."""
    environment = embedded_environment(tmp_path)
    load_until_done(environment, short_file)
    with serving(tmp_path / "service.log", environment | {"WORKERS": "2"}) as service:
        right = service.get("/v1/queries/overall-summary").json["totals"]
        told: Counter[int] = Counter()
        stop = threading.Event()

        def ask(number: int) -> None:
            for day in cycle(range(1, 29)):
                if stop.is_set():
                    return
                target = "/v1/queries/overall-summary" if day % 2 else f"/v1/queries/top-states?to=2024-01-{day:02}"
                reply = service.get(target)
                told[reply.status] += 1
                if day % 2 and reply.status == 200:
                    assert reply.json["totals"] == right
                assert reply.status in (200, 503)

        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(ask, number) for number in range(4)]
            try:
                time.sleep(0.5)
                mongod = mongod_of(tmp_path)
                kill_embedded(tmp_path, killed)
                begin = time.monotonic()
                states = []
                while time.monotonic() - begin < HEALED_S:
                    states.append(service.get("/readyz").status)
                    assert service.get("/healthz").status == 200
                    if states[-5:] == [200] * 5 and mongod_of(tmp_path) != mongod:
                        break
                    time.sleep(0.02)
                seconds = time.monotonic() - begin
            finally:
                stop.set()
        for each in asking:
            each.result()
        print(f"{killed} killed: ready again after {seconds:.1f} s; replies {dict(told)}")
        assert states[-5:] == [200] * 5
        assert mongod_of(tmp_path) != mongod
        assert service.get("/v1/queries/overall-summary?source=raw").json["totals"] == right


def _sleep_while_it_runs(process: Process, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while process.runs and time.monotonic() < deadline:
        time.sleep(0.01)
