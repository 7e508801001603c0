"""The folder of the embedded server: accessible to its owner only, whatever the umask."""

import os
import re
import secrets
import shutil
import socket
import time
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import IO

USER = "analytics"
ROOM_MB, ROOM_AT_FIRST_MB = 16, 350
"""mongod does not run with less free space; its first start writes three journal files of 100 MB."""

FULL = "The disk of the embedded MongoDB is full"
_PORTS = range(20_000, 32_000)
"""Below the ports of outgoing connections, so that a folder's port is still free at its next start."""

_URI = re.compile(r"mongodb://[^:/@]+:(?P<password>[A-Za-z0-9_-]{32,})@127\.0\.0\.1:(?P<port>\d{1,5})/")
_PORT_PATIENCE_S = 1.0


@dataclass(frozen=True)
class Folder:
    """The folder of an embedded server. Folders have mode 0700, files 0600.

    Attributes:
        path: its path.
    """

    path: Path

    @property
    def data(self) -> Path:
        """MongoDB's own files."""
        return self.path / "data"

    @property
    def log(self) -> Path:
        """MongoDB's log."""
        return self.path / "mongod.log"

    @property
    def key(self) -> Path:
        """The shared secret of the replica set's members; whoever can read it can do anything."""
        return self.path / "keyfile"

    @property
    def uri(self) -> Path:
        """The connection string; password and port stay the same at the next start, the port if it is free."""
        return self.path / "uri"

    @property
    def address(self) -> Path:
        """The server's address; the file exists only while the server accepts writes."""
        return self.path / "address.json"

    def make(self) -> None:
        """Create the folder and its missing parents; an existing folder becomes accessible to its owner only.

        Raises:
            OSError: it cannot be written, or belongs to somebody else.
        """
        for folder in reversed((self.path, *self.path.parents)):
            if not folder.exists():
                folder.mkdir(0o700, exist_ok=True)
        self.path.chmod(0o700)

    def mend(self) -> None:
        """Make everything in the folder accessible to its owner only."""
        for each in (self.path, *self.path.rglob("*")):
            if not each.is_symlink():
                each.chmod(0o700 if each.is_dir() else 0o600)

    def open(self, name: str) -> IO[str]:
        """Open a file of the folder, to append to it or lock it."""
        return os.fdopen(os.open(self.path / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a")

    def write(self, path: Path, text: str) -> None:
        """Write a file of the folder completely or not at all."""
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        with self.open(part.name) as file:
            file.write(text)
        part.rename(path)

    def read_uri(self) -> str:
        """The connection string.

        Raises:
            FileNotFoundError: no server has been started here yet.
        """
        return self.uri.read_text().strip()

    def prepare(self) -> tuple[int, str]:
        """Create what a server needs to start: missing secrets, and a port, the former one if it is free.

        Returns:
            the port and the user's password.
        """
        self.mend()
        self.data.mkdir(0o700, exist_ok=True)
        if not self.key.exists():
            self.write(self.key, b64encode(secrets.token_bytes(96)).decode())
        found = _URI.match(self.read_uri()) if self.uri.exists() else None
        port = int(found["port"]) if found else 0
        password = found["password"] if found else secrets.token_urlsafe(32)
        if not (port and _becomes_free(port)):
            port = _free_port()
            self.write(self.uri, f"mongodb://{USER}:{password}@127.0.0.1:{port}/?directConnection=true")
        return port, password

    def shortage(self) -> str | None:
        """A message if mongod lacks disk space to run, or None. It names no path, as it is shown over HTTP."""
        free_mb = shutil.disk_usage(self.path).free >> 20
        needed_mb = ROOM_MB if (self.data / "WiredTiger").exists() else ROOM_AT_FIRST_MB
        return None if free_mb >= needed_mb else self.full()

    def full(self) -> str:
        """A message that the disk is full, with the free space."""
        return f"{FULL}: {shutil.disk_usage(self.path).free >> 20:,} MB free"


def _becomes_free(port: int) -> bool:
    """Whether a port is or soon becomes free: a server killed a moment ago may still hold it."""
    deadline = time.monotonic() + _PORT_PATIENCE_S
    while not (is_free := _is_free(port)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return is_free


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # like mongod: old connections do not matter
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    while not _is_free(port := secrets.choice(_PORTS)):
        pass
    return port
