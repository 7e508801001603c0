"""Fixtures: the embedded server, new databases, and samples."""

import gc
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from loader.load import load
from loader.loads.options import Options
from loader.sample import write_sample
from service.settings import ALL
from store.client import Store
from store.environment import DOTENV, settings_of
from store.settings import Settings
from tests.support.places import ROOT, SAMPLE_ROWS


def pytest_configure() -> None:
    """Refuse to run beside a `.env`: the tested commands would use its database."""
    if (ROOT / DOTENV).exists():
        pytest.exit(f"Move {ROOT / DOTENV} away: the commands that are tested would read it.", returncode=2)


def pytest_collection_finish() -> None:
    """Exempt everything imported so far from garbage collection, which takes a tenth of the unit tests' time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def set_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, str]], None]:
    """A function that sets exactly the given settings, in an empty working folder; it may be called again."""
    names = {name for kind in ALL for _, each in settings_of(kind) for name in (each.name, each.file) if name}
    monkeypatch.chdir(tmp_path)

    def set_to(environment: Mapping[str, str]) -> None:
        for name in names:
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

    return set_to


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this run's embedded server."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def server(data_dir: Path) -> Iterator[Store]:
    """The embedded server, running for the whole session."""
    with Store(Settings(data_dir=data_dir)) as store:
        store.require_replica_set()
        yield store


@pytest.fixture
def store(server: Store, data_dir: Path) -> Iterator[Store]:
    """A store on a new database, dropped afterwards."""
    with Store(Settings(database=f"test-{uuid.uuid4().hex[:8]}", data_dir=data_dir)) as fresh:
        yield fresh
        fresh.client.drop_database(fresh.settings.database)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample CSV of SAMPLE_ROWS rows."""
    path = tmp_path_factory.mktemp("sample") / "sample.csv"
    write_sample(path, SAMPLE_ROWS, 7, lambda done, total: None)
    return path


@pytest.fixture(scope="session")
def loaded(server: Store, data_dir: Path, sample: Path) -> Iterator[Store]:
    """A store whose database contains the sample; read-only."""
    with Store(Settings(database="loaded", data_dir=data_dir)) as filled:
        load(filled, sample, Options(), 0.01, lambda done, total: None)
        yield filled


@pytest.fixture
def environment(data_dir: Path, server: Store) -> dict[str, str]:
    """The environment for one of our commands: this run's server, a new database, nothing of the caller's."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {"DATA_DIR": str(data_dir), "MONGODB_DATABASE": f"test-{uuid.uuid4().hex[:8]}"}
