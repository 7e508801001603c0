"""A test's own MongoDB server, which can be made to fail, and stopped and restarted at the same address."""

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from store.embedded.server import find_mongod

START_SECONDS = 60
APP_NAME = "customer-analytics"


class Mongod:
    """A one-node replica set on a free port of loopback, with test commands enabled."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.uri = f"mongodb://127.0.0.1:{self._port}/?directConnection=true"

    def start(self) -> None:
        """Start it, and wait until it accepts writes."""
        data = self._folder / "mongod"
        data.mkdir(exist_ok=True)
        command = [
            str(find_mongod()), "--dbpath", str(data), "--port", str(self._port), "--bind_ip", "127.0.0.1",
            "--replSet", "test", "--networkMessageCompressors", "snappy,zstd", "--wiredTigerCacheSizeGB", "0.25",
            "--nounixsocket", "--logpath", str(self._folder / "mongod.log"), "--setParameter", "enableTestCommands=1",
            "--setParameter", "diagnosticDataCollectionEnabled=false",
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while not self._is_primary():
            assert self._process.poll() is None, "mongod has ended"
            assert time.monotonic() < deadline, "mongod does not take writes"
            time.sleep(0.1)

    def stop(self) -> None:
        """Kill it, like a power cut; its data remain."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def command(self, *arguments: Any, **options: Any) -> Any:
        """Run a command on `admin`."""
        with MongoClient[dict[str, Any]](self.uri, serverSelectionTimeoutMS=5_000) as client:
            return client.admin.command(*arguments, **options)

    @contextmanager
    def blocking(self, command: str, milliseconds: int) -> Iterator[None]:
        """Delay each command of this name from our store."""
        data = {
            "failCommands": [command], "blockConnection": True, "blockTimeMS": milliseconds, "appName": APP_NAME,
        }  # fmt: skip
        self.command("configureFailPoint", "failCommand", mode="alwaysOn", data=data)
        try:
            yield
        finally:
            self.command("configureFailPoint", "failCommand", mode="off")

    def running(self, command: str) -> list[Mapping[str, Any]]:
        """The running operations of this command from our store."""
        ours = {"appName": APP_NAME, f"command.{command}": {"$exists": True}}
        with MongoClient[dict[str, Any]](self.uri) as client:
            return list(client.admin.aggregate([{"$currentOp": {}}, {"$match": ours}]))

    def _is_primary(self) -> bool:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self._port)):
                return False
        try:
            if self.command("hello").get("info") == "Does not have a valid replica set config":
                member = {"_id": 0, "host": f"127.0.0.1:{self._port}"}
                settings = {"electionTimeoutMillis": 500}
                self.command("replSetInitiate", {"_id": "test", "members": [member], "settings": settings})
            return bool(self.command("hello").get("isWritablePrimary"))
        except PyMongoError:
            return False
