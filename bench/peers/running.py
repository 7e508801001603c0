"""Start this service and its peers, each on a free port, and end them."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from catalog.errors import UserError
from service.settings import ALL
from store.environment import settings_of

ROOT = Path(__file__).parents[2]
READY_S = 60.0
CONFIRMATIONS = 20
"""So many requests in turn have to be answered, each on a connection of its own, so that each worker is ready."""

COLUMNS = "/v1/explore?by=state&source=columns&from=2000-01-01"


@contextmanager
def service(folder: Path, csv: Path, workers: int, load_s: float) -> Iterator[int]:
    """This service with its defaults, the file loaded and its columns in memory; its port."""
    command = [sys.executable, "-m", "service", "--load", str(csv)]
    with _running(command, folder, workers, load_s) as port:
        _wait(port, COLUMNS, READY_S, folder / f"{port}.log", lambda: True)
        yield port


@contextmanager
def peer(module: str, folder: Path, workers: int) -> Iterator[int]:
    """A peer on the data in a folder; its port."""
    command = [sys.executable, "-m", "bench.peers.serve", module, str(folder)]
    with _running(command, folder, workers, READY_S) as port:
        yield port


@contextmanager
def _running(command: list[str], folder: Path, workers: int, seconds: float) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    settings = {name for kind in ALL for _, each in settings_of(kind) for name in (each.name, each.file)}
    environment = {name: value for name, value in os.environ.items() if name not in settings}
    environment |= {"DATA_DIR": str(folder), "PORT": str(port), "WORKERS": str(workers), "PYTHONPATH": str(ROOT)}
    log = folder / f"{port}.log"
    with log.open("wb") as told:  # the folder has no .env
        process = subprocess.Popen(  # noqa: S603  our own
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=told, stderr=told
        )
    try:
        _wait(port, "/readyz", seconds, log, lambda: process.poll() is None)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(port: int, path: str, seconds: float, log: Path, is_running: Callable[[], bool]) -> None:
    """Wait until each worker answers with 200.

    Raises:
        UserError: the server has ended, or the time is over.
    """
    deadline, answered = time.monotonic() + seconds, 0
    while answered < CONFIRMATIONS:
        if not is_running() or time.monotonic() > deadline:
            said = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
            raise UserError(f"A server does not answer {path}. The end of its log:\n{said}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
        try:
            connection.request("GET", path)
            answered = answered + 1 if connection.getresponse().status == 200 else 0
        except (OSError, http.client.HTTPException):
            answered = 0
        finally:
            connection.close()
        if not answered:
            time.sleep(0.2)
