"""`python -m service`: serve the answers over HTTP. See `python -m service --help`."""

import signal
import subprocess
import sys
from pathlib import Path

import click

from service.server import serve
from service.settings import ALL, ServerSettings
from service.worker import STOPS, ignore_stops
from store.command import run, version
from store.environment import listed
from store.settings import Settings

ENVIRONMENT = "\b\nEnvironment:\n" + "\n".join(map(listed, ALL))


@click.command(epilog=ENVIRONMENT)
@version
@click.option("--load", "file", type=click.Path(path_type=Path), help="Load this CSV file first.")
def main(file: Path | None) -> None:
    """Serve the answers over HTTP until Ctrl-C, SIGTERM or SIGHUP.

    Without MONGODB_URI the embedded MongoDB is started, or joined, and kept for as long. SIGUSR1 reads the keys anew.
    """
    for each in STOPS:
        signal.signal(each, _stop)
    serve(ServerSettings.from_environment(), Settings.from_environment(), lambda: _load(file) if file else None)


def _stop(*_: object) -> None:
    ignore_stops()
    sys.exit(0)


def _load(file: Path) -> None:
    """Load a file in a separate process, which ends with this one; if it fails, exit with its exit code."""
    command = [sys.executable, "-m", "loader", "load", str(file)]
    loader = subprocess.Popen(command, start_new_session=True)  # noqa: S603  our own interpreter and module
    try:
        code = loader.wait()
    finally:
        loader.terminate()
        loader.wait()
    if code:
        sys.exit(code)


if __name__ == "__main__":
    run(main)
