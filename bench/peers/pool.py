"""Processes of clients that wait for jobs: see `bench.peers.client`."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from bench.peers.client import Job, as_line
from bench.peers.running import ROOT

PROCESSES = 4


class Clients:
    """Processes of clients, which wait for jobs."""

    def __enter__(self) -> "Clients":
        """Start them."""
        command = [sys.executable, "-m", "bench.peers.client"]
        self._processes = [
            subprocess.Popen(  # noqa: S603  our own
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(PROCESSES)
        ]
        return self

    def __exit__(self, *_: object) -> None:
        """End them."""
        for each in self._processes:
            if each.stdin:
                each.stdin.close()
            each.wait()

    def ask(
        self, port: int, clients: int, seconds: float, paths: Sequence[str], *, shows_bodies: bool = False
    ) -> list[dict[str, Any]]:
        """What came of the paths, divided among as many processes as there are clients at most."""
        some = self._processes[: min(clients, PROCESSES)]
        for number, each in enumerate(some):
            if each.stdin:
                each.stdin.write(
                    as_line(Job(port, clients // len(some), seconds, paths[number :: len(some)], shows_bodies))
                )
        for each in some:
            if each.stdin:
                each.stdin.flush()
        return [json.loads(each.stdout.readline()) for each in some if each.stdout]
