"""`python -m bench.peers.client`: clients in a process of their own, over connections that stay open.

Reads jobs from standard input and writes what came of each to standard output, one JSON document a line.
"""

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any

TIMEOUT_S = 30.0
REFUSED_PAUSE_S = 0.01
"""A client that was refused waits for so long; it would take the machine's time for nothing else."""


@dataclass(frozen=True)
class Job:
    """What to ask.

    Attributes:
        port: of loopback.
        clients: so many ask, each as soon as it is answered.
        seconds: no question is asked after this time; at least one is by each client.
        paths: what is asked, in turn, at most once.
        shows_bodies: whether the bodies are wanted.
    """

    port: int
    clients: int
    seconds: float
    paths: Sequence[str]
    shows_bodies: bool = False


def work(job: Job) -> dict[str, Any]:
    """Ask: `ms` and `statuses` of each answer, in the order of `paths`; how many were answered with 200 `in_time`.

    A status of 0 is no answer within TIMEOUT_S, or none at all. `elapsed_s` is until the last answer.
    """
    told: list[tuple[int, float, int, float, str]] = []
    paths, lock = enumerate(job.paths), threading.Lock()
    connections = [HTTPConnection("127.0.0.1", job.port, timeout=TIMEOUT_S) for _ in range(job.clients)]
    for each in connections:
        each.connect()
    end = time.perf_counter() + job.seconds
    threads = [
        threading.Thread(target=_client, args=(each, paths, lock, end, told, job.shows_bodies)) for each in connections
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told.sort()
    return {
        "ms": [ms for _, ms, *_ in told],
        "statuses": [status for _, _, status, *_ in told],
        "elapsed_s": max((ended for *_, ended, _ in told), default=end) - end + job.seconds,
        "in_time": sum(status == 200 and ended <= end for _, _, status, ended, _ in told),
        "bodies": [body for *_, body in told] if job.shows_bodies else [],
        "is_exhausted": len(told) == len(job.paths),
    }


def _client(
    connection: HTTPConnection,
    paths: Iterator[tuple[int, str]],
    lock: threading.Lock,
    end: float,
    told: list[tuple[int, float, int, float, str]],
    shows_bodies: bool,
) -> None:
    is_first = True
    while is_first or time.perf_counter() < end:
        is_first = False
        with lock:
            number, path = next(paths, (-1, ""))
        if not path:
            return
        begun = time.perf_counter()
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            body, status = reply.read(), reply.status
        except (OSError, HTTPException):
            connection.close()  # the next request opens it again
            body, status = b"", 0
        ended = time.perf_counter()
        told.append((number, (ended - begun) * 1000, status, ended, body.decode() if shows_bodies else ""))
        if status != 200:
            time.sleep(REFUSED_PAUSE_S)


def main() -> None:
    """Work until standard input ends."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(work(Job(**json.loads(line)))) + "\n")
        sys.stdout.flush()


def as_line(job: Job) -> str:
    """A job as a line of `main`."""
    return json.dumps(asdict(job)) + "\n"


if __name__ == "__main__":
    main()
