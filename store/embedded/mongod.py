"""The process of the embedded server: started as a one-node replica set with one user, monitored, stopped."""

import ctypes
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from store.embedded.folder import USER, Folder

REPLICA_SET = "embedded"
CACHE_GB = 1.0
LOG_BYTES = 10_000_000
SCRAM_ROUNDS = 5_000
"""Rounds protect a password that can be guessed; ours has 256 random bits. With this many, a login takes 2 ms."""

_PR_SET_PDEATHSIG = 1
_INITIATED, _NOT_INITIATED = 23, 94
_USER_EXISTS = 51003


class Failed(Exception):
    """mongod did not start; the text is the reason, in one line."""


class Mongod:
    """The server of a folder. On Linux, it also ends if the process that started it is killed."""

    def __init__(self, program: Path, folder: Folder) -> None:
        self._program, self._folder = program, folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, make it accept writes from its user only, and write its address to the folder.

        Raises:
            Failed: it did not start.
        """
        folder = self._folder
        try:
            if said := folder.shortage():
                raise Failed(said)
            port, password = folder.prepare()
            if folder.log.exists() and folder.log.stat().st_size > LOG_BYTES:
                folder.log.replace(folder.log.with_suffix(".log.old"))
            log_start = folder.log.stat().st_size if folder.log.exists() else 0
            self._process = subprocess.Popen(  # noqa: S603  its arguments are ours
                _command(self._program, folder, port), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, preexec_fn=_die_with_us,
            )  # fmt: skip
            _await_port(self._process, port)
            _make_usable(port, folder.key.read_text(), password)
            address = {"address": f"127.0.0.1:{port}", "pid": self._process.pid}
            folder.write(folder.address, json.dumps(address))
        except (OSError, PyMongoError, _Ended) as error:
            self.stop()
            raise Failed(self._reason(error, log_start)) from error

    def has_ended(self, within_s: float) -> bool:
        """Whether it has ended, or ends within `within_s` seconds."""
        if self._process:
            try:
                self._process.wait(within_s)
            except subprocess.TimeoutExpired:
                return False
        return True

    def stop(self) -> None:
        """Stop it and wait until it has ended."""
        self._folder.address.unlink(missing_ok=True)
        if self._process:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def _reason(self, error: Exception, log_start: int) -> str:
        """The reason for a failed start: a full disk, according to the log since then, or else the error."""
        said = b""
        if self._folder.log.exists():
            with self._folder.log.open("rb") as log:
                log.seek(log_start)
                said = log.read()
        if b"No space left on device" in said or self._folder.shortage():
            return self._folder.full()
        return str(error) if isinstance(error, _Ended) else f"mongod could not be configured: {error}"


class _Ended(Exception):
    """The process has ended."""


def _command(program: Path, folder: Folder, port: int) -> list[str]:
    return [
        str(program), "--dbpath", str(folder.data), "--port", str(port), "--bind_ip", "127.0.0.1",
        "--replSet", REPLICA_SET, "--auth", "--keyFile", str(folder.key),
        "--setParameter", "enableLocalhostAuthBypass=false",  # otherwise anybody could create the first user
        "--setParameter", "authenticationMechanisms=SCRAM-SHA-256",
        "--setParameter", f"scramSHA256IterationCount={SCRAM_ROUNDS}",
        "--networkMessageCompressors", "snappy,zstd",  # without zlib: CVE-2025-14847 leaks memory through it
        "--wiredTigerCacheSizeGB", str(CACHE_GB), "--oplogSize", "990", "--nounixsocket",
        "--logpath", str(folder.log), "--logappend", "--setParameter", "diagnosticDataCollectionEnabled=false",
    ]  # fmt: skip


def _die_with_us() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _await_port(process: "subprocess.Popen[bytes]", port: int) -> None:
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise _Ended(f"mongod exited with code {process.returncode}")


def _make_usable(port: int, key: str, password: str) -> None:
    """Give the replica set this port and the user this password; the key lets us log in as a member.

    This works from any former state: nothing, data without users, an interrupted start.
    """
    member = {"_id": 0, "host": f"127.0.0.1:{port}"}
    with MongoClient[dict[str, Any]](
        "127.0.0.1", port, directConnection=True, username="__system", password=key, authSource="local",
        authMechanism="SCRAM-SHA-256",
    ) as client:  # fmt: skip
        while not _configure(client, member):
            time.sleep(0.1)
        while not _is_primary(client):
            time.sleep(0.02)
        user: dict[str, Any] = {"pwd": password, "roles": ["root"], "mechanisms": ["SCRAM-SHA-256"]}
        try:
            client.admin.command("createUser", USER, **user)
        except OperationFailure as error:
            if error.code != _USER_EXISTS:
                raise
            if not _can_log_in(port, password):
                client.admin.command("updateUser", USER, **user)


def _configure(client: MongoClient[dict[str, Any]], member: dict[str, Any]) -> bool:
    """Give the replica set its one member; False while mongod is still loading its former configuration.

    That can take half a minute if another program now has the former port, since mongod asks there whether it is
    itself and gets no answer.
    """
    try:
        config = client.admin.command("replSetGetConfig")["config"]
        if config["members"][0]["host"] != member["host"]:
            config |= {"members": [config["members"][0] | member], "version": config["version"] + 1}
            client.admin.command("replSetReconfig", config, force=True)
    except OperationFailure as error:
        if error.code != _NOT_INITIATED:
            raise
        settings = {"electionTimeoutMillis": 500}
        new = {"_id": REPLICA_SET, "members": [member], "settings": settings}
        try:
            client.admin.command("replSetInitiate", new)
        except OperationFailure as refused:
            if refused.code != _INITIATED:
                raise
            return False
    return True


def _is_primary(client: MongoClient[dict[str, Any]]) -> bool:
    try:
        return bool(client.admin.command("hello")["isWritablePrimary"])
    except AutoReconnect:  # mongod closes its connections when its address changes
        return False


def _can_log_in(port: int, password: str) -> bool:
    with MongoClient[dict[str, Any]](
        "127.0.0.1", port, directConnection=True, username=USER, password=password
    ) as client:
        try:
            client.admin.command("listDatabases")
        except OperationFailure:
            return False
    return True
