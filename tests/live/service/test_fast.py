"""The parts for speed can be removed: without `service.fast`, every answer is the same."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from service.app import create_app
from service.settings import ServiceSettings
from store.client import Store
from tests.support.replies import PATHS, told

pytestmark = pytest.mark.live
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def slow(loaded: Store) -> dict[str, Any]:
    """The replies of the service without its folder `fast`."""
    environment = {"DATA_DIR": str(loaded.settings.data_dir), "MONGODB_DATABASE": loaded.settings.database}
    command = [sys.executable, "-c", "from tests.support.replies import main; main()"]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=120, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def fast(loaded: Store) -> Iterator[Flask]:
    """The normal service with filled caches: everything has been requested twice."""
    app = create_app(loaded.settings, ServiceSettings())
    watcher = app.extensions["connection"].answerer.known.watcher
    while not watcher.current():  # nothing is cached before it reports a version
        time.sleep(0.01)
    for _ in range(2):
        for path in PATHS:
            app.test_client().get(path)
    yield app
    app.extensions["connection"].close()


@pytest.mark.parametrize("path", PATHS)
def test_without_what_is_there_for_speed_the_answer_is_the_same(fast: Flask, slow: dict[str, Any], path: str) -> None:
    """Status, headers and body: the first time, cached, and if the client has it already."""
    for _ in range(2):
        assert told(fast.test_client(), path) == slow[path]


def test_the_comparison_can_fail(fast: Flask, slow: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that belongs to another question is noticed."""
    monkeypatch.setitem(fast.extensions, "heads", lambda *_: b'{"query": {}, "meta": {')
    assert told(fast.test_client(), "/v1/dashboard") != slow["/v1/dashboard"]
