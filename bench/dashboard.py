"""The dashboard's time over HTTP, unchanged and computed, and the memory of the workers."""

import random
import time
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from bench.clients import Clients, Outcome
from bench.overload import GRACE_S, percentiles, serving
from catalog.purchases import MARITAL_STATUS, SEGMENT

SEED = 3
REQUESTS = 200
PATH = "/v1/dashboard"
FIRST, DAYS = date(2018, 1, 1), 2_500


def measure() -> Mapping[str, Any]:
    """Milliseconds of sequential requests by scenario, and the peak memory of a worker."""
    random.seed(SEED)
    scenarios: dict[str, list[str]] = {
        "unchanged": [PATH] * REQUESTS,
        "computed, any range": [f"{PATH}?{urlencode(random_range())}" for _ in range(REQUESTS)],
        "computed, one filter": [f"{PATH}?{urlencode(random_range() | random_filter())}" for _ in range(REQUESTS)],
    }
    with serving() as served, Clients(served.port) as clients:
        list(_ask_all(clients, scenarios["unchanged"]))  # then both workers have it cached
        found: dict[str, Any] = {name: percentiles(list(_ask_all(clients, paths))) for name, paths in scenarios.items()}
        return found | {"worker memory, MB": served.worker_memory_mb()}


def random_range() -> dict[str, str]:
    """The parameters of a random date range."""
    first = FIRST + timedelta(random.randrange(DAYS))  # noqa: S311  a load, no secret
    last = first + timedelta(random.randrange(DAYS))  # noqa: S311
    return {"from": first.isoformat(), "to": last.isoformat()}


def random_filter() -> dict[str, str]:
    """The parameter of a random filter."""
    dimension = random.choice((SEGMENT, MARITAL_STATUS))  # noqa: S311
    return {dimension.name: random.choice(dimension.members[1:])}  # noqa: S311


def _ask_all(clients: Clients, paths: Iterable[str]) -> Iterable[Outcome]:
    for path in paths:
        clients.ask(path)
        for each in clients.collect(time.perf_counter() + GRACE_S):
            if each.status != 200:
                raise SystemExit(f"{path} was answered with {each.status}")
            yield each
