"""`python -m store [COMMAND ...]`: keep the embedded server running for a command, or until Ctrl-C."""

import signal
import subprocess
import sys

import click

from catalog.errors import AnalyticsError
from store.client import Store
from store.settings import Settings


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
                signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the command, which ends when it will
                sys.exit(subprocess.call(command))  # noqa: S603  the user's own command
            host, port = store.client.address or ("", 0)
            click.echo(f"MongoDB is ready at mongodb://{host}:{port}/?directConnection=true (Ctrl-C ends it)")
            signal.pause()
    except KeyboardInterrupt:
        pass
    except AnalyticsError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
