"""A server that is killed with -9 under a load costs no row, and doubles none."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

import pytest

from store.client import Store
from store.settings import Settings
from tests.faults.judge import judge
from tests.faults.mongod import Mongod, primary_of, replica_set
from tests.faults.process import Process, load_until_done, loader

pytestmark = pytest.mark.live

KILLS = 20


@pytest.fixture
def mongod(tmp_path: Path) -> Iterator[Mongod]:
    """A replica set of one."""
    with replica_set(tmp_path, 1) as (server,):
        yield server


def environment_of(mongod: Mongod, database: str) -> dict[str, str]:
    """The environment for a command on this server."""
    return {"PATH": os.environ["PATH"], "MONGODB_URI": mongod.uri, "MONGODB_DATABASE": database}


def judged(mongod: Mongod, database: str, path: Path, output: str) -> list[str]:
    """What is wrong; the database is dropped."""
    with Store(Settings(database=database, uri=mongod.uri)) as store:
        wrong = judge(store, [path], output)
        store.client.drop_database(database)
    return wrong


def kill_and_restart(mongod: Mongod, down_s: float) -> None:
    """Kill -9, and start it again after a while."""
    mongod.kill()
    time.sleep(down_s)
    mongod.start()
    primary_of([mongod])


def wait_for_rows(mongod: Mongod, database: str, process: Process) -> None:
    """Wait until a load has committed something."""
    with Store(Settings(database=database, uri=mongod.uri)) as store:
        while process.runs and not store.db.transactions.find_one():
            time.sleep(0.005)
    assert process.runs, process.output


def test_a_server_that_is_killed_once_costs_nothing(mongod: Mongod, short_file: Path, random: Random) -> None:
    """It comes back on its port, and the load goes on or is run again."""
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


@pytest.mark.faults
def test_when_the_embedded_server_is_killed_the_load_says_so_and_the_next_one_goes_on(
    tmp_path: Path, short_file: Path
) -> None:
    """One line, exit code 1; the next command starts the server again."""
    environment: Mapping[str, str] = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path)}
    settings = Settings(data_dir=tmp_path)
    with Store(settings) as store:
        process = loader(environment, "load", short_file)
        while process.runs and not store.db.transactions.find_one():
            time.sleep(0.005)
    os.kill(json.loads((tmp_path / "mongodb" / "address.json").read_text())["pid"], 9)
    killed_at = time.monotonic()
    assert process.wait() == 1
    print(f"the load ended {time.monotonic() - killed_at:.0f} s after its server")
    assert process.output == "error: MongoDB cannot be reached. Check that it runs and that MONGODB_URI names it.\n"
    runs, output = load_until_done(environment, short_file)
    assert runs == 1
    with Store(settings) as store:
        assert judge(store, [short_file], output) == []


def _sleep_while_it_runs(process: Process, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while process.runs and time.monotonic() < deadline:
        time.sleep(0.01)
