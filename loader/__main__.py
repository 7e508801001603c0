"""`python -m loader`: load files, look after them, and prove what was derived. See `python -m loader --help`."""

import gc
import json
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from catalog.collections import LOADS, OPERATIONAL, SIX
from catalog.errors import InternalError, TooManyQuarantined, nearest
from catalog.kinds import Attribute, Home
from catalog.purchases import PURCHASES
from loader.load import Progress, check, load
from loader.loads.control import Control, compare_with_files
from loader.loads.options import Options
from loader.loads.quarantine import export, refused_rows
from loader.loads.remove import remove
from loader.loads.rename import rename
from loader.loads.report import LoadReport
from loader.sample import write_sample
from pipelines.derived.refresh import refresh
from pipelines.derived.verify import Verification, verify
from pipelines.state.directory import read_version
from pipelines.state.lanes import read_loads
from store.client import Store
from store.command import as_json, run, version
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
            with _progress(f"Loading {path.name}") as progress:
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
        with _progress(f"Checking {path.name}") as progress:
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
    with _progress(f"Writing {out.name}") as progress:
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
    with Store(Settings.from_environment()) as store, _progress("Removing") as progress:
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


@main.command("refresh")
@as_json
def refresh_command(as_json: bool) -> None:
    """Build the rollups and pages of what was changed. `load` ends with this; killed or repeated it does no harm."""
    with Store(Settings.from_environment()) as store, _progress("Refreshing") as progress:
        apply_schema(store)
        done = refresh(store, progress)
    if as_json:
        click.echo(json.dumps(vars(done), indent=2))
        return
    left = f"; {done.overtaken} changed meanwhile and wait for the next refresh" if done.overtaken else ""
    click.echo(f"built {done.months} months and {done.years} years{left}")


@main.command("verify")
@click.option(
    "--csv", "csv_files", type=click.Path(path_type=Path), multiple=True,
    help="Hold what is stored against this file, too, row by row. May be given several times.",
)  # fmt: skip
@click.option(
    "--repair", is_flag=True,
    help="Build anew what was derived and differs, make customers again that are gone, and verify again. What differs "
    "in what was loaded stays as it is.",
)  # fmt: skip
@as_json
def verify_command(csv_files: tuple[Path, ...], repair: bool, as_json: bool) -> None:
    """Compare every cell of the rollups and pages with the transactions, and all that is stored twice.

    Each transaction is held against itself and its customer, each load against what is stored of it, the names of
    states and the like against the mark that is kept of them. What was changed wherever it is stored can only be
    noticed with --csv: docs/verification.md says what proves what. Exits with 1 where something differs.
    """
    with Store(Settings.from_environment()) as store:
        apply_schema(store)
        controls = compare_with_files(store, csv_files)
        with _progress("Verifying") as progress:
            found = verify(store, progress, repair=repair)
        if found.repaired:
            if not as_json:
                _tell_verification(found, as_json)
            repaired = found.repaired
            refresh(store)
            with _progress("Verifying again") as progress:
                found = verify(store, progress)
            found.repaired = repaired
    _tell_verification(found, as_json, controls)
    if found.lasting or not all(control.ok for control in controls):
        raise InternalError(
            "What is stored is not what was loaded, and no refresh mends that. Each difference above says what does; "
            "for one that a file shows, remove the load and load the file again"
        )
    if not found.ok:
        raise InternalError("What was derived differs from the transactions. Run `python -m loader verify --repair`")


def _tell_verification(found: Verification, as_json: bool, controls: Sequence[Control] = ()) -> None:
    if as_json:
        document = found.summary() | {"shown": [vars(each) for each in found.shown]}
        files = [vars(control) | {"ok": control.ok} for control in controls]
        click.echo(json.dumps(document | ({"files": files} if files else {}), default=str, indent=2))
        return
    click.echo(
        f"{found.months} months, {found.years} years, {found.cells:,} cells, {found.rows:,} transactions compared"
    )
    if found.stale:
        click.echo(f"{found.stale} months wait for a refresh and were not compared")
    for each in found.shown:
        remedy = f" ({each.remedy})" if each.remedy else ""
        click.echo(f"  {each.period:<8} {each.what}: {each.stored}, expected {each.expected}{remedy}")
    click.echo(f"{found.differences} differences" if found.differences else "no difference")
    for control in controls:
        click.echo(str(control))


@main.command("status")
@as_json
def status_command(as_json: bool) -> None:
    """Show what the database holds, and its loads."""
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


@contextmanager
def _progress(label: str) -> Iterator[Progress]:
    """A progress bar on a terminal; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def update(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield update


def _tell(report: LoadReport, max_quarantined: float, as_json: bool) -> None:
    click.echo(json.dumps(report.as_document(), indent=2) if as_json else str(report))
    if report.exceeds(max_quarantined):
        listed = f"`python -m loader quarantine {report.load_id}` lists each with its reason"
        counted = "The report counts them by reason; a load keeps each of them with its line and its reason"
        raise TooManyQuarantined(
            f"{report.quarantined:,} of {report.read:,} rows were refused, {max_quarantined:.2%} are allowed",
            counted if report.status == "checked" else listed, retryable=False,
        )  # fmt: skip


def _visible(text: str) -> str:
    """A row's text on one line, with escapes for what a terminal would obey."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


if __name__ == "__main__":
    run(main)
