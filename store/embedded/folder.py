"""What the embedded server keeps in its folder: for the folder's owner alone, whatever the umask."""

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
"""mongod does not run with less free space. Its first start writes three journal files of 100 MB."""

FULL = "The disk of the embedded MongoDB is full"
_PORTS = range(20_000, 32_000)
"""Below those that systems give to outgoing connections, so that a folder's port is free again at its next start."""

_URI = re.compile(r"mongodb://[^:/@]+:(?P<password>[A-Za-z0-9_-]{32,})@127\.0\.0\.1:(?P<port>\d{1,5})/")
_PORT_PATIENCE_S = 1.0


@dataclass(frozen=True)
class Folder:
    """The folder of an embedded server. Folders have the mode 0700, files 0600.

    Attributes:
        path: where it is.
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
        """The secret that MongoDB's members share; whoever reads it may do anything."""
        return self.path / "keyfile"

    @property
    def uri(self) -> Path:
        """The connection string with the password, which stays from start to start, as the port does if it is free."""
        return self.path / "uri"

    @property
    def address(self) -> Path:
        """The address of a server that takes writes; there only while one does."""
        return self.path / "address.json"

    def make(self) -> None:
        """Make the folder, and those above it that are missing; an existing one becomes its owner's alone.

        Raises:
            OSError: it cannot be written, or is somebody else's.
        """
        for folder in reversed((self.path, *self.path.parents)):
            if not folder.exists():
                folder.mkdir(0o700, exist_ok=True)
        self.path.chmod(0o700)

    def mend(self) -> None:
        """Make everything that is in the folder its owner's alone."""
        for each in (self.path, *self.path.rglob("*")):
            if not each.is_symlink():
                each.chmod(0o700 if each.is_dir() else 0o600)

    def open(self, name: str) -> IO[str]:
        """A file of the folder, to be appended to or locked."""
        return os.fdopen(os.open(self.path / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a")

    def write(self, path: Path, text: str) -> None:
        """Write a file of the folder, whole or not at all."""
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        with self.open(part.name) as file:
            file.write(text)
        part.rename(path)

    def read_uri(self) -> str:
        """The connection string.

        Raises:
            FileNotFoundError: no server was started here yet.
        """
        return self.uri.read_text().strip()

    def prepare(self) -> tuple[int, str]:
        """Make what a server needs to start: its secrets, made once, and a port, the one it had before if it is free.

        Returns the port and the user's password.
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
        """Why mongod cannot run for want of space, or None. No path is named: others may read it over HTTP."""
        free_mb = shutil.disk_usage(self.path).free >> 20
        needed_mb = ROOM_MB if (self.data / "WiredTiger").exists() else ROOM_AT_FIRST_MB
        return None if free_mb >= needed_mb else self.full()

    def full(self) -> str:
        """That the disk is full, and how full."""
        return f"{FULL}: {shutil.disk_usage(self.path).free >> 20:,} MB free"


def _becomes_free(port: int) -> bool:
    """Whether a port is free, or becomes so: a server that was killed a moment ago may still hold it."""
    deadline = time.monotonic() + _PORT_PATIENCE_S
    while not (is_free := _is_free(port)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return is_free


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as mongod does: old connections do not matter
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    while not _is_free(port := secrets.choice(_PORTS)):
        pass
    return port
