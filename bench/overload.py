"""What the service does when ten times as much is asked as it can answer: a real gunicorn, a client of its own."""

import asyncio
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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any
from urllib.parse import urlencode

SEED = 5
CHECKED = 40
FIRST, DAYS = date(2018, 1, 1), 2_500
SPANS = {"raw": (20, 60)}
"""Days of a question: a few weeks where the transactions themselves are read, some years otherwise."""

_OTHER = {"raw": "pages", "pages": "raw", "auto": "raw"}


@dataclass(frozen=True)
class Outcome:
    """What became of a request: its path, status (0 where the connection failed), time in ms, and body."""

    path: str
    status: int
    ms: float
    body: bytes


def measure(seconds: float, factor: float, source: str) -> Mapping[str, Any]:
    """Figures of a quiet service, of its capacity, and of `factor` times that many arrivals a second."""
    random.seed(SEED)
    with serving() as port:
        return asyncio.run(_measure(port, seconds, factor, source))


async def _measure(port: int, seconds: float, factor: float, source: str) -> Mapping[str, Any]:
    await _clients(port, 4, 3, source)
    quiet = await _clients(port, 1, seconds / 4, source)
    places = int(os.environ.get("WORKERS", "2")) * int(os.environ.get("CONCURRENCY", "2"))
    busy = await _clients(port, places, seconds / 6, source)
    capacity = sum(each.status == 200 for each in busy) / (seconds / 6)
    health: list[Outcome] = []
    watching = asyncio.create_task(_watch(port, health))
    loaded = await _arrivals(port, factor * capacity, seconds, source)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    accepted, refused = ([each for each in loaded if each.status == status] for status in (200, 503))
    unloaded, under_load = _percentiles(quiet), _percentiles(accepted)
    return {
        "unloaded": unloaded,
        "capacity per second": round(capacity, 1),
        "arrivals per second": round(len(loaded) / seconds, 1),
        "statuses": dict(Counter(each.status for each in loaded)),
        "accepted": under_load,
        "accepted p99 / unloaded p99": round(under_load["p99"] / unloaded["p99"], 2),
        "refused": _percentiles(refused),
        "refused within 100 ms": f"{sum(each.ms <= 100 for each in refused):,} of {len(refused):,}",
        "health": _percentiles(health) | {"statuses": dict(Counter(each.status for each in health))},
        "wrong": await _count_wrong(port, accepted, source),
    }


def _question(source: str) -> str:
    """A path that was not asked before, most likely, so that no answer is kept."""
    first = FIRST + timedelta(random.randrange(DAYS // 2))  # noqa: S311  a load, no secret
    shortest, longest = SPANS.get(source, (DAYS // 4, DAYS // 2))
    last = first + timedelta(random.randrange(shortest, longest))  # noqa: S311
    hours = random.sample(range(24), 20)
    given = {"from": first.isoformat(), "to": last.isoformat(), "hour": hours, "source": source}
    return f"/v1/queries/revenue-by-segment?{urlencode(given, doseq=True)}"


async def _ask(port: int, path: str) -> Outcome:
    start = time.perf_counter()
    status, body = 0, b""
    with suppress(OSError, ValueError, IndexError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        writer.close()
    return Outcome(path, status, (time.perf_counter() - start) * 1000, body)


async def _clients(port: int, number: int, seconds: float, source: str) -> list[Outcome]:
    """Each client asks again as soon as it is answered."""
    end, outcomes = time.perf_counter() + seconds, []

    async def client() -> None:
        while time.perf_counter() < end:
            outcomes.append(await _ask(port, _question(source)))

    await asyncio.gather(*(client() for _ in range(number)))
    return outcomes


async def _arrivals(port: int, rate: float, seconds: float, source: str) -> list[Outcome]:
    """Requests arrive at this rate whether or not the ones before are answered."""
    start, tasks = time.perf_counter(), []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
        if time.perf_counter() - start > seconds:  # this client is the bottleneck; the report tells what arrived
            break
        tasks.append(asyncio.create_task(_ask(port, _question(source))))
    return list(await asyncio.gather(*tasks))


async def _watch(port: int, outcomes: list[Outcome]) -> None:
    while True:
        outcomes.append(await _ask(port, "/healthz"))
        await asyncio.sleep(0.1)


async def _count_wrong(port: int, accepted: Sequence[Outcome], source: str) -> str:
    """Ask some of the accepted questions again in the quiet, of another source, and compare."""
    some = random.sample(accepted, min(CHECKED, len(accepted)))
    wrong = compared = 0
    for each in some:
        again = await _ask(port, each.path.replace(f"source={source}", f"source={_OTHER[source]}"))
        if again.status == 200:
            compared += 1
            wrong += json.loads(again.body)["rows"] != json.loads(each.body)["rows"]
    return f"{wrong} of {compared} compared with source={_OTHER[source]}"


def _percentiles(outcomes: Sequence[Outcome]) -> dict[str, float]:
    if len(outcomes) < 2:
        return {"count": len(outcomes), "p50": 0.0, "p99": 0.0, "max": 0.0}
    times = [each.ms for each in outcomes]
    cuts = quantiles(times, n=100)
    return {"count": len(times), "p50": round(cuts[49], 1), "p99": round(cuts[98], 1), "max": round(max(times), 1)}


@contextmanager
def serving(application: str = "wsgi:app", ready: str = "/readyz") -> Iterator[int]:
    """Gunicorn with the settings of this environment, on a free port, as soon as the path is there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "gunicorn", application]
    environment = os.environ | {"PORT": str(port), "HOST": "127.0.0.1"}
    root = Path(__file__).parents[1]
    process = subprocess.Popen(command, cwd=root, env=environment, stderr=subprocess.DEVNULL)  # noqa: S603  our own
    try:
        while asyncio.run(_ask(port, ready)).status != 200:
            if process.poll() is not None:
                raise SystemExit("gunicorn has ended; is the database filled?")
            time.sleep(0.1)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
