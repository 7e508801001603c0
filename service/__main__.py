"""`python -m service`: serve the answers over HTTP. See `python -m service --help`."""

import signal
import subprocess
import sys
from pathlib import Path

import click

from catalog.errors import AnalyticsError
from service.server import ServerSettings, serve
from service.worker import STOPS
from store.settings import Settings

ENVIRONMENT = """
\b
Environment, beside MongoDB's (see python -m loader --help):
  HOST, PORT         where to listen (default: 127.0.0.1, 8000)
  WORKERS, THREADS   processes, and threads of each (default: 2, 16)
  TLS_CERTIFICATE, TLS_KEY   files in PEM form, for https
  LOG_LEVEL          debug, info, warning or error
  LOG_FORMAT         json or text
"""


@click.command(epilog=ENVIRONMENT)
@click.option("--load", "file", type=click.Path(path_type=Path), help="Load this CSV file first.")
def main(file: Path | None) -> None:
    """Serve the answers over HTTP until Ctrl-C, SIGTERM or SIGHUP.

    Without MONGODB_URI the embedded MongoDB is started, or joined, and kept for as long.
    """
    for each in STOPS:
        signal.signal(each, lambda *_: sys.exit(0))
    try:
        serve(ServerSettings.from_environment(), Settings.from_environment(), lambda: _load(file) if file else None)
    except AnalyticsError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)


def _load(file: Path) -> None:
    """Load a file in a process of its own; it ends with this one, and its exit code is ours where it fails."""
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
    main(prog_name="python -m service")
