"""Loads on a test's own servers."""

import os
import time
from pathlib import Path

from store.client import Store
from store.settings import Settings
from tests.support.faults.judge import judge
from tests.support.faults.servers import Mongod
from tests.support.process import Process


def environment_of(mongod: Mongod, database: str) -> dict[str, str]:
    """The environment for a command on this server."""
    return {"PATH": os.environ["PATH"], "MONGODB_URI": mongod.uri, "MONGODB_DATABASE": database}


def judged(mongod: Mongod, database: str, path: Path, output: str) -> list[str]:
    """What is wrong with a load; the database is dropped."""
    with Store(Settings(database=database, uri=mongod.uri)) as store:
        wrong = judge(store, [path], output)
        store.client.drop_database(database)
    return wrong


def wait_for_rows(mongod: Mongod, database: str, process: Process) -> None:
    """Wait until a load has committed something."""
    with Store(Settings(database=database, uri=mongod.uri)) as store:
        while process.runs and not store.db.transactions.find_one():
            time.sleep(0.005)
    assert process.runs, process.output


def embedded_environment(data_dir: Path) -> dict[str, str]:
    """The environment for a command on the embedded server of a folder."""
    return {"PATH": os.environ["PATH"], "DATA_DIR": str(data_dir)}
