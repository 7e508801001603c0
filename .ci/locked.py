"""`python3 .ci/locked.py FILE COMMAND...`: run a command while nobody else runs one with this lock file.

For the Makefile, before anything is installed: the standard library alone. The kernel frees the lock with the process.
"""

import fcntl
import subprocess
import sys


def main(path: str, *command: str) -> int:
    """Wait for the lock, and give the command's exit code."""
    with open(path, "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Waiting for another make, which holds {path}", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        return subprocess.call(command)  # noqa: S603  the Makefile's own


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
