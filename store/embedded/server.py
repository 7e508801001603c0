"""The embedded MongoDB: a one-node replica set on loopback that runs exactly as long as somebody uses it.

Users of a data folder share a lock on it. A *guardian* process (`guardian.py`) starts mongod and
tries to get the lock exclusively: it succeeds when the last user is gone, however it ended, and stops the server. So
nothing has to be counted and nothing is left running. A guardian restarts a mongod that has died; if the guardian
itself is killed, mongod dies with it, and the first user to notice starts another guardian. The port stays the same
as long as nobody else uses it.
"""

import fcntl
import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from weakref import WeakSet

from catalog.errors import StoreUnavailable
from store.embedded.folder import FULL, Folder

log = logging.getLogger(__name__)
START_SECONDS = 60
TICK_S = 0.25
PAUSE_S = 1.0
ROOM = "Free some space, or set DATA_DIR"
REMEDY = "Set MONGODB_URI to your own replica set, or put mongod on the PATH"


def find_mongod() -> Path:
    """The server program: `mongod` on the PATH, else the one from an installed wheel.

    Raises:
        StoreUnavailable: neither exists.
    """
    if found := shutil.which("mongod"):
        return Path(found)
    spec = find_spec("fiftyone")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        program = Path(folder) / "db" / "bin" / "mongod"
        if program.is_file():  # the wheel's source distribution installs silently without it
            return program
    raise StoreUnavailable(f"No mongod was found for {platform.system()} on {platform.machine()}", REMEDY)


class EmbeddedServer:
    """A user's hold on the server of one data folder, released by `close` or the end of the process.

    Attributes:
        uri: its connection string, with the password: never show it.
        uri_file: the file that contains it, readable by its owner only.
    """

    def __init__(self, data_dir: Path) -> None:
        """Join the server of `data_dir`, starting it if it is not running.

        Raises:
            StoreUnavailable: there is no server program, or it does not start.
        """
        self._folder = folder = Folder(data_dir.resolve() / "mongodb")
        self.uri_file = folder.uri
        try:
            folder.make()
            self._users = folder.open("users.lock")
        except OSError as error:
            raise StoreUnavailable(f"{folder.path} cannot be written ({error.strerror})", "Set DATA_DIR") from error
        fcntl.flock(self._users, fcntl.LOCK_SH)  # waits while a guardian is stopping its server
        try:
            self.uri = _join(folder)
        except BaseException:
            self._users.close()
            raise
        self._closed = threading.Event()
        _held.add(self)

    def supervise(self, moved: Callable[[str], None]) -> None:
        """Make sure from now on, in a thread, that the folder has a guardian and so a server. Call it after a fork.

        Attributes:
            moved: called with the new connection string whenever it changes.
        """
        threading.Thread(target=self._see_to, args=(moved,), name="embedded", daemon=True).start()

    def close(self) -> None:
        """Release the server. It stops after the last user."""
        self._closed.set()
        self._users.close()
        _held.discard(self)

    def trouble(self) -> str | None:
        """Why the server is not running, or None if it is."""
        if _is_guarded(self._folder) and self._folder.address.exists():
            return None
        return self._folder.shortage() or "The embedded MongoDB has stopped and is being restarted"

    def _see_to(self, moved: Callable[[str], None]) -> None:
        told = ""
        while not self._closed.wait(TICK_S):
            try:
                uri = self._folder.read_uri() if _is_guarded(self._folder) else _join(self._folder)
            except (StoreUnavailable, OSError) as error:
                if told != str(error):
                    log.info("the embedded MongoDB is unavailable: %s", error)
                    told = str(error)
                self._closed.wait(PAUSE_S)
                continue
            if uri != self.uri:
                self.uri = uri
                moved(uri)


_held: "WeakSet[EmbeddedServer]" = WeakSet()


def held() -> Sequence[EmbeddedServer]:
    """All holds of this process."""
    return tuple(_held)


def _join(folder: Folder) -> str:
    """The connection string of the folder's server, which is started if it is not running."""
    with folder.open("start.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_there(folder):
            _start(folder)
    return folder.read_uri()


def _start(folder: Folder) -> None:
    if said := folder.shortage():
        raise StoreUnavailable(f"{said} ({folder.path})", ROOM)
    folder.address.unlink(missing_ok=True)
    try:
        started = subprocess.run(  # noqa: S603  our own interpreter and module
            [sys.executable, "-m", "store.embedded.guardian", str(find_mongod()), str(folder.path)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            timeout=START_SECONDS, check=False, text=True, errors="replace",
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])},
        )  # fmt: skip
        said = (started.stdout.strip().splitlines() or ["its guardian process ended"])[-1]
    except subprocess.TimeoutExpired:
        said = f"no answer in {START_SECONDS} s"
    if not _is_there(folder):
        if said.startswith(FULL):
            raise StoreUnavailable(f"{said} ({folder.path})", ROOM)
        raise StoreUnavailable(f"The embedded MongoDB did not start ({said})", f"See {folder.log}, or set MONGODB_URI")


def _is_there(folder: Folder) -> bool:
    """Whether the folder has a server that accepts writes; waits for one that a guardian is starting."""
    deadline = time.monotonic() + START_SECONDS
    while _is_guarded(folder):
        try:
            address = json.loads(folder.address.read_text())["address"]
        except FileNotFoundError:
            if said := folder.shortage():
                raise StoreUnavailable(f"{said} ({folder.path})", ROOM) from None
            if time.monotonic() > deadline:
                raise StoreUnavailable("The embedded MongoDB does not answer", f"See {folder.log}") from None
            time.sleep(0.02)
            continue
        if not folder.uri.exists() or f"@{address}/" not in folder.read_uri():
            raise StoreUnavailable(
                f"The MongoDB in {folder.path} was started without a password, by an older version of this program",
                "Stop the commands that use it, then try again",
            )
        return True
    return False


def _is_guarded(folder: Folder) -> bool:
    """Whether the folder has a guardian, which holds this lock as long as it lives."""
    with folder.open("guardian.lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
