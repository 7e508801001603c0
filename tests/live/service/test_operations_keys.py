"""Keys, limits and secrets, against the real server with two workers."""

import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.keys import new_key
from store.client import Store
from tests.support.places import ROOT
from tests.support.service import AWAY, OK, Service, problem, serving

pytestmark = pytest.mark.live

SECRET = "canary-7f3a"
LIMIT = 12


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A file of keys, and their texts by name."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    made = {name: new_key(name) for name in ("shop", "office", "crowd")}
    path.write_text("".join(f"{key.name}:{key.digest}\n" for _, key in made.values()))
    return path, {name: text for name, (text, _) in made.items()}


@pytest.fixture(scope="module")
def guarded(
    loaded: Store, data_dir: Path, keys: tuple[Path, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, Path]]:
    """A service with two workers that requires keys and limits each; and its log."""
    log = tmp_path_factory.mktemp("guarded") / "service.log"
    environment = {
        "DATA_DIR": str(data_dir), "MONGODB_DATABASE": loaded.settings.database, "API_KEYS_FILE": str(keys[0]),
        "RATE_LIMIT": f"{LIMIT}/hour", "WORKERS": "2", "LOG_LEVEL": "debug", "HOST": "0.0.0.0",
    }  # fmt: skip
    with serving(log, environment) as running:
        yield running, log


@pytest.fixture(scope="module")
def locked(keys: tuple[Path, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that requires keys, without rate limits."""
    environment = {"MONGODB_URI": AWAY, "API_KEYS_FILE": str(keys[0])}
    with serving(tmp_path_factory.mktemp("locked") / "service.log", environment) as running:
        yield running


def bearer(text: str) -> dict[str, str]:
    """The header for a key."""
    return {"Authorization": f"Bearer {text}"}


@pytest.mark.parametrize(
    "path", [path for path in [*OK, "/metrics", "/nowhere"] if path not in ("/healthz", "/readyz")]
)
def test_without_a_key_nothing_is_told(locked: Service, path: str) -> None:
    """401 with the scheme to use; it does not even reveal whether a path exists."""
    for headers in (
        {}, bearer("ca_wrong"), bearer(""), {"Authorization": "Basic c2hvcDpzZWNyZXQ="}, {"Authorization": "Bearer"},
        bearer("\u00ff"),
    ):  # fmt: skip
        reply = locked.request("GET", path, headers)
        problem(reply, 401)
        assert reply.headers["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_needs_no_key(guarded: tuple[Service, Path], path: str) -> None:
    """A load balancer has none; its requests do not count either."""
    for _ in range(LIMIT + 5):
        assert guarded[0].get(path).status == 200


def test_each_key_may_ask_as_often_as_the_limit_says(
    guarded: tuple[Service, Path], keys: tuple[Path, dict[str, str]]
) -> None:
    """Another key is not affected; the refusal says when to retry."""
    service, _ = guarded
    shop, office = (bearer(keys[1][name]) for name in ("shop", "office"))
    replies = [service.request("GET", "/v1/queries/top-states", shop) for _ in range(3 * LIMIT)]
    assert [reply.status for reply in replies] == [200] * LIMIT + [429] * 2 * LIMIT
    assert [int(reply.headers["X-RateLimit-Remaining"]) for reply in replies[:LIMIT]] == [*range(LIMIT - 1, -1, -1)]
    for reply in replies[:LIMIT]:
        assert reply.headers["Retry-After"] is None
        assert reply.headers["X-RateLimit-Limit"] == str(LIMIT)
        assert 0 < int(reply.headers["X-RateLimit-Reset"]) - time.time() <= 3601
    for reply in replies[LIMIT:]:
        body = problem(reply, 429)
        assert 0 < int(reply.headers["Retry-After"]) <= 3600
        assert f"{LIMIT} per 1 hour" in body["detail"]
    assert service.request("GET", "/v1/queries", office).status == 200
    assert service.request("GET", "/metrics", shop).status == 200


def test_both_workers_count_together(guarded: tuple[Service, Path], keys: tuple[Path, dict[str, str]]) -> None:
    """Many clients with one key get as many answers from both as one client from one."""
    service, log = guarded
    statuses: Counter[int] = Counter()

    def ask(_: int) -> int:
        return service.request("GET", "/v1/queries", bearer(keys[1]["crowd"])).status

    with ThreadPoolExecutor(8) as pool:
        while len(workers_that_served(log, "crowd")) < 2 or statuses.total() < 3 * LIMIT:
            statuses.update(pool.map(ask, range(8)))
    assert statuses == {200: LIMIT, 429: statuses.total() - LIMIT}


def workers_that_served(log: Path, client: str) -> set[int]:
    """The processes that have answered a client."""
    lines = (json.loads(line) for line in log.read_text().splitlines())
    return {line["pid"] for line in lines if line["message"] == "request" and line["client"] == client}


def test_the_log_names_the_client_and_not_the_key(
    guarded: tuple[Service, Path], keys: tuple[Path, dict[str, str]]
) -> None:
    """One JSON document per line; those of requests have all documented fields."""
    service, log = guarded
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = bearer(keys[1]["office"]) | {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "X-Request-Id": "mine-1"}
    service.request("GET", "/v1/queries/top-states?state=Ohio&password=hush", headers | {"X-Request-Id": "mine-2"})
    service.request("GET", "/v1/queries/top-states?state=Ohio&state=Utah", headers)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    told = {line["request_id"]: line for line in lines if line["message"] == "request"}
    good = told["mine-1"]
    assert (good["method"], good["path"], good["status"]) == ("GET", "/v1/queries/top-states", 200)
    assert good["parameters"] == {"state": ["Ohio", "Utah"]}
    assert (good["client"], good["trace_id"], good["query"]) == ("office", trace, "top-states")
    assert good["source"] == ["rollup"]
    assert good["reads"]
    assert good["data_version"] > 0
    assert good["duration_ms"] == good["timing_ms"]["total"] > 0
    assert isinstance(good["pid"], int)
    assert set(good) >= {"time", "level"}
    assert (told["mine-2"]["status"], told["mine-2"]["parameters"]["password"]) == (422, "not logged")
    assert {line["logger"] for line in lines} >= {"service", "service.worker"}


def everything_told(service: Service, log: Path, pids: list[int]) -> Iterator[tuple[str, str]]:
    """Everything that others can read from a service, with its origin."""
    wrong = bearer(f"{SECRET}-wrong")
    for method, target in (
        ("GET", "/readyz"), ("GET", "/metrics"), ("GET", "/v1/queries/top-states"), ("GET", "/nowhere"),
        ("POST", "/v1/queries"), ("GET", f"/v1/queries/top-states?api_key={SECRET}-parameter"),
    ):  # fmt: skip
        for headers in ({}, wrong):
            reply = service.request(method, target, headers)
            yield f"{method} {target}", f"{reply.headers}{reply.body.decode()}"
    for pid in pids:
        yield f"argv of {pid}", Path(f"/proc/{pid}/cmdline").read_text()
    yield "log", log.read_text()


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("is_reachable", [False, True], ids=["MongoDB away", "MongoDB without that user"])
def test_a_secret_is_nowhere(tmp_path: Path, server: Store, is_reachable: bool) -> None:
    """The connection string's password, a wrong key, a key as parameter: not in replies, logs, metrics or argv."""
    host, port = server.client.address or ("", 0)
    place = f"{host}:{port}/?directConnection=true&" if is_reachable else AWAY.removeprefix("mongodb://") + "&"
    environment = {
        "MONGODB_URI": f"mongodb://{SECRET}-user:{SECRET}-password@{place}authSource=admin", "LOG_LEVEL": "debug",
    }  # fmt: skip
    log = tmp_path / "service.log"
    with serving(log, environment) as service:
        pids = [service.pid, *children(service.pid)]
        assert len(pids) > 1
        told = dict(everything_told(service, log, pids))
    told["log at the end"] = log.read_text()
    assert {place: text for place, text in told.items() if SECRET in text} == {}
    assert told["log"].count('"message": "request"') >= 12  # and the requests are in it
    assert "not logged" in told["log"]


def start(environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run the service until it ends; it must refuse to start."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "service"],
        cwd=ROOT,
        env=kept | {"MONGODB_URI": AWAY, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_server_s_settings_may_stand_in_a_dotenv_file(tmp_path: Path) -> None:
    """In the folder where it is started; an invalid one there is reported like any other."""
    (tmp_path / ".env").write_text(f"MONGODB_URI={AWAY}\nHOST=0.0.0.0\nLOG_FORMAT=text\nTHREADS=x\n")
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "service"]
    for more, said in (({}, "THREADS: 'x' is not a whole number"), ({"THREADS": "4"}, "would listen on 0.0.0.0")):
        result = subprocess.run(
            command,
            cwd=tmp_path,
            env=kept | more,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.returncode != 0
        assert said in result.stderr.splitlines()[-1]
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "0"])
def test_others_cannot_reach_a_service_without_keys(host: str) -> None:
    """It does not start, and the last line says what to do."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        result = start({"PORT": str(probe.getsockname()[1]), "HOST": host})
    assert result.returncode != 0
    assert "API_KEYS_FILE" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "65536"),
        ("TLS_KEY", "/nowhere"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("RATE_LIMIT", "often"),
        ("API_KEYS_FILE", "/nowhere"),
        ("WORKERS", "x"),
        ("THREADS", "0"),
        ("PORT", "http"),
        ("HOST", "a b"),
    ],
)
def test_an_unusable_setting_ends_the_start_with_one_line(name: str, value: str) -> None:
    """Before any worker is started, and without a traceback."""
    result = start({"PORT": "0", name: value})
    assert result.returncode != 0
    assert result.stderr.splitlines()[-1].startswith(f"error: {name}")
    assert "Traceback" not in result.stderr
