"""The loader as a process: start it, kill it, wait for it, and measure how soon it commits."""

import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pymongo.errors import PyMongoError

from pipelines.state.lanes import read_loads
from store.client import Store
from tests.support.places import ROOT

LONGEST_S = 300
MOST_RUNS = 5
ORPHAN_S = 45
"""Waiting for a dead process's transaction takes longer: it lives for 60 s."""


@dataclass
class Process:
    """One of our commands as a process.

    Attributes:
        arguments: the arguments of `python`.
        environment: its environment.
    """

    arguments: list[str]
    environment: Mapping[str, str]

    def __post_init__(self) -> None:
        self.started_at = time.monotonic()
        with tempfile.NamedTemporaryFile(delete=False) as output:
            self._process = subprocess.Popen(
                [sys.executable, *self.arguments], cwd=ROOT, env=dict(self.environment), stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self._output = Path(output.name)
        weakref.finalize(self, self._output.unlink, missing_ok=True)

    @property
    def runs(self) -> bool:
        """Whether it is running."""
        return self._process.poll() is None

    @property
    def seconds(self) -> float:
        """The time since its start."""
        return time.monotonic() - self.started_at

    def kill(self) -> None:
        """Kill -9."""
        self._process.kill()
        self._process.wait()

    def wait(self, timeout_s: float = LONGEST_S) -> int:
        """Wait for its end, killing it after the timeout; returns its exit code."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it took more than {timeout_s} s; it said {self.output!r}") from None

    @property
    def output(self) -> str:
        """Its output so far, on both streams."""
        return self._output.read_text()

    @property
    def last_line(self) -> str:
        """The last line of its output."""
        return (self.output.strip().splitlines() or [""])[-1]


def loader(environment: Mapping[str, str], *arguments: str | Path) -> Process:
    """Start `python -m loader`."""
    return Process(["-m", "loader", *map(str, arguments)], environment)


def first_commit_s(store: Store, process: Process, file: str) -> float | None:
    """Seconds from a process's start to the first commit of its load; None if nothing is left to commit."""
    stood = committed_rows(store, file)
    while process.runs:
        if committed_rows(store, file) != stood:
            return process.seconds
        time.sleep(0.005)
    return None


def committed_rows(store: Store, file: str) -> int:
    """The number of committed rows of a file; -1 if MongoDB is unavailable."""
    try:
        load = store.db.loads.find_one({"file": file})
        stands = read_loads(store.outside, [load]) if load else []
    except PyMongoError:
        return -1
    return int(stands[0]["counts"]["read"]) if stands else 0


def load_until_done(environment: Mapping[str, str], path: Path, process: Process | None = None) -> tuple[int, str]:
    """Wait for a load, and repeat the command until it is complete; returns the number of runs and their output.

    An incomplete run must have ended with exit code 1 and one clear line.
    """
    output = ""
    for runs in range(1, MOST_RUNS + 1):
        process = process or loader(environment, "load", path)
        code = process.wait()
        output += process.output
        if code == 0:
            return runs, output
        lines = process.output.splitlines()
        assert (code, len(lines)) == (1, 1), process.output
        assert lines[0].startswith("error: "), process.output
        process = None
    raise AssertionError(f"not done after {MOST_RUNS} runs: {output}")
