"""The base of every command line: `--version`, `--json`, a progress bar, and errors as one line and an exit code."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from catalog import VERSION
from catalog.errors import AnalyticsError

version = click.version_option(VERSION, prog_name="customer-analytics", message="%(prog)s %(version)s")
"""The option of each `main`."""

as_json = click.option("--json", "as_json", is_flag=True, help="Report as JSON.")
"""The option of each command that reports."""

Progress = Callable[[int, int], None]
"""Called with the amount done and the total."""


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """A progress bar if standard error is a terminal; otherwise nothing is shown."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def update(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield update


def command_name() -> str | None:
    """The running command, such as `loader load`; None outside of a command line."""
    context = click.get_current_context(silent=True)
    return context.command_path.removeprefix("python -m ") if context else None


def run(command: Callable[[], object]) -> None:
    """Run a command line: an error is one line on standard error and an exit code."""
    try:
        command()
    except AnalyticsError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
