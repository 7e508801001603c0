"""The service under ten times the load it can handle: the real server and a separate client."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any
from urllib.parse import urlencode

from bench.clients import Clients, Outcome

SEED = 5
CHECKED = 40
CLIENTS = 4
"""The number of clients that send requests without a pause to measure the capacity."""
HEALTH = "/healthz"
PROBE_S = 0.1
GRACE_S = 30.0
FIRST, DAYS = date(2018, 1, 1), 2_500
SPANS = {"raw": (20, 60)}
"""The number of days in a question: a few weeks if the transactions themselves are read, otherwise some years."""

_OTHER = {"raw": "pages", "pages": "raw", "auto": "raw"}


@dataclass(frozen=True)
class Served:
    """A running server: its port and its parent process."""

    port: int
    pid: int

    def worker_memory_mb(self) -> int:
        """The peak resident memory of a worker, shared pages included (VmHWM of proc(5))."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        status = (Path(f"/proc/{child}/status").read_text() for child in children)
        peaks = [int(line.split()[1]) for each in status for line in each.splitlines() if line.startswith("VmHWM")]
        return max(peaks) >> 10


def measure(seconds: float, factor: float, source: str) -> Mapping[str, Any]:
    """Figures of an idle service, its capacity, and figures at `factor` times that many requests per second."""
    random.seed(SEED)
    with serving() as served, Clients(served.port) as clients:
        _ask_again_and_again(clients, 4, 3, source)
        quiet = _ask_again_and_again(clients, 1, seconds / 4, source)
        busy = _ask_again_and_again(clients, CLIENTS, seconds / 6, source)
        capacity = sum(each.status == 200 for each in busy) / (seconds / 6)
        loaded, health = _arrivals(clients, factor * capacity, seconds, source)
        accepted, refused = ([each for each in loaded if each.status == status] for status in (200, 503))
        unloaded, under_load = percentiles(quiet), percentiles(accepted)
        return {
            "unloaded": unloaded,
            "capacity per second": round(capacity, 1),
            "arrivals per second": round(len(loaded) / seconds, 1),
            "statuses": dict(Counter(each.status for each in loaded)),
            "accepted": under_load,
            "accepted p99 / unloaded p99": round(under_load["p99"] / unloaded["p99"], 2),
            "refused": percentiles(refused),
            "refused within 100 ms": f"{sum(each.ms <= 100 for each in refused):,} of {len(refused):,}",
            "health": percentiles(health) | {"statuses": dict(Counter(each.status for each in health))},
            "wrong": _count_wrong(clients, accepted, source),
            "worker memory, MB": served.worker_memory_mb(),
        }


def _question(source: str) -> str:
    """A path that most likely was not requested before, so that its answer is not cached."""
    first = FIRST + timedelta(random.randrange(DAYS // 2))  # noqa: S311  a load, no secret
    shortest, longest = SPANS.get(source, (DAYS // 4, DAYS // 2))
    last = first + timedelta(random.randrange(shortest, longest))  # noqa: S311
    hours = random.sample(range(24), 20)
    given = {"from": first.isoformat(), "to": last.isoformat(), "hour": hours, "source": source}
    return f"/v1/queries/revenue-by-segment?{urlencode(given, doseq=True)}"


def _ask_again_and_again(clients: Clients, number: int, seconds: float, source: str) -> list[Outcome]:
    """The outcomes of `number` clients, each of which asks again as soon as it is answered."""
    end, outcomes = time.perf_counter() + seconds, []
    for _ in range(number):
        clients.ask(_question(source))
    while clients.under_way:
        done = clients.collect(end + GRACE_S)
        outcomes += done
        for _ in done if time.perf_counter() < end else ():
            clients.ask(_question(source))
    return outcomes


def _arrivals(clients: Clients, rate: float, seconds: float, source: str) -> tuple[list[Outcome], list[Outcome]]:
    """The outcomes of questions sent at this rate, without waiting for earlier answers, and of health checks."""
    outcomes: list[Outcome] = []
    questions = [_question(source) for _ in range(int(rate * seconds))]
    start = probed = time.perf_counter()
    for number, question in enumerate(questions):
        while (now := time.perf_counter()) < start + number / rate:
            outcomes += clients.collect(start + number / rate)
        if now - start > seconds:  # this client is the bottleneck; the report shows what arrived
            break
        clients.ask(question)
        if now > probed:
            clients.ask(HEALTH)
            probed += PROBE_S
    end = time.perf_counter() + GRACE_S
    while clients.under_way and time.perf_counter() < end:
        outcomes += clients.collect(end)
    return [each for each in outcomes if each.path != HEALTH], [each for each in outcomes if each.path == HEALTH]


def _count_wrong(clients: Clients, accepted: Sequence[Outcome], source: str) -> str:
    """Ask some of the accepted questions again afterwards, from another source, and compare."""
    some = random.sample(accepted, min(CHECKED, len(accepted)))
    wrong = compared = 0
    for each in some:
        clients.ask(each.path.replace(f"source={source}", f"source={_OTHER[source]}"))
        for again in clients.collect(time.perf_counter() + GRACE_S):
            if again.status == 200:
                compared += 1
                wrong += json.loads(again.body)["rows"] != json.loads(each.body)["rows"]
    return f"{wrong} of {compared} compared with source={_OTHER[source]}"


def percentiles(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Percentiles of the requests' times, in milliseconds."""
    if len(outcomes) < 2:
        return {"count": len(outcomes), "p50": 0.0, "p99": 0.0, "max": 0.0}
    times = [each.ms for each in outcomes]
    cuts = quantiles(times, n=100)
    return {"count": len(times), "p50": round(cuts[49], 1), "p99": round(cuts[98], 1), "max": round(max(times), 1)}


@contextmanager
def serving(module: str = "service", ready: str = "/readyz") -> Iterator[Served]:
    """Run a serving module on a free port, with the settings of this environment, once its path `ready` responds."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", module]
    environment = os.environ | {"PORT": str(port), "HOST": "127.0.0.1"}
    root = Path(__file__).parents[1]
    process = subprocess.Popen(command, cwd=root, env=environment, stderr=subprocess.DEVNULL)  # noqa: S603  our own
    try:
        while not _is_answered(port, ready):
            if process.poll() is not None:
                raise SystemExit("the server has ended; is the database filled?")
            time.sleep(0.1)
        yield Served(port, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _is_answered(port: int, path: str) -> bool:
    with Clients(port) as clients:
        clients.ask(path)
        return [each.status for each in clients.collect(time.perf_counter() + GRACE_S)] == [200]
