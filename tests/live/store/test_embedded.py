"""The embedded server runs exactly as long as somebody uses its folder, however users come and go."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

import store.embedded.server as embedded
from catalog.errors import StoreUnavailable
from store.client import Store
from store.embedded.server import EmbeddedServer
from store.settings import Settings
from tests.support.embedded import HEALED_S, becomes_true, guardian_of, mongod_of
from tests.support.places import ROOT

pytestmark = pytest.mark.live

NOBODY = 65534
INTEGERS = {"$type": "int"}
USER = """
import sys
from pathlib import Path
from store.embedded.server import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
print(server.uri, flush=True)
sys.stdin.read()
"""
"""A user of the folder: prints the server's address, and releases it when its input ends."""


@contextmanager
def user(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that uses the server of a folder; killed at the end if it is still running."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said(process: "subprocess.Popen[str]") -> str:
    """The connection string that a user got."""
    assert process.stdout
    return process.stdout.readline().strip()


def seconds_until_it_answers(store: Store) -> float:
    """The seconds until a store can write again, at most 20."""
    begin = time.monotonic()
    while time.monotonic() - begin < HEALED_S:
        with suppress(PyMongoError):
            store.db.healed.insert_one({})
            return time.monotonic() - begin
        time.sleep(0.05)
    raise AssertionError(f"no answer in {HEALED_S} s")


def runs(pid: int) -> bool:
    """Whether a process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ping(uri: str) -> bool:
    """Whether the server accepts writes."""
    with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=2000) as client:
        return bool(client.admin.command("hello")["isWritablePrimary"])


def test_two_that_start_at_once_share_one_server_that_ends_with_the_last(tmp_path: Path) -> None:
    """One server for both; it outlives the first to be killed with -9, and ends with the second."""
    with user(tmp_path) as first, user(tmp_path) as second:
        uri = said(first)
        assert uri.startswith("mongodb://analytics:")
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
    """Written data are there after the server has stopped and restarted, on any port."""
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
        with user(tmp_path) as next_one:
            uri = said(next_one)
            assert ping(uri)
            with MongoClient[dict[str, Any]](uri) as client:
                assert client.analytics.things.count_documents({}) == 1
            mongod = mongod_of(tmp_path)
            next_one.kill()
            process.kill()
    assert becomes_true(lambda: not runs(mongod))


@pytest.mark.parametrize("killed", ["mongod", "guardian", "both"])
def test_a_store_whose_server_was_killed_goes_on_at_the_same_port(tmp_path: Path, killed: str) -> None:
    """After kill -9, users of the store need to do nothing, and nothing acknowledged is lost."""
    with Store(Settings(data_dir=tmp_path), patience_ms=2_000) as store:
        store.db.things.insert_one({"_id": 1})
        before, mongod = store.client.address, mongod_of(tmp_path)
        if killed != "mongod":
            os.kill(guardian_of(tmp_path), 9)
        if killed != "guardian":
            os.kill(mongod, 9)
        assert becomes_true(lambda: not runs(mongod)), "mongod outlived its guardian"
        seconds = seconds_until_it_answers(store)
        print(f"answers {seconds:.1f} s after the {killed} was killed")
        assert store.db.things.find_one() == {"_id": 1}
        assert store.client.address == before
        again = mongod_of(tmp_path)
    assert becomes_true(lambda: not runs(again))


def take(address: tuple[str, int]) -> socket.socket:
    """Listen there as soon as it is free, and close all connections."""
    while True:
        with suppress(OSError):
            stranger = socket.create_server(address)
            threading.Thread(target=hang_up, args=(stranger,), daemon=True).start()
            return stranger


def hang_up(stranger: socket.socket) -> None:
    """Close all connections until the socket is closed."""
    with suppress(OSError):
        while True:
            stranger.accept()[0].close()


def test_a_store_learns_of_another_port_where_its_own_was_taken(tmp_path: Path) -> None:
    """Another program takes the port between a server's end and its next start: the store finds the new one."""
    with (
        Store(Settings(data_dir=tmp_path), patience_ms=2_000) as store,
        closing(store.watch("things", INTEGERS)) as watcher,
    ):
        store.db.things.insert_one({"_id": 1})
        assert becomes_true(lambda: bool(watcher.current()))
        before = store.client.address
        assert before
        os.kill(guardian_of(tmp_path), 9)
        with take(before):
            seconds = seconds_until_it_answers(store)
            print(f"answers at another port after {seconds:.1f} s")
            assert store.client.address not in (None, before)
            assert store.db.things.find_one() == {"_id": 1}
            assert becomes_true(lambda: bool(watcher.current()))


def modes(folder: Path) -> set[tuple[str, int]]:
    """The kinds and modes of a folder and everything in it."""
    every = [folder, *folder.rglob("*")]
    return {("folder" if each.is_dir() else "file", stat.S_IMODE(each.stat().st_mode)) for each in every}


OURS_ALONE = {("folder", 0o700), ("file", 0o600)}


def test_all_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    """Folders 0700 and files 0600, including created parents and formerly accessible ones."""
    before = os.umask(0)
    try:
        with Store(Settings(data_dir=tmp_path / "new" / "var")) as store:
            store.db.things.insert_one({"_id": 1})
            assert modes(tmp_path / "new") == OURS_ALONE
            mongod = mongod_of(tmp_path / "new" / "var")
        assert becomes_true(lambda: not runs(mongod))
        for each in (tmp_path / "new" / "var" / "mongodb").rglob("*"):
            each.chmod(0o777 if each.is_dir() else 0o666)
        (tmp_path / "new" / "var" / "mongodb").chmod(0o777)
        with Store(Settings(data_dir=tmp_path / "new" / "var")):
            assert modes(tmp_path / "new") == OURS_ALONE
    finally:
        os.umask(before)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can become another user")
def test_another_user_gets_nothing() -> None:
    """Although the port is reachable, another user cannot read the folder, log in, create a user or run a command."""
    home = Path(tempfile.mkdtemp())
    try:
        home.chmod(0o755)  # the path to the folder is accessible
        with Store(Settings(data_dir=home / "var")) as store:
            store.db.things.insert_one({"_id": 1})
            assert store.client.address
            (home / "var").chmod(0o755)
            host, port = store.client.address
            told = as_nobody(lambda: intrude(home / "var" / "mongodb", host, port))
            assert told == {
                "list": "PermissionError", "uri": "PermissionError", "keyfile": "PermissionError", "ping": "reached",
                "listDatabases": 13, "serverStatus": 13, "createUser": 13, "find": 13, "insert": 13, "shutdown": 13,
                "login": 18,
            }  # fmt: skip
    finally:
        shutil.rmtree(home)


def intrude(folder: Path, host: str, port: int) -> dict[str, Any]:
    """The results of a stranger's attempts."""
    told: dict[str, Any] = {}
    for name, look in {
        "list": lambda: list(folder.iterdir()),
        "uri": (folder / "uri").read_text,
        "keyfile": (folder / "keyfile").read_text,
    }.items():
        try:
            told[name] = str(look())
        except OSError as error:
            told[name] = type(error).__name__
    with MongoClient[dict[str, Any]](host, port, directConnection=True, serverSelectionTimeoutMS=2000) as client:
        client.admin.command("ping")
        told["ping"] = "reached"
        for name, arguments in {
            "listDatabases": {}, "serverStatus": {}, "createUser": {"pwd": "x", "roles": ["root"]}, "shutdown": {},
            "find": {}, "insert": {"documents": [{}]},
        }.items():  # fmt: skip
            try:
                told[name] = client.admin.command(name, "things", **arguments)
            except OperationFailure as error:
                told[name] = error.code
    with MongoClient[dict[str, Any]](
        host, port, directConnection=True, username="analytics", password="guess"
    ) as guess:
        try:
            told["login"] = guess.admin.command("listDatabases")
        except OperationFailure as error:
            told["login"] = error.code
    return told


def as_nobody(work: Callable[[], dict[str, Any]]) -> Any:
    """The result of some work done as the user `nobody`."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.write(writing, json.dumps(work()).encode())
        except BaseException as error:  # noqa: BLE001  told to the parent
            os.write(writing, json.dumps(repr(error)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        found = json.load(told)
    os.waitpid(child, 0)
    return found


def without_password(folder: Path, port: int) -> "subprocess.Popen[bytes]":
    """A mongod as started by earlier releases: without access control."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    command = [
        str(embedded.find_mongod()), "--dbpath", str(folder / "data"), "--port", str(port), "--bind_ip", "127.0.0.1",
        "--replSet", "embedded", "--nounixsocket", "--logpath", str(folder / "mongod.log"), "--oplogSize", "990",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    with MongoClient[dict[str, Any]]("127.0.0.1", port, directConnection=True) as client:
        member = {"_id": 0, "host": f"127.0.0.1:{port}"}
        client.admin.command("replSetInitiate", {"_id": "embedded", "members": [member]})
        assert becomes_true(lambda: bool(client.admin.command("hello")["isWritablePrimary"]), 30)
        client.analytics.things.insert_one({"_id": 1, "kept": True})
    return process


def test_data_from_before_there_was_a_password_are_kept_however_often_the_change_is_killed(tmp_path: Path) -> None:
    """Their first start is killed at ten moments; afterwards all data are there, protected by the password."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = without_password(tmp_path / "mongodb", port)
    process.terminate()
    process.wait()
    for number in range(10):
        with user(tmp_path) as starting:
            time.sleep(0.3 + number * 0.1)
            if guardian := guardian_of(tmp_path):
                os.kill(guardian, 9)
            starting.kill()
    with Store(Settings(data_dir=tmp_path)) as store:
        assert store.db.things.find_one() == {"_id": 1, "kept": True}
        assert store.client.address
        with (
            MongoClient[dict[str, Any]](*store.client.address, directConnection=True) as stranger,
            pytest.raises(OperationFailure, match="requires authentication"),
        ):
            stranger.analytics.things.find_one()


@pytest.mark.parametrize("lost", ["uri", "keyfile"])
def test_a_lost_secret_is_made_anew(tmp_path: Path, lost: str) -> None:
    """The owner of the folder has access to the data, whichever file is missing."""
    with Store(Settings(data_dir=tmp_path)) as store:
        store.db.things.insert_one({"_id": 1})
        mongod = mongod_of(tmp_path)
    assert becomes_true(lambda: not runs(mongod))
    (tmp_path / "mongodb" / lost).unlink()
    with Store(Settings(data_dir=tmp_path)) as store:
        assert store.db.things.find_one() == {"_id": 1}


def test_an_older_programs_server_is_not_joined(tmp_path: Path) -> None:
    """It has no password; the error says how to continue."""
    server = EmbeddedServer(tmp_path)
    (tmp_path / "mongodb" / "uri").rename(tmp_path / "mongodb" / "away")
    with pytest.raises(StoreUnavailable, match=r"without a password, by an older version .* Stop the commands"):
        EmbeddedServer(tmp_path)
    server.close()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_password_is_nowhere_but_in_its_file(server: Store, data_dir: Path) -> None:
    """Not in the arguments of any process, a log, the output of `python -m store` or a repr."""
    password = (data_dir / "mongodb" / "uri").read_text().split(":")[2].partition("@")[0]
    key = (data_dir / "mongodb" / "keyfile").read_text()
    assert len(password) >= 32
    with user_of_store(data_dir) as process:
        assert process.stdout
        printed = process.stdout.readline() + process.stdout.readline()
        assert str(data_dir / "mongodb" / "uri") in printed
        told = {f"/proc/{pid}": text for pid, text in arguments_of_all().items()}
    told |= {str(each): each.read_text(errors="replace") for each in (data_dir / "mongodb").glob("*.log")}
    told |= {
        "printed": printed,
        "client": repr(server.client),
        "store": repr(server),
        "settings": repr(server.settings),
    }
    assert any("mongod.log" in each for each in told)
    assert {place for place, text in told.items() if password in text or key in text} == set()


def arguments_of_all() -> dict[int, str]:
    """The command lines and environment variable names of all processes."""
    found = {}
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found[int(each.name)] = (each / "cmdline").read_text(errors="replace")
    return found


@contextmanager
def user_of_store(data_dir: Path, *command: str) -> Iterator["subprocess.Popen[str]"]:
    """`python -m store [COMMAND]` in a separate session, as in a terminal; stopped at the end."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "store", *command], stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env=os.environ | {"DATA_DIR": str(data_dir), "MONGODB_URI": ""}, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("ending", [signal.SIGHUP, signal.SIGTERM, signal.SIGKILL], ids=lambda each: each.name)
def test_nothing_is_left_when_the_terminal_is_closed_or_the_command_ended(
    tmp_path: Path, ending: signal.Signals
) -> None:
    """The signal goes to the whole group; guardian and mongod are not in it, and end nevertheless."""
    with user_of_store(tmp_path, "sh", "-c", "echo ready; sleep 300") as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        mongod, guardian = mongod_of(tmp_path), guardian_of(tmp_path)
        os.killpg(process.pid, ending)
        assert becomes_true(lambda: process.poll() is not None)
        assert becomes_true(lambda: not runs(mongod) and not runs(guardian))


@pytest.mark.parametrize("ending", [signal.SIGHUP, signal.SIGTERM], ids=lambda each: each.name)
def test_a_command_ends_with_the_store_that_runs_it(tmp_path: Path, ending: signal.Signals) -> None:
    """If only `python -m store` gets a signal, it ends the command with SIGTERM, whatever SIGHUP means to it."""
    wait = (
        "import signal, time; signal.signal(signal.SIGHUP, signal.SIG_IGN); print('ready', flush=True); time.sleep(300)"
    )
    with user_of_store(tmp_path, sys.executable, "-c", wait) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, ending)
        assert becomes_true(lambda: process.poll() is not None)
        assert process.stdout.read() == ""  # no process has the pipe open any more


def test_a_newcomer_joins_the_server_that_runs(server: Store, data_dir: Path) -> None:
    """Joining starts no second server, and releasing it leaves it to the others."""
    before = mongod_of(data_dir)
    newcomer = EmbeddedServer(data_dir)
    address = server.client.address
    assert address
    assert f"@{address[0]}:{address[1]}/?directConnection=true" in newcomer.uri
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
    """Neither on the PATH nor in a wheel: the error names the platform and both remedies."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    with pytest.raises(StoreUnavailable, match=r"No mongod was found for .*MONGODB_URI.*mongod on the PATH"):
        EmbeddedServer(tmp_path)


def test_a_mongod_on_the_path_comes_before_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own server is preferred; one that ends at once is reported, with the log."""
    program = tmp_path / "mongod"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert embedded.find_mongod() == program
    with pytest.raises(StoreUnavailable, match=r"did not start \(mongod exited with code 3\).*mongod\.log"):
        EmbeddedServer(tmp_path / "data")


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """The remedy is to set DATA_DIR."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match=r"cannot be written.*Set DATA_DIR"):
        EmbeddedServer(tmp_path / "file")
