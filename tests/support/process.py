"""The loader as a process: started, killed, waited for, and how soon it commits."""

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
"""Whoever waits for a dead process's transaction waits longer: it lives for 60 s."""


@dataclass
class Process:
    """A command of ours that runs.

    Attributes:
        arguments: what follows `python`.
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
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.monotonic() - self.started_at

    def kill(self) -> None:
        """Kill -9."""
        self._process.kill()
        self._process.wait()

    def wait(self, timeout_s: float = LONGEST_S) -> int:
        """Wait for its end, killing it where it takes too long; gives its exit code."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it took more than {timeout_s} s; it said {self.output!r}") from None

    @property
    def output(self) -> str:
        """What it has printed so far, on either stream."""
        return self._output.read_text()

    @property
    def last_line(self) -> str:
        """The last line of that."""
        return (self.output.strip().splitlines() or [""])[-1]


def loader(environment: Mapping[str, str], *arguments: str | Path) -> Process:
    """Start `python -m loader`."""
    return Process(["-m", "loader", *map(str, arguments)], environment)


def first_commit_s(store: Store, process: Process, file: str) -> float | None:
    """Seconds from a process's start to the first commit of its load; None where nothing is left to commit."""
    stood = committed_rows(store, file)
    while process.runs:
        if committed_rows(store, file) != stood:
            return process.seconds
        time.sleep(0.005)
    return None


def committed_rows(store: Store, file: str) -> int:
    """How many rows of a file are read and committed; -1 where MongoDB is away."""
    try:
        load = store.db.loads.find_one({"file": file})
        stands = read_loads(store.outside, [load]) if load else []
    except PyMongoError:
        return -1
    return int(stands[0]["counts"]["read"]) if stands else 0


def load_until_done(environment: Mapping[str, str], path: Path, process: Process | None = None) -> tuple[int, str]:
    """Wait for a load, and run the command again until it is done; gives the number of runs, and their output.

    One that is not done must have ended with 1 and one clear line.
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
