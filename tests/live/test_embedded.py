"""The embedded server lives exactly as long as somebody uses its folder, whoever comes and however they go."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

import store.embedded.server as embedded
from catalog.errors import StoreUnavailable
from store.client import Store
from store.embedded.server import EmbeddedServer
from store.settings import Settings

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
USER = """
import sys
from pathlib import Path
from store.embedded.server import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
print(server.uri, flush=True)
sys.stdin.read()
"""
"""A user of the folder: says the server's address, and lets go when its input ends."""


@contextmanager
def user(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that uses the server of a folder; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said(process: "subprocess.Popen[str]") -> str:
    """The address that a user was given."""
    assert process.stdout
    return process.stdout.readline().strip()


def mongod_of(folder: Path) -> int:
    """The process id of the folder's mongod."""
    return int(json.loads((folder / "mongodb" / "address.json").read_text())["pid"])


def runs(pid: int) -> bool:
    """Whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def becomes_true(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def ping(uri: str) -> bool:
    """Whether the server takes writes."""
    with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=2000) as client:
        return bool(client.admin.command("hello")["isWritablePrimary"])


def test_two_that_start_at_once_share_one_server_that_ends_with_the_last(tmp_path: Path) -> None:
    """One server for both; it outlives the first to be killed with -9, and ends with the second."""
    with user(tmp_path) as first, user(tmp_path) as second:
        uri = said(first)
        assert uri.startswith("mongodb://127.0.0.1:")
        assert said(second) == uri
        mongod = mongod_of(tmp_path)
        first.kill()
        first.wait()
        time.sleep(0.3)
        assert runs(mongod)
        assert ping(uri)
        second.kill()
        second.wait()
        assert becomes_true(lambda: not runs(mongod)), "mongod outlived its last user"
        assert becomes_true(lambda: not (tmp_path / "mongodb" / "address.json").exists())


def test_data_survive_the_server_and_a_user_who_lets_go_ends_it(tmp_path: Path) -> None:
    """What was written is there after the server ended and was started again, on whatever port."""
    with user(tmp_path) as process:
        with MongoClient[dict[str, Any]](said(process)) as client:
            client.analytics.things.insert_one({"_id": 1, "kept": True})
        mongod = mongod_of(tmp_path)
        process.communicate()  # its input ends, and with it the use of the server
        assert process.returncode == 0
        assert becomes_true(lambda: not runs(mongod))
    with Store(Settings(data_dir=tmp_path)) as store:
        store.require_replica_set()
        assert store.db.things.find_one() == {"_id": 1, "kept": True}
        mongod = mongod_of(tmp_path)
    assert becomes_true(lambda: not runs(mongod)), "mongod outlived the store that was closed"


def test_a_server_that_was_killed_is_started_again_with_its_data(tmp_path: Path) -> None:
    """After kill -9 of mongod the next user gets a server that has everything acknowledged."""
    with user(tmp_path) as process:
        with MongoClient[dict[str, Any]](said(process)) as client:
            client.analytics.things.insert_one({"_id": 1})
        os.kill(mongod_of(tmp_path), 9)
        assert becomes_true(lambda: not (tmp_path / "mongodb" / "address.json").exists())
        with user(tmp_path) as next_one:
            uri = said(next_one)
            assert ping(uri)
            with MongoClient[dict[str, Any]](uri) as client:
                assert client.analytics.things.count_documents({}) == 1
            mongod = mongod_of(tmp_path)
            next_one.kill()
            process.kill()
    assert becomes_true(lambda: not runs(mongod))


def test_a_newcomer_joins_the_server_that_runs(server: Store, data_dir: Path) -> None:
    """Joining takes no second server, and letting go leaves it to the others."""
    before = mongod_of(data_dir)
    newcomer = EmbeddedServer(data_dir)
    address = server.client.address
    assert address
    assert newcomer.uri == f"mongodb://{address[0]}:{address[1]}/?directConnection=true"
    newcomer.close()
    time.sleep(0.2)
    assert mongod_of(data_dir) == before
    assert ping(newcomer.uri)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_listens_on_loopback_only(server: Store) -> None:
    """No other machine can reach it, over IPv4 or IPv6."""
    assert server.client.address
    port = server.client.address[1]
    listening = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            if state == "0A" and int(local.split(":")[1], 16) == port:
                listening.add(local.split(":")[0])
    assert listening == {f"{int.from_bytes(socket.inet_aton('127.0.0.1'), sys.byteorder):08X}"}


def test_a_missing_mongod_is_said_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither on the PATH nor in a wheel: the error names the platform and both ways out."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    with pytest.raises(StoreUnavailable, match=r"No mongod was found for .*MONGODB_URI.*mongod on the PATH"):
        EmbeddedServer(tmp_path)


def test_a_mongod_on_the_path_comes_before_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own server is preferred; one that ends at once is reported, with the log to look into."""
    program = tmp_path / "mongod"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert embedded.find_mongod() == program
    with pytest.raises(StoreUnavailable, match=r"did not start \(mongod ended with code 3\).*mongod\.log"):
        EmbeddedServer(tmp_path / "data")


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """The remedy is to set DATA_DIR."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match=r"cannot be written.*Set DATA_DIR"):
        EmbeddedServer(tmp_path / "file")
