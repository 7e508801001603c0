"""What every command line of this project has: `--version`, `--json`, and a fault as one line and an exit code."""

import sys
from collections.abc import Callable

import click

from catalog import VERSION
from catalog.errors import AnalyticsError

version = click.version_option(VERSION, prog_name="customer-analytics", message="%(prog)s %(version)s")
"""The option of each `main`."""

as_json = click.option("--json", "as_json", is_flag=True, help="Report as JSON.")
"""The option of each command that reports."""


def command_name() -> str | None:
    """The command that runs, such as `loader load`; None outside of a command line."""
    context = click.get_current_context(silent=True)
    return context.command_path.removeprefix("python -m ") if context else None


def run(command: Callable[[], object]) -> None:
    """Run a command line: a fault is one line on standard error and an exit code."""
    try:
        command()
    except AnalyticsError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
