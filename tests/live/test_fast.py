"""What is there for speed alone can be taken away: without `service.fast` every answer is the same."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from pipelines.ask.queries import QUERIES
from service.app import create_app
from service.settings import ServiceSettings
from store.client import Store
from store.settings import Settings

pytestmark = pytest.mark.live
ROOT = Path(__file__).parents[2]
OWN = {"Server-Timing", "X-Request-Id", "Content-Length", "Date"}  # the server makes the date
PATHS = (
    *(f"/v1/queries/{each.slug}" for each in QUERIES),
    "/v1/queries/top-states?limit=50&from=2022-01-15&to=2022-03-02&not_gender=Male",
    "/v1/queries/top-states?compare=previous_year&from=2023-01-01&to=2023-12-31",
    "/v1/queries/daily-sales?interval=week&segment=gold&referral=Referral",
    "/v1/queries/top-states.csv",
    "/v1/queries/hourly-sales.ndjson",
    "/v1/explore?by=segment&by=payment_method&by=gender",
    "/v1/explore?source=raw",
    "/v1/dashboard",
    "/v1/dashboard?from=2022-01-01&compare=previous_period",
    "/v1/dimensions",
    "/v1/loads",
    "/v1/queries/none",
    "/v1/queries/top-states?limit=none",
    "/v1/explore?by=date&source=rollup&gender=Male&segment=gold",
    "/readyz",
)


def told(client: FlaskClient, path: str) -> dict[str, Any]:
    """A reply, and the one to a request that has it already, but for what is each request's own."""
    response = client.get(path)
    etag = response.headers.get("ETag")
    again = client.get(path, headers={"If-None-Match": etag}).status_code if etag else None
    text = response.text
    if "json" in str(response.mimetype) and not path.endswith("ndjson"):
        text = json.dumps(_without_own(json.loads(text)))
    headers = {name: value for name, value in response.headers if name not in OWN}
    return {"status": response.status_code, "again": again, "headers": headers, "text": text}


def _without_own(part: Any) -> Any:
    """A document without the time and the id of its request, and without the moment that was read."""
    if isinstance(part, Mapping):
        own = {"timing_ms", "request_id", "as_of"}
        return {name: _without_own(each) for name, each in part.items() if name not in own}
    return [_without_own(each) for each in part] if isinstance(part, list) else part


def main() -> None:
    """Print the replies of a service that cannot import `service.fast`; run in a process of its own."""
    sys.modules["service.fast"] = None  # type: ignore[assignment]  # an import of it fails
    app = create_app(Settings.from_environment(), ServiceSettings(), is_fast=False)
    print(json.dumps({path: told(app.test_client(), path) for path in PATHS}))
    app.extensions["connection"].close()


@pytest.fixture(scope="module")
def slow(loaded: Store) -> dict[str, Any]:
    """What the service tells without its folder `fast`."""
    environment = {"DATA_DIR": str(loaded.settings.data_dir), "MONGODB_DATABASE": loaded.settings.database}
    command = [sys.executable, "-c", "from tests.live.test_fast import main; main()"]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=120, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def fast(loaded: Store) -> Iterator[Flask]:
    """The service as it is, with what it keeps: everything has been asked twice."""
    app = create_app(loaded.settings, ServiceSettings())
    watcher = app.extensions["connection"].answerer.known.watcher
    while not watcher.current():  # without its news nothing is kept
        time.sleep(0.01)
    for _ in range(2):
        for path in PATHS:
            app.test_client().get(path)
    yield app
    app.extensions["connection"].close()


@pytest.mark.parametrize("path", PATHS)
def test_without_what_is_there_for_speed_the_answer_is_the_same(fast: Flask, slow: dict[str, Any], path: str) -> None:
    """Status, headers and body, first asked, kept, and where the client has it already."""
    for _ in range(2):
        assert told(fast.test_client(), path) == slow[path]


def test_the_comparison_can_fail(fast: Flask, slow: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that belongs to another question is noticed."""
    monkeypatch.setitem(fast.extensions, "heads", lambda *_: b'{"query": {}, "meta": {')
    assert told(fast.test_client(), "/v1/dashboard") != slow["/v1/dashboard"]
