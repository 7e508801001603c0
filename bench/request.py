"""Where the time of one request goes: a profile of the application, in this process, by part."""

import cProfile
import io
import logging
import pstats
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any
from urllib.parse import urlencode

from flask import Flask
from werkzeug.test import create_environ

from bench.dashboard import random_filter, random_range
from service.app import create_app
from store.settings import Settings

SEED = 4
REQUESTS = 200
SLUG = "/v1/queries/revenue-by-segment"
PARTS = {
    "waiting for MongoDB": ("recv_into", "sendall"),
    "PyMongo": ("/pymongo/", "/bson/", "bson"),
    "pipelines, store": ("/pipelines/", "/store/", "/catalog/", "/numpy/", "numpy"),
    "service": ("/service/",),
    "Flask": ("/flask/", "/werkzeug/"),
    "smorest, marshmallow": ("/flask_smorest/", "/webargs/", "/marshmallow/", "/apispec/"),
    "JSON, logs, counts": ("/json/", "/logging/", "/prometheus_client/"),
}
"""Each part, by a text in a function's file or name; the first match counts. Calls of Python's own code are its own."""


def measure() -> Mapping[str, Any]:
    """For each kind of request: median milliseconds without the profiler, then percent of the time with it, by part."""
    random.seed(SEED)
    logging.getLogger("service").setLevel(logging.INFO)
    logging.basicConfig(stream=io.StringIO())  # log lines are created, but not shown
    app = create_app(Settings.from_environment())
    kinds: dict[str, Sequence[str]] = {
        "a kept answer": [SLUG] * REQUESTS,
        "computed, any range": _paths(SLUG, {}),
        "computed, one filter": _paths(SLUG, random_filter()),
        "the dashboard, computed": _paths("/v1/dashboard", {}),
    }
    try:
        _ask(app, SLUG)
        while not app.extensions["connection"].answerer.known.watcher.current():  # else requests read the version
            time.sleep(0.01)
        return {name: _profile(app, paths) for name, paths in kinds.items()}
    finally:
        app.extensions["connection"].close()


def _paths(path: str, given: Mapping[str, str]) -> list[str]:
    return [f"{path}?{urlencode({**random_range(), **given})}" for _ in range(2 * REQUESTS)]


def _profile(app: Flask, paths: Sequence[str]) -> dict[str, Any]:
    half = len(paths) // 2
    spent = [_ask(app, path) for path in paths[:half]]
    profiler = cProfile.Profile()
    for path in paths[half:]:
        _ask(app, path, profiler)
    shares: Counter[str] = Counter()
    for (file, _, name), (*_, own, _, _) in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        shares[_part(f"{file} {name}")] += own
    total = sum(shares.values())
    by_part = {part: f"{share / total:.0%}" for part, share in shares.most_common()}
    return {"p50_ms": round(statistics.median(spent), 2)} | by_part


def _ask(app: Flask, path: str, profiler: cProfile.Profile | None = None) -> float:
    environ = create_environ(path)
    statuses: list[str] = []

    def start_response(status: str, _headers: object, _error: object = None) -> Callable[[bytes], object]:
        statuses.append(status)
        return lambda _data: None

    start = time.perf_counter()
    with profiler or nullcontext():
        body = app(environ, start_response)
        b"".join(body)
    spent = time.perf_counter() - start
    if not statuses[0].startswith("200"):
        raise SystemExit(f"{path} was answered with {statuses[0]}")
    return spent * 1000


def _part(function: str) -> str:
    return next((part for part, marks in PARTS.items() if any(mark in function for mark in marks)), "Python")
