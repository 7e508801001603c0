"""A test's own replica set: its servers can be killed, restarted on the same port, or made to fail commands."""

import ctypes
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from store.embedded.server import find_mongod

NAME = "faults"
START_S = 60
_PR_SET_PDEATHSIG = 1


class Mongod:
    """One server on loopback; it ends with this process.

    Attributes:
        port: its port, the same after a restart.
        folder: the folder of its data.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def uri(self) -> str:
        """A connection string for this server alone."""
        return f"mongodb://{self.address}/?directConnection=true"

    @property
    def runs(self) -> bool:
        """Whether it is running."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        data = self.folder / "db"
        data.mkdir(exist_ok=True)
        self._process = subprocess.Popen(
            [
                str(find_mongod()), "--dbpath", str(data), "--port", str(self.port), "--bind_ip", "127.0.0.1",
                "--replSet", NAME, "--networkMessageCompressors", "snappy,zstd", "--wiredTigerCacheSizeGB", "0.5",
                "--oplogSize", "990", "--nounixsocket", "--logpath", str(self.folder.parent / f"{self.port}.log"),
                "--logappend", "--setParameter", "enableTestCommands=1",
                "--setParameter", "diagnosticDataCollectionEnabled=false",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=_die_with_us,
        )  # fmt: skip
        deadline = time.monotonic() + START_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self.runs, f"mongod ended; see {self.folder.parent / f'{self.port}.log'}"
            assert time.monotonic() < deadline, "mongod does not answer"
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill -9."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """Stop it in an orderly way."""
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait()

    def command(self, *arguments: Any, **more: Any) -> dict[str, Any]:
        """Run a command against the database `admin`."""
        with MongoClient[dict[str, Any]](self.uri, serverSelectionTimeoutMS=5_000) as client:
            return client.admin.command(*arguments, **more)

    def is_primary(self) -> bool:
        """Whether it accepts writes."""
        if not self.runs:
            return False
        try:
            return bool(self.command("hello")["isWritablePrimary"])
        except PyMongoError:
            return False

    def fail(self, mode: dict[str, int] | str, **data: Any) -> None:
        """Set the server's fail point for commands; `off` ends it."""
        self.command({"configureFailPoint": "failCommand", "mode": mode, "data": data})


@contextmanager
def replica_set(folder: Path, members: int) -> Iterator[list[Mongod]]:
    """A context with a replica set; running servers are killed at its end."""
    servers = [Mongod(folder / str(number)) for number in range(members)]
    try:
        for server in servers:
            server.start()
        config = {
            "_id": NAME, "members": [{"_id": n, "host": server.address} for n, server in enumerate(servers)],
            "settings": {"electionTimeoutMillis": 1_000, "heartbeatIntervalMillis": 500},
        }  # fmt: skip
        servers[0].command("replSetInitiate", config)
        primary_of(servers)
        yield servers
    finally:
        for server in servers:
            server.kill()


def primary_of(servers: Sequence[Mongod]) -> Mongod:
    """The primary; waits for it."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        for server in servers:
            if server.is_primary():
                return server
        time.sleep(0.02)
    raise AssertionError("no primary")


def uri_of(servers: Sequence[Mongod]) -> str:
    """A connection string for all of them."""
    return f"mongodb://{','.join(each.address for each in servers)}/?replicaSet={NAME}"


def _die_with_us() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
