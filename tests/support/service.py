"""A running service, and checks of what all its responses have in common."""

import http.client
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.support.places import ROOT

START_SECONDS = 30
AWAY = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300"
Given = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Reply:
    """A response: its status, its headers and its body."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Service:
    """A running service."""

    port: int
    pid: int = 0

    def request(self, method: str, target: str, headers: Mapping[str, str] | None = None) -> Reply:
        """Send a request on a new connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, target, headers=dict(headers or {}))
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path: str, given: Given | None = None) -> Reply:
        """GET a path with parameters, each with all its values."""
        return self.request("GET", f"{path}?{urlencode(given, doseq=True)}" if given else path)


@contextmanager
def serving(log: Path, environment: Mapping[str, str], root: Path = ROOT) -> Iterator[Service]:
    """A context with the service of the program at `root` on a free port.

    It keeps no columns, so that it asks MongoDB, unless the environment says otherwise.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    command = [sys.executable, "-m", "service"]
    with log.open("wb") as output:
        own = {"PORT": str(port), "WORKERS": "1", "DATA_DIR": str(log.parent / "data"), "COLUMNS_MAX_MB": "0"}
        environment = {**kept, **own, **environment}
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=output, stderr=output)
    try:
        service = Service(port, process.pid)
        deadline = time.monotonic() + START_SECONDS
        while not _answers(service):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield service
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=40) == 0, log.read_text()


def await_columns(service: Service) -> None:
    """Wait until the service has its columns, as it has seconds after its start."""
    limits = itertools.count(1)  # no question twice: what was answered before stays the answer
    deadline = time.monotonic() + 60
    while service.get(f"/v1/explore?limit={next(limits)}").json["meta"]["source"] != "columns":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _answers(service: Service) -> bool:
    try:
        return service.get("/healthz").status == 200
    except ConnectionError:
        return False


OK = ["/", "/docs", "/openapi.json", "/healthz", "/readyz", "/v1/queries", "/v1/queries/top-states", "/static/home.css"]
PROBLEMS = {
    "404": ("GET", "/nowhere", 404),
    "404 of a query": ("GET", "/v1/queries/top-stats", 404),
    "404 of a file": ("GET", "/docs/assets/../../../wsgi.py", 404),
    "405": ("POST", "/v1/queries/top-states", 405),
    "405 of the catalogue": ("DELETE", "/v1/queries", 405),
    "422 of a parameter": ("GET", "/v1/queries/top-states?sate=Ohio", 422),
    "422 of a member": ("GET", "/v1/queries/top-states?state=Ohioo", 422),
    "422 of a date": ("GET", "/v1/queries/top-states?from=2024-02-30", 422),
    "422 of a limit": ("GET", "/v1/queries/top-states?limit=0", 422),
    "422 of two limits": ("GET", "/v1/queries/top-states?limit=1&limit=2", 422),
    "422 of an operator": ("GET", "/v1/queries/top-states?state%5B%24ne%5D=Ohio", 422),
    "422 of a NUL": ("GET", "/v1/queries/top-states?state=Ohio%00", 422),
    "422 of bytes that are no text": ("GET", "/v1/queries/top-states?state=%FF%FE", 422),
}
TIMING = re.compile(r"[a-z_]+;dur=[0-9.e+-]+(, [a-z_]+;dur=[0-9.e+-]+)*")


def surrounded(reply: Reply) -> None:
    """Check the headers that every response has."""
    assert TIMING.fullmatch(reply.headers["Server-Timing"])
    assert "total;dur=" in reply.headers["Server-Timing"]
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", reply.headers["X-Request-Id"])
    policy = reply.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-eval" not in policy
    assert "http" not in policy
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Referrer-Policy"] == "no-referrer"


def problem(reply: Reply, status: int) -> dict[str, Any]:
    """Check a problem response; returns its RFC 9457 body."""
    assert reply.status == status, reply.body
    assert reply.headers["Content-Type"] == "application/problem+json"
    surrounded(reply)
    body: dict[str, Any] = reply.json
    assert body["status"] == status
    assert body["type"] == "about:blank"
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == reply.headers["X-Request-Id"]
    assert body["timing_ms"]["total"] >= 0
    assert "Traceback" not in reply.body.decode()
    return body
