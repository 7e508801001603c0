"""`python -m loader`: load files, look after them, and prove what was derived. See `python -m loader --help`."""

import gc
import json
import textwrap
from collections.abc import Iterable
from pathlib import Path

import click

from catalog.collections import LOADS, OPERATIONAL, SIX
from catalog.errors import TooManyQuarantined, nearest
from catalog.kinds import Attribute, Home
from catalog.purchases import PURCHASES
from catalog.status import LoadStatus
from loader.load import check, load
from loader.loads.control import compare_with_files
from loader.loads.options import Options
from loader.loads.quarantine import export, refused_rows
from loader.loads.remove import remove
from loader.loads.rename import rename
from loader.loads.report import LoadReport
from loader.sample import write_sample
from pipelines.derived.commands import refresh_command, repair_option, verify_and_report
from pipelines.state.directory import read_version
from pipelines.state.lanes import read_loads
from store.client import Store, translated
from store.command import as_json, progress_bar, run, version
from store.environment import listed
from store.layout import require_layout
from store.schema import apply_schema
from store.settings import Settings


class DefaultToLoad(click.Group):
    """`python -m loader FILE` is short for `python -m loader load FILE`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `load` before a first argument that is no command and no option."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            like = nearest(args[0], self.commands)
            if like and args[0].isalpha() and not Path(args[0]).exists():
                raise click.UsageError(f"{args[0]!r} is neither a command nor a file. Did you mean {like}?", ctx)
            args.insert(0, "load")
        return super().parse_args(ctx, args)


def share(text: str) -> float:
    """A share such as `1%` or `0.01`, as a number from 0 to 1.

    Raises:
        click.BadParameter: it is something else.
    """
    try:
        found = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        found = -1
    if not 0 <= found <= 1:
        raise click.BadParameter(f"{text!r} is not a share; give it like 1% or 0.01")
    return found


GARBAGE_THRESHOLD = 100_000
"""A batch makes 40,000 documents and no cycles; looking for some after each 700 doubles the time to encode them."""

max_quarantined = click.option(
    "--max-quarantined", type=share, metavar="SHARE", default="1%", show_default=True,
    help="The share of rows that may be refused, like 1% or 0.01. Above it the exit code is 4, and a load of 10,000 "
    "rows or more stops; run it again with a higher share, and it goes on from there.",
)  # fmt: skip
files = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))


ENVIRONMENT = f"\n\b\nEnvironment, or a file .env:\n{listed(Settings)}\n"
EXIT_CODES = """
\b
Exit codes:
  0 done
  1 fault: MongoDB is away, another loader has the file, or `verify` found
    a difference; the last line says what to do
  2 usage: an unknown option, value or setting
  3 file refused as a whole; nothing of it was written
  4 too many rows refused: more than --max-quarantined allows
"""


_NAMES = textwrap.fill(", ".join(PURCHASES.header), 68, initial_indent="  ", subsequent_indent="  ")
COLUMNS = f"""
\b
The columns, in any order and letter case:
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
    """Load purchases from CSV files into MongoDB, look after the loads, and prove what was derived from them.

    `python -m loader FILE` is short for `python -m loader load FILE`. Each command has --help.
    """


@main.command("load", epilog=COLUMNS + ENVIRONMENT + EXIT_CODES)
@files
@click.option(
    "--customers", type=click.Choice(["transaction", "profile"]), default="transaction", show_default=True,
    help=f"Make a customer of each transaction, or one of each profile: {PROFILE}.",
)  # fmt: skip
@click.option(
    "--new-members", type=click.Choice(["refuse", "add"]), default="refuse", show_default=True,
    help=f"What to do with an unknown {REFERENCE}: refuse its row, or add it. "
    "Look for misspelt ones with `check` first: what was added stays.",
)  # fmt: skip
@max_quarantined
@as_json
def load_command(
    files: tuple[Path, ...], customers: str, new_members: str, max_quarantined: float, as_json: bool
) -> None:
    """Load FILES, one after the other: CSV in UTF-8, plain or packed with gzip.

    A file is looked through first, and refused before anything is written if it is no such CSV. Then every row is
    inserted, already present with the same content, or refused; nothing is dropped or rounded. A refused row goes to
    quarantine with line, column and reason: `python -m loader quarantine LOAD` lists them, and with --csv writes a
    file in which they can be mended and loaded. LOAD is the id in the report, and in `python -m loader status`.

    Run the same command again whenever it was interrupted: it goes on where it was, and no row counts twice. A file
    that was loaded before, under whatever name, is passed over. `python -m loader remove LOAD` takes a load out again.
    """
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
    """Read FILES as `load` would, without a database, and report what it would find.

    Only names that every new database knows are known here, and a repeated id counts as already present, whatever its
    row says. Exit codes are those of `load`.
    """
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
    """Write a realistic CSV to OUT, for trying everything without a file of your own."""
    with progress_bar(f"Writing {out.name}") as progress:
        write_sample(out, rows, seed, progress)
    click.echo(f"{out}: {rows:,} rows")


@main.command("quarantine")
@click.argument("load_id", metavar="LOAD")
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="Write the rows to this file.")
@as_json
def quarantine_command(load_id: str, csv_file: Path | None, as_json: bool) -> None:
    """List the rows of LOAD that were refused, with line, column and reason. `python -m loader status` shows LOAD.

    With --csv they are written with the columns of their file and four that explain, which `load` passes over:
    mend the rows in that file and load it. A cell that a spreadsheet would run gets an apostrophe before it.
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
        click.echo(f"{place}: {row['message']} [{row['reason']}]\n  {_visible(row['raw'])}")
    click.echo(f"{len(rows)} rows")


@main.command("remove")
@click.argument("load_id", metavar="LOAD")
@as_json
def remove_command(load_id: str, as_json: bool) -> None:
    """Take LOAD out again: its transactions, their customers and its quarantine. Run it again if it was interrupted.

    A row that another load's file also brought stays and belongs to that load. Where a row of another load was refused
    because this one held its id, load that file again to take it up. The file of LOAD can be loaded again, too.
    Answers stay exact all the while.
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
    """Give the member of DIMENSION that has CODE (`_id` in its collection) another NAME. No transaction changes."""
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
    with Store(Settings.from_environment()) as store:
        apply_schema(store)
        verify_and_report(
            store, repair=repair, as_json=as_json, compare_files=lambda: compare_with_files(store, csv_files)
        )


@main.command("status")
@as_json
def status_command(as_json: bool) -> None:
    """Show what the database holds, and its loads."""
    with Store(Settings.from_environment()) as store, translated():
        require_layout(store)
        counts = {each.name: store.db[each.name].estimated_document_count() for each in (*SIX, *OPERATIONAL)}
        found = store.db[LOADS.name].find().sort("started_at").to_list()
        loads = [LoadReport.from_load(each) for each in read_loads(store, found)]
        version = read_version(store).number
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
        counted = "The report counts them by reason; a load keeps each of them with its line and its reason"
        raise TooManyQuarantined(
            f"{report.quarantined:,} of {report.read:,} rows were refused, {max_quarantined:.2%} are allowed",
            counted if report.status is LoadStatus.CHECKED else listed, retryable=False,
        )  # fmt: skip


def _visible(text: str) -> str:
    """A row's text on one line, with escapes for what a terminal would obey."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


if __name__ == "__main__":
    run(main)
