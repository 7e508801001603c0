"""`python -m bench`: the measurements behind the decisions. See `python -m bench --help`."""

import gc
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from bench.columns import compare_columns
from bench.dashboard import measure as measure_dashboard
from bench.hello import compare as compare_with_hello
from bench.http import measure as measure_http
from bench.load import compare
from bench.overload import measure as measure_overload
from bench.pages import compare_page_formats
from bench.peers import report
from bench.peers.roster import PEERS
from bench.peers.running import ROOT
from bench.questions import compare as ask
from bench.refresh import measure
from bench.request import measure as measure_requests
from loader.__main__ import GARBAGE_THRESHOLD
from loader.sample import write_sample
from store.client import Store
from store.command import as_json, run, version
from store.settings import Settings


@click.group()
@version
def main() -> None:
    """Measure alternatives side by side in one run. Only ratios are comparable; times depend on the machine."""


@main.command("pages")
@click.option("--rows", type=click.IntRange(1000), default=1_000_000, show_default=True)
@as_json
def pages_command(rows: int, as_json: bool) -> None:
    """Compare pages as compact numbers added up by numpy with Arrow IPC and Arrow's own compute."""
    found = compare_page_formats(rows)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(f"{rows:,} rows, medians of 9 runs in turn, ms")
    for name, (ours, arrow) in found.items():
        click.echo(f"{name:<36} numpy {ours:8.2f}  arrow {arrow:8.2f}  arrow/numpy {arrow / ours:5.1f}")


@main.command("columns")
@click.option("--rows", type=click.IntRange(1000), default=1_000_000, show_default=True)
@as_json
def columns_command(rows: int, as_json: bool) -> None:
    """Compare a prototype of running sums over shared columns with today's pages; the answers must be equal."""
    found = compare_columns(rows)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(f"{rows:,} rows, medians of 40 questions of each class, ms of CPU")
    for name, (ours, pages) in found.items():
        click.echo(f"{name:<32} running sums {ours:8.2f}  pages {pages:8.2f}  pages/sums {pages / ours:6.1f}")


@main.command("refresh")
@as_json
def refresh_command(as_json: bool) -> None:
    """Measure a full refresh, a verification, and an append until everything is fresh, on the filled database."""
    with Store(Settings.from_environment()) as store:
        found = measure(store)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        click.echo(f"{name:<48}{value:12,.2f}" + (" s" if name not in ("transactions", "periods") else ""))


@main.command("questions")
@as_json
def questions_command(as_json: bool) -> None:
    """Measure questions with and without ranges and filters on the filled database, beside DuckDB on the same data."""
    with Store(Settings.from_environment()) as store:
        found = ask(store)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo("medians, ms; every answer was the same")
    for name, (ours, theirs) in found.items():
        click.echo(f"{name:<36} ours {ours:8.2f}  DuckDB {theirs:8.2f}  DuckDB/ours {theirs / ours:5.1f}")


@main.command("load")
@click.argument("file", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--rows", type=click.IntRange(1000), default=1_000_000, show_default=True, help="Of a sample, without FILE."
)
@as_json
def load_command(file: Path | None, rows: int, as_json: bool) -> None:
    """Load FILE (or a sample) and verify it, beside raw inserts and PostgreSQL, each on a fresh server."""
    gc.set_threshold(GARBAGE_THRESHOLD)
    with tempfile.TemporaryDirectory() as folder:
        path = file.resolve() if file else Path(folder) / "sample.csv"
        if not file:
            Path(folder).chmod(0o755)
            write_sample(path, rows, 42, lambda done, total: None)
        found = compare(path)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        click.echo(f"{name:<48}{value:12,.1f}" + ("" if name.startswith("rows") else " s"))
    click.echo(f"of the limit: {found['rows a second, batches'] / found['rows a second, raw inserts']:.0%}")
    if "PostgreSQL, all" in found:
        click.echo(f"ours / PostgreSQL: {found['ours, all'] / found['PostgreSQL, all']:.2f}")


@main.command("hello")
@as_json
def hello_command(as_json: bool) -> None:
    """Measure unchanged answers per second over HTTP, beside a bare Flask application under the same server."""
    found = compare_with_hello()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for name, rate in found.items():
        click.echo(f"{name:<24}{rate:10,.0f} requests a second  {rate / found['hello']:6.0%} of hello")


@main.command("dashboard")
@as_json
def dashboard_command(as_json: bool) -> None:
    """Measure the dashboard over HTTP, on the filled database, and the workers' memory."""
    _tell(measure_dashboard(), as_json)


@main.command("request")
@as_json
def request_command(as_json: bool) -> None:
    """Show where the time of one request goes, on the filled database."""
    _tell(measure_requests(), as_json)


@main.command("overload")
@click.option("--seconds", type=click.IntRange(5), default=60, show_default=True, help="Time of the overload.")
@click.option("--factor", type=click.FloatRange(1), default=10.0, show_default=True, help="Arrivals by capacity.")
@click.option("--source", type=click.Choice(["auto", "pages", "raw"]), default="raw", show_default=True)
@as_json
def overload_command(seconds: int, factor: float, source: str, as_json: bool) -> None:
    """Measure the service under more questions than it can answer, on the filled database."""
    _tell(measure_overload(seconds, factor, source), as_json)


@main.command("http")
@click.option("--rows", type=click.IntRange(1000), default=1_000_000, show_default=True, help="Of the sample.")
@click.option(
    "--peer", "names", type=click.Choice([each.name for each in PEERS]), multiple=True,
    help="Only this one beside the service; repeat it for more.",
)  # fmt: skip
@click.option(
    "--seconds", type=click.FloatRange(5), default=240.0, show_default=True,
    help="Time of measuring in all, shared by all peers; loading and starting come on top.",
)  # fmt: skip
@click.option(
    "--data-dir", type=click.Path(path_type=Path, file_okay=False),
    help="Where the service's database is, or is made; a temporary folder without it.",
)  # fmt: skip
@click.option("--write", is_flag=True, help="Write docs/benchmarks.md and its plots.")
@as_json
def http_command(
    rows: int, names: tuple[str, ...], seconds: float, data_dir: Path | None, write: bool, as_json: bool
) -> None:
    """The service over HTTP beside DuckDB, Polars, chdb and PostgreSQL: the same questions, the same answers."""
    found = measure_http(rows, names, seconds, data_dir, lambda said: click.echo(said, err=True))
    click.echo(json.dumps(report.as_document(found), indent=2) if as_json else report.as_text(found))
    if write:
        peers = "".join(f" --peer {name}" for name in names)
        command = f"python -m bench http --rows {rows} --seconds {seconds:g}{peers} --write"
        for path in report.write(found, command, ROOT / "docs"):
            click.echo(f"{path} was written", err=True)


def _tell(found: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        text = ", ".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, dict) else value
        click.echo(f"{name:<30}{text}")


if __name__ == "__main__":
    run(main)
