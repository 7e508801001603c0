"""The embedded server's guardian: `python -m store.embedded.guardian MONGOD FOLDER`, started by `server` beside it.

Starts mongod, makes it a one-node replica set, writes its address down, and stops it when the last user
of the folder has let go of `users.lock`. On Linux mongod also ends when the guardian itself is killed.
"""

import ctypes
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

REPLICA_SET = "embedded"
CACHE_GB = 1.0
_PR_SET_PDEATHSIG = 1


def guard(program: Path, folder: Path) -> None:
    """Go into the background and run the server of `folder` for as long as it has users.

    The last line of output says what went wrong.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a user's Ctrl-C is that user's
    with (folder / "users.lock").open("a") as users, (folder / "guardian.lock").open("a") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        if os.fork():  # who started us need not wait; the child keeps the lock
            os._exit(0)
        port = _free_port()
        server = subprocess.Popen(_command(program, folder, port), stdin=subprocess.DEVNULL, preexec_fn=_die_with_us)  # noqa: S603  its arguments are ours
        address = folder / "address.json"
        try:
            _await_port(server, port)
            _await_primary(port)
            threading.Thread(target=_follow, args=(server, address), daemon=True).start()
            _write(address, {"address": f"127.0.0.1:{port}", "pid": server.pid})
            fcntl.flock(users, fcntl.LOCK_EX)
        finally:
            address.unlink(missing_ok=True)
            server.terminate()
            server.wait()


def _command(program: Path, folder: Path, port: int) -> list[str]:
    data = folder / "data"
    data.mkdir(exist_ok=True)
    return [
        str(program), "--dbpath", str(data), "--port", str(port), "--bind_ip", "127.0.0.1", "--replSet", REPLICA_SET,
        "--networkMessageCompressors", "snappy,zstd",  # without zlib: CVE-2025-14847 reads memory through it
        "--wiredTigerCacheSizeGB", str(CACHE_GB), "--oplogSize", "990", "--nounixsocket",
        "--logpath", str(folder / "mongod.log"), "--setParameter", "diagnosticDataCollectionEnabled=false",
        *os.environ.get("EMBEDDED_MONGOD_OPTIONS", "").split(),
    ]  # fmt: skip


def _die_with_us() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_port(server: "subprocess.Popen[bytes]", port: int) -> None:
    while server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise SystemExit(f"mongod ended with code {server.returncode}")


def _await_primary(port: int) -> None:
    """Give the replica set today's address (ports change from start to start), and wait until it takes writes."""
    member = {"_id": 0, "host": f"127.0.0.1:{port}"}
    with MongoClient[dict[str, Any]]("127.0.0.1", port, directConnection=True) as client:
        try:
            config = client.admin.command("replSetGetConfig")["config"]
        except OperationFailure:
            settings = {"electionTimeoutMillis": 500}
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [member], "settings": settings})
        else:
            config |= {"members": [config["members"][0] | member], "version": config["version"] + 1}
            client.admin.command("replSetReconfig", config, force=True)
        while not client.admin.command("hello")["isWritablePrimary"]:
            time.sleep(0.02)


def _follow(server: "subprocess.Popen[bytes]", address: Path) -> None:
    """End with the server: its users then see that it is gone, and the next one starts it again."""
    server.wait()
    address.unlink(missing_ok=True)
    os._exit(1)


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content))
    part.rename(path)


if __name__ == "__main__":
    try:
        guard(Path(sys.argv[1]), Path(sys.argv[2]))
    except PyMongoError as fault:
        raise SystemExit(f"mongod runs but cannot be made a replica set: {fault}") from fault
