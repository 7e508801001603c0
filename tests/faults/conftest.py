"""Fixtures of the fault tests: the seed, the files, and the numbers of rows and rounds."""

import os
import time
from pathlib import Path
from random import Random

import pytest

from store.client import Store
from tests.support.faults.spoil import split, write_spoiled

SEED = int(os.environ.get("FAULTS_SEED") or time.time_ns() % 2**32)
SHORT_ROWS, LONG_ROWS, SMALL_ROWS = 20_000, 200_000, 500


@pytest.fixture
def random(request: pytest.FixtureRequest) -> Random:
    """A random generator for the test, from the run's seed, which is printed."""
    print(f"FAULTS_SEED={SEED}")
    return Random(f"{SEED} {request.node.name}")


@pytest.fixture(scope="session")
def short_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV for the short set, with nine months."""
    return write_spoiled(tmp_path_factory.mktemp("short") / "short.csv", SHORT_ROWS, SEED, of=SHORT_ROWS * 10)


@pytest.fixture(scope="session")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV for the long set, with two years."""
    return write_spoiled(tmp_path_factory.mktemp("long") / "long.csv", LONG_ROWS, SEED, of=LONG_ROWS * 4)


@pytest.fixture(scope="session")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV with one month, for one fault at a time."""
    return write_spoiled(tmp_path_factory.mktemp("small") / "small.csv", SMALL_ROWS, SEED, of=SMALL_ROWS * 100)


@pytest.fixture(scope="session")
def short_halves(short_file: Path) -> tuple[Path, Path]:
    """The short file in two halves."""
    return _halves(short_file)


@pytest.fixture(scope="session")
def long_halves(long_file: Path) -> tuple[Path, Path]:
    """The long file in two halves."""
    return _halves(long_file)


def _halves(path: Path) -> tuple[Path, Path]:
    halves = path.with_name("first.csv"), path.with_name("second.csv")
    split(path, *halves)
    return halves


@pytest.fixture
def own_environment(environment: dict[str, str], store: Store) -> dict[str, str]:
    """The environment for a command on the test's own database."""
    return environment | {"MONGODB_DATABASE": store.settings.database}
