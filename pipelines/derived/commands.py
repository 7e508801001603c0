"""The commands that look after derived data: `refresh` and `verify`. `python -m loader` offers them, too."""

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import click

from catalog.errors import InternalError
from pipelines.derived.refresh import refresh
from pipelines.derived.verify import Verification, verify
from store.client import Store
from store.command import as_json, progress_bar
from store.schema import apply_schema
from store.settings import Settings

WITH_FILES = "python -m loader verify --csv FILE"

repair_option = click.option(
    "--repair", is_flag=True,
    help="Mark derived data that differ to be rebuilt, recreate missing customers, and verify again. Differences in "
    "the loaded data are only reported.",
)  # fmt: skip


class FileComparison(Protocol):
    """The comparison of a CSV file with what one of its loads stored; its text is the report for people."""

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""


def _point_to_loader(context: click.Context, option: click.Parameter, given: Sequence[str]) -> None:
    if given:
        raise click.UsageError(f"Files are compared by the loader: run `{WITH_FILES}`.", context)


@click.command("refresh")
@as_json
def refresh_command(as_json: bool) -> None:
    """Rebuild the rollups and pages of all stale periods.

    A load ends with a refresh. It is safe to interrupt this command and to run it again.
    """
    with Store(Settings.from_environment()) as store, progress_bar("Refreshing") as progress:
        apply_schema(store)
        done = refresh(store, progress)
    if as_json:
        click.echo(json.dumps(vars(done), indent=2))
        return
    left = f"; {done.overtaken} changed meanwhile and wait for the next refresh" if done.overtaken else ""
    click.echo(f"built {done.months} months and {done.years} years{left}")


@click.command("verify")
@click.option("--csv", multiple=True, hidden=True, expose_value=False, callback=_point_to_loader)
@repair_option
@as_json
def verify_command(repair: bool, as_json: bool) -> None:
    """Compare every rollup and page with the transactions, and everything else that is stored twice.

    Each transaction is checked for consistency with itself and with its customer, each load with its stored rows, and
    the reference collections with their recorded checksums. A consistent change in every place can be detected only
    by comparing with the CSV files: `python -m loader verify --csv FILE`. docs/verification.md lists what is proved.
    The exit code is 1 if anything differs.
    """
    with Store(Settings.from_environment()) as store:
        apply_schema(store)
        verify_and_report(store, repair=repair, as_json=as_json)


def verify_and_report(
    store: Store, *, repair: bool, as_json: bool, compare_files: Callable[[], Sequence[FileComparison]] = tuple
) -> None:
    """Verify the database, and print the result.

    Attributes:
        compare_files: called first; its comparisons are part of the report.

    Raises:
        InternalError: something differs.
    """
    comparisons = compare_files()
    with progress_bar("Verifying") as progress:
        result = verify(store, progress, repair=repair)
    if result.repaired:
        if not as_json:
            _report(result, as_json)
        repaired = result.repaired
        refresh(store)
        with progress_bar("Verifying again") as progress:
            result = verify(store, progress)
        result.repaired = repaired
    _report(result, as_json, comparisons)
    if result.lasting or not all(each.ok for each in comparisons):
        raise InternalError(
            "The stored data differ from the loaded data, and a refresh cannot repair that. The remedy follows each "
            "difference above; where a file differs, remove its load and load the file again."
        )
    if not result.ok:
        raise InternalError("Derived data differ from the transactions. Run `python -m pipelines verify --repair`.")


def _report(result: Verification, as_json: bool, comparisons: Sequence[FileComparison] = ()) -> None:
    if as_json:
        document: dict[str, Any] = result.summary() | {"shown": [vars(each) for each in result.shown]}
        files = [vars(each) | {"ok": each.ok} for each in comparisons]
        click.echo(json.dumps(document | ({"files": files} if files else {}), default=str, indent=2))
        return
    click.echo(report_text(result))
    for each in comparisons:
        click.echo(str(each))


def report_text(result: Verification) -> str:
    """The result of a verification, for people."""
    lines = [
        f"{result.months} months, {result.years} years, {result.cells:,} cells, {result.rows:,} transactions compared"
    ]
    if result.stale:
        lines.append(f"{result.stale} months wait for a refresh and were not compared")
    for each in result.shown:
        remedy = f" ({each.remedy})" if each.remedy else ""
        lines.append(f"  {each.period:<8} {each.what}: {each.stored}, expected {each.expected}{remedy}")
    plural = "" if result.differences == 1 else "s"
    lines.append(f"{result.differences} difference{plural}" if result.differences else "no difference")
    return "\n".join(lines)
