"""`make run` in a fresh clone, as a user experiences it: twice at once, ended by Ctrl-C and by the terminal's end."""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from tests.support.places import ROOT

pytestmark = pytest.mark.faults

PATIENCE_S = 900
ROWS = "5000"


def answers(port: int) -> bool:
    """Whether the service responds."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def make_run(folder: Path, port: int, log: Path) -> "subprocess.Popen[bytes]":
    """Start `make run` in a new session, like a terminal."""
    environment = {name: os.environ[name] for name in os.environ if name in ("PATH", "HOME") or name.startswith("PIP_")}
    with log.open("wb") as output:
        return subprocess.Popen(
            ["make", "run"], cwd=folder, env=environment | {"PORT": str(port), "ROWS": ROWS}, stdout=output,
            stderr=output, start_new_session=True,
        )  # fmt: skip


def processes_in(folder: Path) -> list[str]:
    """The processes that run from there, as a user would see them."""
    commands = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            commands.append(each.read_text().replace("\0", " "))
        except OSError:
            continue
    return [command for command in commands if str(folder) in command]


def test_two_makes_at_once_in_a_fresh_clone_and_their_end(tmp_path: Path) -> None:
    """One serves; the other waits for the same setup and reports in one line that the port is taken."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    makes = [(make_run(clone, port, tmp_path / name), tmp_path / name) for name in ("one", "two")]
    started = [make for make, _ in makes]
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not (answers(port) and any(make.poll() is not None for make, _ in makes)):
            assert time.monotonic() < deadline, [log.read_text() for _, log in makes]
            assert not all(make.poll() is not None for make, _ in makes), [log.read_text() for _, log in makes]
            time.sleep(0.2)
        makes.sort(key=lambda each: each[0].poll() is None)
        (loser, told), (winner, log) = makes
        assert loser.returncode != 0
        lines = [line for line in told.read_text().splitlines() if line.startswith("error: ")]
        assert lines == [
            f"error: Port {port} is already in use by this service. Open http://127.0.0.1:{port}/, "
            f"or choose another: PORT={port + 1}."
        ]
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.killpg(winner.pid, number)
            # GNU make ends itself by the signal; seldom, if its child was quicker, it reports the child's good end.
            assert winner.wait(timeout=30) in (-number, 0)
            assert "***" not in log.read_text()
            assert "Traceback" not in log.read_text() + told.read_text()
            deadline = time.monotonic() + 15
            while processes_in(clone):
                assert time.monotonic() < deadline, processes_in(clone)
                time.sleep(0.1)
            winner = make_run(clone, port, log)
            started.append(winner)
            while not answers(port):
                assert winner.poll() is None, log.read_text()
                time.sleep(0.2)
    finally:
        for make in started:
            if make.poll() is None:
                os.killpg(make.pid, signal.SIGTERM)
                make.wait(timeout=30)
