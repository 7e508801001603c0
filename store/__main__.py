"""`python -m store [COMMAND ...]`: keep the embedded server running for a command, or until Ctrl-C."""

import signal
import subprocess
import sys
from collections.abc import Sequence

import click

from catalog.errors import AnalyticsError
from store.client import Store
from store.settings import Settings


def _run(command: Sequence[str]) -> int:
    """Run a command, and pass on what would end us; gives its exit code."""
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the command, which ends when it will
    process = subprocess.Popen(command)  # noqa: S603  the user's own command
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda *_: process.terminate())  # a closed terminal, too: gunicorn reloads for a SIGHUP
    return process.wait()


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def main(command: tuple[str, ...]) -> None:
    """Start the embedded MongoDB (or join the one that runs), and keep it for COMMAND, or until Ctrl-C.

    With MONGODB_URI set, that server is used and none is started.
    """
    try:
        with Store(Settings.from_environment()) as store:
            store.require_replica_set()
            if command:
                sys.exit(_run(command))
            host, port = store.client.address or ("", 0)
            click.echo(f"MongoDB is ready at {host}:{port} (Ctrl-C ends it)")
            if store.uri_file:
                click.echo(f"MONGODB_URI_FILE={store.uri_file} lets other programs of yours log in")
            signal.pause()
    except KeyboardInterrupt:
        pass
    except AnalyticsError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
