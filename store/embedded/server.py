"""The embedded MongoDB: a one-node replica set on loopback that lives exactly as long as somebody uses it.

Users of a data folder share a lock on it. A *guardian* process (`guardian.py`) starts mongod, and
waits for that lock exclusively: when the last user is gone, however it went, the kernel hands the lock
over and the guardian stops the server. So nothing has to be counted and nothing is left running.
"""

import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from catalog.errors import StoreUnavailable

START_SECONDS = 60
REMEDY = "Set MONGODB_URI to a replica set of yours, or put mongod on the PATH"


def find_mongod() -> Path:
    """The server's program: `mongod` on the PATH, else the one that an installed wheel brought.

    Raises:
        StoreUnavailable: there is none for this platform.
    """
    if found := shutil.which("mongod"):
        return Path(found)
    spec = find_spec("fiftyone")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        program = Path(folder) / "db" / "bin" / "mongod"
        if program.is_file():  # the wheel's source form installs without it, and says nothing
            return program
    raise StoreUnavailable(f"No mongod was found for {platform.system()} on {platform.machine()}", REMEDY)


class EmbeddedServer:
    """A user's hold on the server of one data folder. Close it, or end the process, to let go.

    Attributes:
        uri: its connection string; loopback, no credentials.
    """

    def __init__(self, data_dir: Path) -> None:
        """Join the server of `data_dir`, starting it where it does not run.

        Raises:
            StoreUnavailable: no server can be had, or it does not start.
        """
        folder = data_dir.resolve() / "mongodb"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._users = (folder / "users.lock").open("a")
        except OSError as error:
            raise StoreUnavailable(f"{folder} cannot be written ({error.strerror})", "Set DATA_DIR") from error
        fcntl.flock(self._users, fcntl.LOCK_SH)  # waits while a guardian is stopping its server
        try:
            with _exclusively(folder / "start.lock"):
                address = _await_address(folder) or _start(folder)
        except BaseException:
            self._users.close()
            raise
        self.uri = f"mongodb://{address}/?directConnection=true"

    def close(self) -> None:
        """Let go. The last user's going stops the server."""
        self._users.close()


@contextmanager
def _exclusively(path: Path) -> Iterator[None]:
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start(folder: Path) -> str:
    program = find_mongod()
    (folder / "address.json").unlink(missing_ok=True)
    log = folder / "guardian.log"
    with log.open("w") as output:
        subprocess.run(  # noqa: S603  our own interpreter and module
            [sys.executable, "-m", "store.embedded.guardian", str(program), str(folder)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, check=False,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])},
        )  # fmt: skip
    if address := _await_address(folder):
        return address
    said = log.read_text(errors="replace").strip().splitlines()
    raise StoreUnavailable(
        f"The embedded MongoDB did not start ({said[-1] if said else f'no answer in {START_SECONDS} s'})",
        f"Look into {folder / 'mongod.log'}, or set MONGODB_URI",
    )


def _await_address(folder: Path) -> str | None:
    """The address that a guardian writes down when its server takes writes; None where no guardian is."""
    deadline = time.monotonic() + START_SECONDS
    while _guarded(folder) and time.monotonic() < deadline:
        try:
            return str(json.loads((folder / "address.json").read_text())["address"])
        except FileNotFoundError:
            time.sleep(0.02)
    return None


def _guarded(folder: Path) -> bool:
    """Whether a guardian looks after the folder: it holds this lock for as long as it lives."""
    with (folder / "guardian.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
