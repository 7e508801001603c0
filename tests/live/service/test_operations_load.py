"""Deadlines, the limit on concurrent work, metrics of several workers, and the service around failures."""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from loader.load import load
from loader.loads.options import Options
from loader.sample import write_sample
from store.client import Store
from store.settings import Settings
from tests.support.mongod import Mongod, primary_of, replica_set
from tests.support.service import Service, problem, serving

pytestmark = pytest.mark.live

BUDGET_MS = 400
BLOCK_MS = 3_000
DATABASE = "operations"


@pytest.fixture(scope="module")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    """A MongoDB for this module, with a small sample."""
    folder = tmp_path_factory.mktemp("mongod")
    sample = folder / "sample.csv"
    write_sample(sample, 3_000, 7, lambda done, total: None)
    with replica_set(folder, 1) as (server,):
        with Store(Settings(uri=server.uri, database=DATABASE)) as store:
            load(store, sample, Options(), 0.01, lambda done, total: None)
        yield server


def environment(mongod: Mongod, **more: str) -> dict[str, str]:
    """The settings for a service on that MongoDB."""
    return {"MONGODB_URI": mongod.uri, "MONGODB_DATABASE": DATABASE, **more}


def requests_of(log: Path) -> list[dict[str, Any]]:
    """The requests in a service's log."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["message"] == "request"]


def samples(service: Service) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The values of /metrics by name and labels."""
    families = text_string_to_metric_families(service.get("/metrics").body.decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def total(found: Mapping[tuple[str, tuple[tuple[str, str], ...]], float], name: str, **labels: str) -> float:
    """The sum of the samples with a name and these labels."""
    return sum(
        value for (each, given), value in found.items() if each == name and labels.items() <= dict(given).items()
    )


def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


# The deadline.


def test_a_question_that_takes_too_long_is_a_503_that_says_so(mongod: Mongod, tmp_path: Path) -> None:
    """MongoDB gets the deadline, too; when it is fast again, so is the answer."""
    with serving(tmp_path / "log", environment(mongod, REQUEST_BUDGET_MS=str(BUDGET_MS))) as service:
        assert service.get("/readyz").status == 200
        with mongod.blocking("aggregate", BLOCK_MS):
            for path in ("/v1/queries/top-states", "/v1/queries/top-states?source=raw"):
                reply = service.get(path)
                body = problem(reply, 503)
                assert f"{BUDGET_MS} ms" in body["detail"]
                assert int(reply.headers["Retry-After"]) > 0
                assert body["timing_ms"]["total"] < BLOCK_MS / 2
            assert service.get("/healthz").status == 200
        eventually(lambda: service.get("/v1/queries/top-states").status == 200)
        with Store(Settings(uri=mongod.uri, database=DATABASE)) as store:
            store.db.command("profile", 2)
            assert service.get("/v1/queries/top-states", {"source": ["raw"]}).status == 200
            store.db.command("profile", 0)
            told = [each["command"].get("maxTimeMS") for each in store.db["system.profile"].find({"op": "command"})]
            store.db["system.profile"].drop()
        assert told
        assert all(limit and limit <= BUDGET_MS for limit in told), told


# The bound on work.


def test_what_is_above_the_bound_is_refused_and_what_needs_no_work_is_not(mongod: Mongod, tmp_path: Path) -> None:
    """Cached answers, health and metrics are served while the only place is taken; refusals are counted."""
    more = {"CONCURRENCY": "1", "WORKERS": "1"}
    with serving(tmp_path / "log", environment(mongod, **more)) as service, ThreadPoolExecutor(12) as pool:
        kept = "/v1/queries/revenue-by-segment"
        assert service.get(kept).status == 200
        eventually(lambda: hears_of_versions(service))  # from here on, the version is not read any more
        assert service.get("/readyz").status == 200  # it has checked the derived data, which it does rarely
        with mongod.blocking("aggregate", BLOCK_MS):
            first = pool.submit(service.get, "/v1/queries/hourly-sales")
            eventually(lambda: len(mongod.running("aggregate")) == 1)
            others = [pool.submit(service.get, "/v1/queries/hourly-sales", {"hour": [str(n)]}) for n in range(10)]
            for path in (kept, "/healthz", "/readyz", "/metrics", "/v1/queries"):
                assert service.get(path).status == 200, path
            refusals = [each.result() for each in others]
            assert not first.done()
        assert first.result().status == 200
        for reply in refusals:
            assert "overloaded" in problem(reply, 503)["detail"]
            assert reply.headers["Retry-After"] == "1"
            assert reply.json["timing_ms"]["total"] < BLOCK_MS / 2
        assert total(samples(service), "analytics_shed_requests_total") == 10
        assert service.get("/v1/queries/hourly-sales", {"hour": ["3"]}).status == 200


def test_what_is_too_much_is_refused_unread(mongod: Mongod, tmp_path: Path) -> None:
    """Two work and eight wait for a moment; the rest is refused before Flask, with one log line per second."""
    more = {"WORKERS": "1", "THREADS": "2", "CONCURRENCY": "2"}
    with serving(tmp_path / "log", environment(mongod, **more)) as service, ThreadPoolExecutor(40) as pool:
        eventually(lambda: service.get("/v1/queries/top-states").status == 200)
        assert service.get("/readyz").status == 200  # as above
        with mongod.blocking("aggregate", BLOCK_MS):
            asked = [
                pool.submit(service.get, "/v1/queries/hourly-sales", {"from": [f"2020-01-{n:02}"]})
                for n in range(1, 31)
            ]
            eventually(lambda: len(mongod.running("aggregate")) == 2)
            start = time.monotonic()
            for path in ("/healthz", "/readyz", "/metrics"):
                assert service.get(path).status == 200
            assert time.monotonic() - start < BLOCK_MS / 2000
        replies = [each.result() for each in asked]
        assert Counter(each.status for each in replies) == {200: 2, 503: 28}
        for reply in replies:
            if reply.status == 503:
                assert "overloaded" in problem(reply, 503)["detail"]
                assert reply.headers["Retry-After"] == "1"
        assert total(samples(service), "analytics_shed_requests_total") == 28
        unread = int(total(samples(service), "analytics_requests_total", route="none", status="503"))
        assert unread >= 20
        eventually(lambda: sum(refused_unread(tmp_path / "log")) == unread)


def refused_unread(log: Path) -> list[int]:
    """The numbers of unread refusals in the log lines."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line["requests"] for line in lines if "refused because too many came at once" in line["message"]]


def test_under_overload_each_request_is_answered_right_or_refused(mongod: Mongod, tmp_path: Path) -> None:
    """Forty clients for eight places: 200 or 503, nothing else; the answers are those of an idle service."""
    with serving(tmp_path / "log", environment(mongod, WORKERS="2", CONCURRENCY="2")) as service:
        paths = [f"/v1/queries/top-states?source=raw&hour={hour}&limit=50" for hour in range(24)]
        quiet = {path: service.get(path).json["rows"] for path in paths}
        limits = [f"{path}&to=2099-01-{day:02}" for path in paths for day in range(1, 21)]  # none is cached
        with mongod.blocking("aggregate", 30), ThreadPoolExecutor(40) as pool:
            replies = list(pool.map(service.get, limits))
        counts = Counter(reply.status for reply in replies)
        assert set(counts) == {200, 503}, counts
        for path, reply in zip(limits, replies, strict=True):
            if reply.status == 200:
                assert reply.json["rows"] == quiet[path.rpartition("&")[0]]
            else:
                problem(reply, 503)
        found = samples(service)
        assert total(found, "analytics_shed_requests_total") == counts[503]
        assert len({each["pid"] for each in requests_of(tmp_path / "log")}) == 2  # no worker was replaced


def hears_of_versions(service: Service) -> bool:
    """Whether the worker's change stream is open: /v1/live sends the version at once."""
    connection = HTTPConnection("127.0.0.1", service.port, timeout=30)
    try:
        connection.request("GET", "/v1/live")
        return connection.getresponse().readline() == b"event: version\n"
    finally:
        connection.close()


# The counts.


def test_the_counts_of_two_workers_add_up(mongod: Mongod, tmp_path: Path) -> None:
    """On any worker, and even after one was killed; no label contains a client's text."""
    log = tmp_path / "log"
    with serving(log, environment(mongod, WORKERS="2", CONCURRENCY="16")) as service, ThreadPoolExecutor(8) as pool:
        paths = [f"/v1/queries/top-states?hour={hour}" for hour in range(24)]
        sent = 0
        while len({each["pid"] for each in requests_of(log) if each["query"] == "top-states"}) < 2:
            assert {reply.status for reply in pool.map(service.get, paths)} == {200}
            sent += len(paths)
        for path in ("/secret-text", "/v1/queries/secret-text", "/v1/queries/top-states?secret-text=1"):
            assert service.get(path).status in (404, 422)
        service.request("BREW", "/v1/queries/top-states")
        pids = {each["pid"] for each in requests_of(log)}
        assert len(pids) == 2

        def check() -> None:
            for _ in range(6):  # most likely reaches both workers
                found = samples(service)
                route = "/v1/queries/top-states"
                assert total(found, "analytics_requests_total", route=route, status="200") == sent
                assert total(found, "analytics_requests_total", route=route, status="422") == 1
                assert total(found, "analytics_requests_total", route=route, status="405") <= 1
                assert total(found, "analytics_requests_total", route="/v1/queries/<slug>", status="404") == 1
                hits, made = (total(found, f"analytics_answer_cache_{name}_total") for name in ("hits", "misses"))
                assert hits + made == sent
                assert 24 <= made <= 24 * 2 * 4  # each worker computes each answer once, or several threads at once
                for name in ("request", "mongodb"):
                    assert total(found, f"analytics_{name}_seconds_count", query="top-states") == sent
                assert total(found, "analytics_request_seconds_sum") > total(found, "analytics_mongodb_seconds_sum") > 0
                assert total(found, "analytics_mongodb_up") == 1
                assert total(found, "analytics_data_version") > 0
                assert ("analytics_stale_months", ()) in found

        check()
        text = service.get("/metrics").body.decode()
        assert "secret-text" not in text
        assert "BREW" not in text
        victim = pids.pop()
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: victim not in workers(log))
        eventually(lambda: len(workers(log)) == 2)
        check()


def workers(log: Path) -> set[int]:
    """The living workers of the service with this log."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    started = {line["pid"] for line in lines if line["message"] == "a worker has started"}
    return {pid for pid in started if Path(f"/proc/{pid}").exists()}


def test_a_verification_shows_in_the_metrics(mongod: Mongod, tmp_path: Path) -> None:
    """Whether it found no difference, and when, without a restart."""
    env = {**os.environ, "MONGODB_URI": mongod.uri, "MONGODB_DATABASE": DATABASE}
    with serving(tmp_path / "log", environment(mongod)) as service:
        service.get("/metrics")
        subprocess.run([".venv/bin/python", "-m", "loader", "verify"], env=env, check=True, capture_output=True)
        found = samples(service)
        assert total(found, "analytics_verification_ok") == 1
        assert abs(total(found, "analytics_verification_timestamp_seconds") - time.time()) < 300
        assert service.get("/readyz").json["verification"]["ok"]


# Start, failures and stop.


def test_the_service_starts_without_mongodb_and_heals_when_it_comes_and_goes(tmp_path: Path) -> None:
    """Alive all the time, ready only with MongoDB; nobody has to restart anything."""
    with replica_set(tmp_path, 1) as (server,):
        server.kill()
        with serving(tmp_path / "log", environment(server, WORKERS="2")) as service:
            for _ in range(2):
                reply = service.get("/readyz")
                assert "MongoDB" in problem(reply, 503)["detail"]
                assert int(reply.headers["Retry-After"]) > 0
                assert service.get("/healthz").status == 200
                assert ("analytics_mongodb_up", ()) in (found := samples(service))
                assert total(found, "analytics_mongodb_up") == 0
                server.start()
                primary_of([server])
                try:
                    for _ in range(6):  # both workers
                        eventually(lambda: service.get("/readyz").status == 200, 10)
                    eventually(lambda: service.get("/v1/queries/overall-summary").status == 200, 10)
                    assert total(samples(service), "analytics_mongodb_up") == 1
                finally:
                    server.kill()
                assert service.get("/healthz").status == 200
                eventually(lambda: service.get("/readyz").status == 503)
            assert len(workers(tmp_path / "log")) == 2


def test_a_stopping_service_answers_what_it_has_accepted(mongod: Mongod, tmp_path: Path) -> None:
    """SIGTERM while requests wait for MongoDB, and under load: every request that reached a worker gets its reply."""
    log = tmp_path / "log"
    with ThreadPoolExecutor(12) as pool:
        with serving(log, environment(mongod, WORKERS="2", CONCURRENCY="8")) as service:
            eventually(lambda: service.get("/v1/queries/top-states").status == 200)
            over = Event()
            with mongod.blocking("aggregate", 1_500):
                slow = [
                    pool.submit(
                        service.request,
                        "GET",
                        f"/v1/queries/hourly-sales?hour={hour}",
                        {"X-Request-Id": f"slow-{hour}"},
                    )
                    for hour in range(4)
                ]
                eventually(lambda: len(mongod.running("aggregate")) == 4)
                load = [pool.submit(ask_until, service, over, f"client-{number}") for number in range(4)]
                eventually(lambda: len(requests_of(log)) > 200)
                os.kill(service.pid, signal.SIGTERM)
                assert [each.result().status for each in slow] == [200] * 4
                over.set()
                received = {name for each in load for name in each.result()}
        accepted = {each["request_id"] for each in requests_of(log) if each["request_id"].startswith("client-")}
    assert len(accepted) > 50
    assert accepted - received == set()


def ask_until(service: Service, over: Event, name: str) -> set[str]:
    """Ask alternately on a persistent and a new connection until the service is gone; the ids of complete replies."""
    received: set[str] = set()
    number = 0
    while not over.is_set():
        connection = HTTPConnection("127.0.0.1", service.port, timeout=30)
        try:
            for _ in range(5):
                number += 1
                given = f"{name}-{number}"
                connection.request("GET", "/v1/queries/top-states", headers={"X-Request-Id": given})
                response = connection.getresponse()
                assert json.loads(response.read())["query"]["slug"] == "top-states"
                assert response.headers["X-Request-Id"] == given
                received.add(given)
        except (OSError, HTTPException):
            time.sleep(0.01)
        finally:
            connection.close()
    return received
