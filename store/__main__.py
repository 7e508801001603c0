"""`python -m store [COMMAND ...]`: keep the embedded server running for a command, or until Ctrl-C."""

import signal
import subprocess
import sys

import click

from catalog.errors import UserError
from store.client import Store
from store.command import run, version
from store.settings import Settings


@click.command(context_settings={"allow_interspersed_args": False})  # what follows COMMAND belongs to it
@version
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def main(command: tuple[str, ...]) -> None:
    """Start the embedded MongoDB (or join the running one), and keep it running for COMMAND, or until Ctrl-C.

    If MONGODB_URI is set, that server is used instead.
    """
    try:
        with Store(Settings.from_environment()) as store:
            store.require_replica_set()
            if command:
                sys.exit(_call(command))
            host, port = store.client.address or ("", 0)
            click.echo(f"MongoDB is ready at {host}:{port} (Ctrl-C ends it)")
            if store.uri_file:
                click.echo(f"MONGODB_URI_FILE={store.uri_file} lets other programs of yours log in")
            signal.pause()
    except KeyboardInterrupt:
        pass


def _call(command: tuple[str, ...]) -> int:
    """Run a command and forward termination signals to it; returns its exit code."""
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the command, which decides when to end
    try:
        process = subprocess.Popen(command)  # noqa: S603  the user's own command
    except OSError as error:
        raise UserError(f"{command[0]} cannot be run ({error.strerror}).") from None
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(
            ending, lambda *_: process.terminate()
        )  # SIGTERM for a closed terminal, too: some servers reload on SIGHUP
    return process.wait()


if __name__ == "__main__":
    run(main)
