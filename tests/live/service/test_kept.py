"""Cached replies: they equal newly created ones and are never out of date."""

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from loader.load import load
from loader.loads.options import Options
from loader.sample import write_sample
from pipelines.derived.refresh import refresh
from service.keys import new_key
from service.settings import ServiceSettings
from store.client import Store
from tests.support.counted import PATH, Counted

pytestmark = pytest.mark.live


@pytest.fixture
def app(loaded: Store) -> Iterator[Counted]:
    """The service on the sample."""
    found = Counted(loaded)
    yield found
    found.flask.extensions["connection"].close()


def without_own(response: TestResponse) -> Any:
    """A reply without the request's own parts."""
    body = gzip.decompress(response.data) if response.headers.get("Content-Encoding") == "gzip" else response.data
    document = json.loads(body)
    assert document["meta"].pop("timing_ms")["total"] >= 0
    assert document["meta"].pop("request_id") == response.headers["X-Request-Id"]
    return document


def test_a_reply_that_is_sent_again_is_the_same(app: Counted) -> None:
    """Body and headers, plain and compressed; only one request reaches Flask."""
    app.get()
    app.wait()
    made = app.get(Accept_Encoding="identity;q=1")  # with weights, Flask answers
    asked = app.asked
    for headers in ({}, {"Accept_Encoding": "gzip, deflate, br"}, {"X_Request_Id": "mine"}):
        sent = app.get(**headers)
        assert without_own(sent) == without_own(made)
        assert sent.status == made.status
        assert ("Content-Encoding" in sent.headers) == ("Accept_Encoding" in headers)
        assert {*sent.headers.keys()} - {"Content-Encoding"} == {*made.headers.keys()} - {"Date"}  # by the server
        own = {"Content-Length", "Server-Timing", "X-Request-Id", "Content-Encoding", "Date"}
        assert {n: v for n, v in sent.headers if n not in own} == {n: v for n, v in made.headers if n not in own}
        assert int(sent.headers["Content-Length"]) == len(sent.data)
        assert sent.headers["X-Request-Id"] == "mine" or "X_Request_Id" not in headers
    assert app.asked == asked
    assert len({app.get().headers["X-Request-Id"] for _ in range(3)}) == 3


def test_what_the_client_has_is_a_304(app: Counted) -> None:
    """With the cached ETag, without Flask; any other condition is left to Flask."""
    app.get()
    app.wait()
    etag = app.get().headers["ETag"]
    asked = app.asked
    unchanged = app.get(If_None_Match=etag)
    assert (unchanged.status_code, unchanged.data, app.asked) == (304, b"", asked)
    assert unchanged.headers["ETag"] == etag
    assert "Content-Type" not in unchanged.headers
    assert app.get(If_None_Match=f'W/"other", {etag}').status_code == 304
    assert app.get(If_None_Match='W/"other"').status_code == 200
    assert app.asked == asked + 2


@pytest.mark.parametrize(
    "headers",
    [{"Cache-Control": "no-cache"}, {"Origin": "https://a.example"}, {"Range": "bytes=0-1"}, {"Accept": "text/csv"}],
    ids=lambda headers: next(iter(headers)),
)
def test_what_is_no_plain_request_is_flasks(app: Counted, headers: dict[str, str]) -> None:
    """What asks for MongoDB's own word, an origin not seen before, ranges and other forms."""
    app.get()
    app.wait()
    app.get()
    asked = app.asked
    app.get(**headers)
    assert app.asked == asked + 1
    assert app.flask.test_client().head(PATH).data == b""
    assert app.asked == asked + 2


def test_keys_are_looked_at_with_each_request(loaded: Store) -> None:
    """A known key gets the kept reply and is named in the log; without one, or with another, Flask refuses."""
    text, key = new_key("me")
    guarded = Counted(loaded, ServiceSettings(keys=(key,)))
    mine = f"Bearer {text}"
    guarded.get(Authorization=mine)
    guarded.wait()
    made = guarded.get(Authorization=mine)
    asked = guarded.asked
    assert without_own(guarded.get(Authorization=mine)) == without_own(made)
    assert guarded.asked == asked
    assert [guarded.get().status_code, guarded.get(Authorization="Bearer x").status_code] == [401, 401]
    assert guarded.asked == asked + 2
    guarded.flask.extensions["connection"].close()


def test_limits_count_each_request(store: Store, tmp_path: Path) -> None:
    """Kept replies too: with the same headers as any other, and a 429 after the last one that is allowed."""
    write_sample(tmp_path / "few.csv", 50, 1, lambda done, total: None)
    load(store, tmp_path / "few.csv", Options(), 1, lambda done, total: None)
    limited = Counted(store, ServiceSettings(rate_limit="8/minute"))  # it counts in its database
    replies = [limited.get()]
    limited.wait()
    replies += [limited.get() for _ in range(9)]
    assert [reply.status_code for reply in replies] == [200] * 8 + [429] * 2
    assert [int(reply.headers["X-RateLimit-Remaining"]) for reply in replies] == [*range(7, -1, -1), 0, 0]
    assert limited.asked < 7
    assert all(("Retry-After" in reply.headers) == (reply.status_code == 429) for reply in replies)
    assert {*replies[0].headers.keys()} - {"Date"} == {*replies[7].headers.keys()}
    limited.flask.extensions["connection"].close()


def test_an_origin_gets_what_its_own_first_reply_had(loaded: Store) -> None:
    """A named origin may read kept replies, another one may not."""
    named, other = "https://a.example", "https://b.example"
    shared = Counted(loaded, ServiceSettings(cors_origins=(named,)))
    shared.get()
    shared.wait()
    for origin in (named, other, named, other):
        reply = shared.get(Origin=origin)
        assert reply.headers.get("Access-Control-Allow-Origin") == (named if origin == named else None)
        assert "Origin" in reply.headers["Vary"]
    assert shared.asked <= 4
    shared.flask.extensions["connection"].close()


def test_a_kept_reply_is_counted_like_any_other(app: Counted) -> None:
    """Requests by status and cached answers, in /metrics; times in /v1/performance."""
    app.get()
    app.wait()
    app.get()
    before = counts(app)
    for _ in range(7):
        app.get()
    app.get(If_None_Match=app.get().headers["ETag"])
    after = counts(app)
    found = {name: after[name] - before.get(name, 0) for name in after}
    route = 'route="/v1/queries/top-states"'
    assert found[f'analytics_requests_total{{{route},status="200"}}'] == 8
    assert found[f'analytics_requests_total{{{route},status="304"}}'] == 1
    assert found["analytics_answer_cache_hits_total"] == 9
    seconds = 'analytics_request_seconds_count{query="top-states"'
    assert sum(value for name, value in found.items() if name.startswith(seconds)) == 9
    measured = json.loads(app.get("/v1/performance").data)["measured"]
    assert {"kept", "unchanged"} <= {each["source"] for each in measured if each["slug"] == "top-states"}


def counts(app: Counted) -> dict[str, float]:
    """The values of /metrics, by name and labels."""
    lines = app.get("/metrics").text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def test_after_a_commit_no_kept_reply_is_sent(store: Store, tmp_path: Path) -> None:
    """Loads and refreshes, one after another: each is visible once the change stream reports it, within a second."""
    quietly = lambda done, total: None  # noqa: E731
    write_sample(tmp_path / "0.csv", 300, 1, quietly)
    load(store, tmp_path / "0.csv", Options(), 0.0, quietly)
    app = Counted(store)
    try:
        for number in range(1, 4):
            app.get("/v1/queries/overall-summary")
            app.wait()
            app.get("/v1/queries/overall-summary")
            kept = app.get("/v1/queries/overall-summary").json
            text = (tmp_path / "0.csv").read_text().replace("\n1", f"\n{number}1")  # other ids
            (tmp_path / f"{number}.csv").write_text(text)
            load(store, tmp_path / f"{number}.csv", Options(), 0.0, quietly)
            deadline = time.monotonic() + 20
            while True:
                found = app.get("/v1/queries/overall-summary").json
                if found["meta"]["data_version"] > kept["meta"]["data_version"] or time.monotonic() > deadline:
                    break
            assert found["totals"]["transactions"] == kept["totals"]["transactions"] + 300
            refresh(store)
    finally:
        app.flask.extensions["connection"].close()
