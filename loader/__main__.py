"""`python -m loader`: load files, manage the loads, and verify the results. See `python -m loader --help`."""

import gc
import json
import textwrap
from collections.abc import Iterable
from pathlib import Path

import click

from catalog.collections import LOADS, OPERATIONAL, SIX
from catalog.errors import TooManyQuarantined, nearest
from catalog.kinds import Attribute, Home
from catalog.printable import printable
from catalog.purchases import PURCHASES
from catalog.status import LoadStatus
from loader.loads.options import Options
from loader.loads.quarantine import export, refused_rows
from loader.loads.remove import remove
from loader.loads.rename import rename
from loader.loads.report import LoadReport
from pipelines.derived.commands import refresh_command, repair_option, verify_and_report
from pipelines.state.directory import read_version
from pipelines.state.lanes import read_loads
from store.client import Store
from store.command import as_json, progress_bar, run, version
from store.environment import listed
from store.layout import require_layout
from store.schema import apply_schema
from store.settings import Settings


class DefaultToLoad(click.Group):
    """`python -m loader FILE` is short for `python -m loader load FILE`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert `load` before a first argument that is neither a command nor an option."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            like = nearest(args[0], self.commands)
            if like and args[0].isalpha() and not Path(args[0]).exists():
                raise click.UsageError(f"{args[0]!r} is neither a command nor a file. Did you mean {like}?", ctx)
            args.insert(0, "load")
        return super().parse_args(ctx, args)


def share(text: str) -> float:
    """A share such as `1%` or `0.01`, as a number from 0 to 1.

    Raises:
        click.BadParameter: it is not a share.
    """
    try:
        found = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        found = -1
    if not 0 <= found <= 1:
        raise click.BadParameter(f"{text!r} is not a share (expected 1% or 0.01, for example)")
    return found


GARBAGE_THRESHOLD = 100_000
"""A batch creates 40,000 documents and no cycles; a collection after every 700 doubles the time to encode them."""

max_quarantined = click.option(
    "--max-quarantined", type=share, metavar="SHARE", default="1%", show_default=True,
    help="The share of rows that may be refused, such as 1% or 0.01. If it is exceeded, the exit code is 4, and a load "
    "of 10,000 rows or more stops; run it again with a higher share to continue.",
)  # fmt: skip
files = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))


ENVIRONMENT = f"\n\b\nSettings, from the environment or a .env file:\n{listed(Settings)}\n"
EXIT_CODES = """
\b
Exit codes:
  0 done
  1 failure: MongoDB is unavailable, another loader has the file, or `verify`
    found a difference; the last line says what to do
  2 usage: an unknown option, or an invalid value or setting
  3 file refused as a whole; nothing was written
  4 too many rows refused: more than --max-quarantined allows
"""


_NAMES = textwrap.fill(", ".join(PURCHASES.header), 68, initial_indent="  ", subsequent_indent="  ")
COLUMNS = f"""
\b
The columns, in any order and in upper or lower case:
{_NAMES}
"""


def _listed(attributes: Iterable[Attribute], joint: str) -> str:
    """Their labels for a sentence: `gender, age and marital status`."""
    *labels, last = (each.label.lower() for each in attributes)
    return f"{', '.join(labels)} {joint} {last}" if labels else last


PROFILE = _listed((each for each in PURCHASES.attributes if each.home is Home.PROFILE), "and")
REFERENCE = _listed(PURCHASES.references, "or")


@click.group(cls=DefaultToLoad, epilog=ENVIRONMENT + EXIT_CODES)
@version
def main() -> None:
    """Load purchases from CSV files into MongoDB, manage the loads, and verify the results.

    `python -m loader FILE` is short for `python -m loader load FILE`. Each command has --help.
    """


@main.command("load", epilog=COLUMNS + ENVIRONMENT + EXIT_CODES)
@files
@click.option(
    "--customers", type=click.Choice(["transaction", "profile"]), default="transaction", show_default=True,
    help=f"Create one customer for each transaction, or one for each profile: {PROFILE}.",
)  # fmt: skip
@click.option(
    "--new-members", type=click.Choice(["refuse", "add"]), default="refuse", show_default=True,
    help=f"Refuse rows with an unknown {REFERENCE}, or add it. "
    "Look for misspellings with `check` first: added members are permanent.",
)  # fmt: skip
@max_quarantined
@as_json
def load_command(
    files: tuple[Path, ...], customers: str, new_members: str, max_quarantined: float, as_json: bool
) -> None:
    """Load FILES one after the other: CSV in UTF-8, plain or compressed with gzip.

    The whole file is checked first; if it is not a valid CSV with the expected columns, it is refused and nothing is
    written. Then every row is inserted, already present with the same content, or refused; nothing is dropped or
    rounded. Refused rows go to quarantine with line, column and reason: `python -m loader quarantine LOAD` lists them,
    and with --csv exports them to a file in which they can be corrected and loaded. LOAD is the id shown in the report
    and by `python -m loader status`.

    If a load is interrupted, run the same command again: it continues where it stopped, and no row counts twice. A
    file that was already loaded, even under another name, is skipped. `python -m loader remove LOAD` removes a load.
    """
    from loader.load import load  # it imports pandas, which takes 0.3 s that no other command has to wait

    gc.set_threshold(GARBAGE_THRESHOLD)
    settings = Settings.from_environment()
    options = Options(customers, settings.timezone.key, new_members)
    with Store(settings) as store:
        for path in files:
            with progress_bar(f"Loading {path.name}") as progress:
                report = load(store, path, options, max_quarantined, progress)
            _tell(report, max_quarantined, as_json)


@main.command("check")
@files
@max_quarantined
@as_json
def check_command(files: tuple[Path, ...], max_quarantined: float, as_json: bool) -> None:
    """Read FILES as `load` would, without a database, and report the result.

    Only the names that every new database contains are known, and a repeated id counts as already present, whatever
    its row contains. The exit codes are those of `load`.
    """
    from loader.load import check

    for path in files:
        with progress_bar(f"Checking {path.name}") as progress:
            report = check(path, Settings.from_environment(), progress)
        _tell(report, max_quarantined, as_json)


@main.command("sample")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--rows", type=click.IntRange(1, 100_000_000), default=1_000_000, show_default=True)
@click.option(
    "--seed", type=click.IntRange(0), default=42, show_default=True, help="The same seed writes the same file."
)
def sample_command(out: Path, rows: int, seed: int) -> None:
    """Write a realistic CSV to OUT, to try things out without a file of your own."""
    from loader.sample import write_sample

    with progress_bar(f"Writing {out.name}") as progress:
        write_sample(out, rows, seed, progress)
    click.echo(f"{out}: {rows:,} rows")


@main.command("quarantine")
@click.argument("load_id", metavar="LOAD")
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="Write the rows to this file.")
@as_json
def quarantine_command(load_id: str, csv_file: Path | None, as_json: bool) -> None:
    """List the refused rows of LOAD with line, column and reason. `python -m loader status` shows LOAD.

    With --csv, the rows are written with the columns of their file and four more, which explain the refusal and which
    `load` ignores: correct the rows in that file and load it. Cells that a spreadsheet would run as a formula are
    prefixed with an apostrophe.
    """
    with Store(Settings.from_environment()) as store:
        require_layout(store)
        if csv_file:
            click.echo(f"{csv_file}: {export(store, load_id, csv_file):,} rows")
            return
        rows = [{**row, "_id": str(row["_id"])} for row in refused_rows(store, load_id)]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        place = f"line {row['line']}, {row['column'] or 'row'}"
        click.echo(f"{place}: {row['message']} [{row['reason']}]\n  {printable(row['raw'])}")
    click.echo(f"{len(rows)} rows")


@main.command("remove")
@click.argument("load_id", metavar="LOAD")
@as_json
def remove_command(load_id: str, as_json: bool) -> None:
    """Remove LOAD: its transactions, their customers and its quarantine. If interrupted, run it again.

    A row that the file of another load also contains is kept and becomes part of that load. If rows of another load
    were refused because LOAD had their ids, load that file again to insert them. The file of LOAD can be loaded again,
    too. Answers stay exact throughout.
    """
    with Store(Settings.from_environment()) as store, progress_bar("Removing") as progress:
        apply_schema(store)
        removal = remove(store, load_id, progress)
    click.echo(json.dumps(removal.as_document()) if as_json else str(removal))


@main.command("rename")
@click.argument("dimension")
@click.argument("code", type=int)
@click.argument("name")
def rename_command(dimension: str, code: int, name: str) -> None:
    """Rename the member of DIMENSION with this CODE (`_id` in its collection) to NAME. No transaction changes."""
    with Store(Settings.from_environment()) as store:
        click.echo(f"{dimension} {code}: {rename(store, dimension, code, name)!r} is now {name!r}")


main.add_command(refresh_command)


@main.command("verify")
@click.option(
    "--csv", "csv_files", type=click.Path(path_type=Path), multiple=True,
    help="Also compare each row of this CSV file with the database. Can be given several times.",
)  # fmt: skip
@repair_option
@as_json
def verify_command(csv_files: tuple[Path, ...], repair: bool, as_json: bool) -> None:
    """Compare every rollup and page with the transactions, and everything else that is stored twice.

    Like `python -m pipelines verify`, and with --csv the loaded files are compared, too: only they reveal a change
    that was made consistently in every place. docs/verification.md lists what is proved.
    The exit code is 1 if anything differs.
    """
    from loader.loads.control import compare_with_files

    with Store(Settings.from_environment()) as store:
        apply_schema(store)
        verify_and_report(
            store, repair=repair, as_json=as_json, compare_files=lambda: compare_with_files(store, csv_files)
        )


@main.command("status")
@as_json
def status_command(as_json: bool) -> None:
    """Show the contents of the database and its loads."""
    with Store(Settings.from_environment()) as store:
        require_layout(store)
        outside = store.outside
        counts = {each.name: outside.estimate(each.name) for each in (*SIX, *OPERATIONAL)}
        found = outside.find(LOADS.name, sort=[("started_at", 1)])
        loads = [LoadReport.from_load(each) for each in read_loads(outside, found)]
        version = read_version(outside).number
    if as_json:
        status = {"data_version": version, "documents": counts, "loads": [each.as_document() for each in loads]}
        click.echo(json.dumps(status, indent=2))
        return
    click.echo(f"data version {version}")
    for name, count in counts.items():
        click.echo(f"  {name:<20}{count:>12,}")
    for report in loads:
        click.echo(str(report))


def _tell(report: LoadReport, max_quarantined: float, as_json: bool) -> None:
    click.echo(json.dumps(report.as_document(), indent=2) if as_json else str(report))
    if report.exceeds(max_quarantined):
        listed = f"`python -m loader quarantine {report.load_id}` lists each with its reason"
        counted = "The report counts them by reason; a load also stores each one with its line and reason"
        raise TooManyQuarantined(
            f"{report.quarantined:,} of {report.read:,} rows were refused, more than the {max_quarantined:.2%} allowed",
            counted if report.status is LoadStatus.CHECKED else listed,
        )  # fmt: skip


if __name__ == "__main__":
    run(main)
