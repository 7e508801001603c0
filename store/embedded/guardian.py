"""The embedded server's guardian: `python -m store.embedded.guardian MONGOD FOLDER`, started by `server`.

Runs mongod as long as the folder has users: restarts it if it dies, and stops it when the last user has released
`users.lock`.
"""

import fcntl
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from store.embedded.folder import Folder
from store.embedded.mongod import Failed, Mongod

TICK_S = 0.1
LONGEST_PAUSE_S = 3.0
LONG_S = 10.0
"""A server that ran this long is restarted at once, any other after a growing pause."""


def guard(program: Path, folder: Folder) -> None:
    """Go into the background and run the server of `folder` as long as it has users.

    Our output is closed when the server accepts writes. If it never does, the last line says why.
    """
    os.umask(0o077)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the user's process only
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with folder.open("users.lock") as users, folder.open("guardian.lock") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        if os.fork():  # the process that started us need not wait; the child keeps the lock
            os._exit(0)
        server = Mongod(program, folder)
        try:
            server.start()
            _end_output()
            _see_to(server, folder, users)
        except Failed as failed:
            sys.exit(str(failed))
        finally:
            server.stop()


def _see_to(server: Mongod, folder: Folder, users: IO[str]) -> None:
    """Keep the server running until no user holds the lock."""
    pause_s, told, started = 0.0, "", time.monotonic()
    while not _is_ours(users):
        if not server.has_ended(TICK_S):
            continue
        server.stop()
        if time.monotonic() - started > LONG_S:
            pause_s = 0.0
        time.sleep(pause_s)
        pause_s, started = min(2 * pause_s + TICK_S, LONGEST_PAUSE_S), time.monotonic()
        try:
            server.start()
            said = "mongod stopped and was restarted"
        except Failed as failed:
            said = str(failed)
        if said != told:
            _note(folder, said)
            told = said


def _is_ours(users: IO[str]) -> bool:
    """Whether we get the users' lock exclusively, which means that there are none."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end_output() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in (1, 2):
        os.dup2(nowhere, output)
    os.close(nowhere)


def _note(folder: Folder, said: str) -> None:
    with suppress(OSError), folder.open("guardian.log") as log:  # the disk may be full
        log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {said}\n")


if __name__ == "__main__":
    guard(Path(sys.argv[1]), Folder(Path(sys.argv[2])))
