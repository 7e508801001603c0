"""`python -m pipelines`: answers in the terminal, `refresh` and `verify`. See `python -m pipelines --help`."""

import json
from typing import Any

import click

from catalog.purchases import PURCHASES
from pipelines.answer.answer import Answer
from pipelines.answer.answerer import Answerer
from pipelines.answer.sources import compiled
from pipelines.ask.queries import QUERIES
from pipelines.ask.question import NEGATION, PARAMETERS, Question, ask, find_query
from pipelines.derived.commands import refresh_command, verify_command
from pipelines.plan.choose import plan
from pipelines.state.directory import read_directory
from store.client import Store
from store.command import as_json, run, version
from store.explain import extended_json
from store.layout import require_layout
from store.schema import read_vocabulary
from store.settings import Settings
from store.timing import Timer


def parameters(command: Any) -> Any:
    """Add an option for each parameter of a question."""
    for name in reversed(PARAMETERS):
        option = "--" + name.replace("_", "-")
        command = click.option(option, f"p_{name}", multiple=True, metavar="VALUE", help=_help(name))(command)
    return command


_HELP = {
    "from": "First day, YYYY-MM-DD.",
    "to": "Last day (inclusive), YYYY-MM-DD.",
    "interval": "Split the answer by day, week, month, quarter or year.",
    "compare": "Compare with the previous_period or the previous_year.",
    "limit": "Maximum number of rows (in each interval).",
    "source": "What to read: auto, rollup, pages or raw.",
}


def _help(name: str) -> str:
    if name in _HELP:
        return _HELP[name]
    label = PURCHASES.by_name[name.removeprefix(NEGATION)].label.lower()
    return f"Exclude this {label}." if name.startswith(NEGATION) else f"Include only this {label}."


@click.group()
@version
def main() -> None:
    """Answer the business questions, and look after the derived data.

    Filters can be repeated: --state Texas --state Ohio.
    """


main.add_command(refresh_command)
main.add_command(verify_command)


@main.command("list")
def list_command() -> None:
    """List the queries."""
    for query in QUERIES:
        click.echo(f"{query.slug:<32}{query.question}")


@main.command("run")
@click.argument("slug")
@parameters
@as_json
def run_command(slug: str, as_json: bool, **given: tuple[str, ...]) -> None:
    """Answer the query SLUG."""
    query = find_query(slug)
    with Store(Settings.from_environment()) as store:
        store.require_replica_set()
        timer = Timer()
        found = Answerer(store).answer([_ask(store, query, given)], timer)[0]
    if as_json:
        click.echo(
            json.dumps(
                {"answer": found.sentence, "rows": found.records(), "source": found.plan.source}, default=str, indent=2
            )
        )
        return
    click.echo(f"{query.title}\n{found.sentence}\n\n{_table(found)}\n")
    click.echo(f"{found.plan.source}, data version {found.data_version}, {timer.timing_ms()['total']:.1f} ms")


@main.command("explain")
@click.argument("slug")
@parameters
def explain_command(slug: str, **given: tuple[str, ...]) -> None:
    """Show what the query SLUG would read, its pipelines, and why other sources are not used."""
    with Store(Settings.from_environment()) as store:
        question = _ask(store, find_query(slug), given)
        with store.snapshot() as snapshot:
            chosen = plan(question, read_directory(snapshot, is_named=True))
    for read in chosen.reads:
        collection, pipeline = compiled(question, read)
        click.echo(f"{read.source}: {read}\ndb.{collection}.aggregate({json.dumps(extended_json(pipeline), indent=2)})")
    for what, why in chosen.refused:
        click.echo(f"not {what}: {why}")


def _ask(store: Store, query: Any, given: dict[str, tuple[str, ...]]) -> Question:
    said = {name.removeprefix("p_"): values for name, values in given.items() if values}
    require_layout(store)
    return ask(query, said, read_vocabulary(store.outside))


def _table(found: Answer) -> str:
    """The rows as an aligned table."""
    names = [column.name for column in found.flat_columns]
    rows = [names, *([_cell(value) for value in row] for row in found.tuples())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, str) else f"{value:,}"


if __name__ == "__main__":
    run(main)
