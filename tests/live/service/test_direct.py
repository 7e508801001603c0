"""Answers from columns, made before Flask sees the request: the same as those that Flask makes from MongoDB."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from catalog.purchases import PURCHASES
from pipelines.ask.explore import find_exploration
from pipelines.ask.queries import QUERIES
from pipelines.ask.question import Comparison, ask
from pipelines.resident import segment
from service.app import create_app
from service.fast import lane
from service.settings import ServiceSettings
from store.client import Store
from tests.support.counted import Counted
from tests.support.questions import random_parameters
from tests.support.replies import OWN

pytestmark = pytest.mark.live
COLUMNS_MB = 64


@pytest.fixture(scope="module")
def fast(loaded: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counted]:
    """The service with columns in memory, after its first reply."""
    folder: Path = tmp_path_factory.mktemp("columns")
    found = Counted(loaded, ServiceSettings(columns_mb=COLUMNS_MB), columns=folder)
    found.get()
    found.wait()
    yield found
    found.flask.extensions["connection"].close()


@pytest.fixture(scope="module")
def slow(loaded: Store) -> Iterator[Any]:
    """The service without columns and without anything that is there for speed alone."""
    app = create_app(loaded.settings, ServiceSettings(columns_mb=0), is_fast=False)
    yield app.test_client()
    app.extensions["connection"].close()


def compared(response: Any) -> dict[str, Any]:
    """A reply but for its own parts and where it was read."""
    headers = {name: value for name, value in response.headers if name not in OWN}
    document = json.loads(response.text)
    meta = document.pop("meta")
    return {"status": response.status_code, "headers": headers, "document": document, "meta": sorted(meta),
            "proof": [meta["data_version"], meta["verified"], meta["verification"], meta["warnings"]]}  # fmt: skip


def test_random_questions_have_the_same_replies(fast: Counted, slow: Any) -> None:
    """Headers, ETag, rows, totals, sentence and proof; most of them without Flask."""
    seed = 11_24
    print(f"seed {seed}")
    chooser = random.Random(seed)
    asked = fast.asked
    sources = []
    for _ in range(150):
        path = f"/v1/queries/{chooser.choice(QUERIES).slug}"
        given = random_parameters(chooser, PURCHASES.vocabulary)
        if chooser.random() < 0.2:
            given["compare"] = [chooser.choice(list(Comparison)).value]
        path = f"{path}?{urlencode(given, doseq=True)}"
        reply = fast.get(path)
        assert compared(reply) == compared(slow.get(path)), path
        sources.append(json.loads(reply.text)["meta"]["source"])
    assert sources.count("columns") > 120
    assert fast.asked - asked < 20


def test_what_the_client_has_is_a_304_without_computing(fast: Counted) -> None:
    """By the name that the question and the version have, also of a reply that is not kept."""
    path = "/v1/explore?by=segment&by=hour&from=2022-03-04"
    etag = fast.get(path).headers["ETag"]
    asked = fast.asked
    assert fast.get(path, If_None_Match=etag).status_code == 304
    assert fast.get(f"{path}&limit=7", If_None_Match=etag).status_code == 200
    assert fast.asked == asked + 1


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/queries/top-states?state=Nowhere", 422), ("/v1/queries/top-states?limit=1&limit=2", 422),
        ("/v1/queries/none", 404), ("/v1/explore?by=none", 422),
        ("/v1/queries/top-states?state=%FF%FE", 422), ("/v1/explore?by=segment&by=segment", 422),
        ("/v1/queries/top-states?source=raw", 200), ("/v1/queries/top-states.csv", 200),
    ],
)  # fmt: skip
def test_what_is_wrong_or_unusual_is_flasks(fast: Counted, path: str, status: int) -> None:
    """It says what is wrong."""
    asked = fast.asked
    assert fast.get(path).status_code == status
    assert fast.asked == asked + 1


def test_no_cache_asks_mongodb(fast: Counted) -> None:
    """Also where the answer is known."""
    asked = fast.asked
    reply = fast.get(Cache_Control="no-cache")
    assert reply.status_code == 200
    assert fast.asked == asked + 1
    assert "mongo;dur=" in reply.headers["Server-Timing"]


def test_an_expensive_question_that_has_no_turn_is_refused_once(fast: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with `Retry-After`, without Flask, where it would wait again; a cheap one is answered meanwhile."""
    monkeypatch.setattr(lane, "HEAVY_US", 10_000)
    monkeypatch.setattr(lane, "WAIT_S", 0.05)
    worst = "/v1/explore?by=state&by=hour&by=age_group&interval=year"
    now = fast.flask.extensions["connection"].answerer.known.last
    question = ask(find_exploration(["state", "hour", "age_group"]), {"interval": ["year"]}, now.vocabulary)
    asked = fast.asked
    with fast.flask.extensions["lane"](question, now):
        refused = fast.get(worst)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert fast.get("/v1/queries/top-states?limit=41").status_code == 200
    assert fast.get(worst).status_code == 200
    assert fast.asked == asked


def test_a_wrong_sum_would_be_seen(loaded: Store, slow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail."""
    right = segment.build

    def wrong(*given: Any) -> Any:
        built = right(*given)
        for sums in built.running.values():
            sums[-1] += 1
        return built

    monkeypatch.setattr("pipelines.resident.shelf.build", wrong)
    app = Counted(loaded, ServiceSettings(columns_mb=COLUMNS_MB), columns=tmp_path)
    app.get()
    app.wait()
    path = "/v1/queries/revenue-by-segment"
    assert compared(app.get(path)) != compared(slow.get(path))
    app.flask.extensions["connection"].close()
