"""`python -m indexes`: apply, verify, usage. See `python -m indexes --help`."""

import json
import sys

import click

from catalog.errors import AnalyticsError
from indexes.manage import Change, apply, usage, verify
from store.client import Store
from store.command import as_json, run, version
from store.settings import Settings


@click.group()
@version
def main() -> None:
    """Maintain the indexes of the database named by MONGODB_URI and MONGODB_DATABASE."""


@main.command("apply")
@as_json
def apply_command(as_json: bool) -> None:
    """Create missing indexes, rebuild changed ones, and drop those that are not specified."""
    with Store(Settings.from_environment()) as store:
        changes = apply(store)
    refused = [change for change in changes if change.kind == "refused"]
    if as_json:
        click.echo(json.dumps([_as_document(change) for change in changes], indent=2))
    else:
        done = {"missing": "created", "changed": "rebuilt", "extra": "dropped", "refused": "REFUSED"}
        for change in changes:
            click.echo(f"{done[change.kind]:<10} {change.collection}.{change.index}")
        count = len(changes) - len(refused)
        click.echo(f"{count} changes" if changes else "all indexes are as specified")
    if refused:
        raise AnalyticsError(" ".join(f"{change.why}." for change in refused))


def _as_document(change: Change) -> dict[str, str]:
    return {name: value for name, value in vars(change).items() if value}


@main.command("verify")
@as_json
def verify_command(as_json: bool) -> None:
    """Check with MongoDB's query plans that every index is used by the queries it serves.

    The exit code is 1 if one is not used.
    """
    with Store(Settings.from_environment()) as store:
        results = list(verify(store))
    if as_json:
        rows = [
            {"index": f"{s.collection}.{s.name}", "use": u.name, "used": not r, "instead": r} for s, u, r in results
        ]
        click.echo(json.dumps(rows, indent=2))
    else:
        for spec, use, instead in results:
            said = f"NOT USED: {instead}" if instead else "used"
            click.echo(f"{spec.collection + '.' + spec.name:<44} {use.name:<54} {said}")
    if any(instead for _, _, instead in results):
        click.echo("error: An index is not used by a query it serves. Run `python -m indexes apply`.", err=True)
        sys.exit(1)


@main.command("usage")
@as_json
def usage_command(as_json: bool) -> None:
    """Count how often each index has been used since the server started."""
    with Store(Settings.from_environment()) as store:
        rows = usage(store)
    if as_json:
        click.echo(json.dumps([dict(zip(("collection", "index", "uses"), row, strict=True)) for row in rows], indent=2))
        return
    for collection, index, uses in rows:
        click.echo(f"{collection + '.' + index:<44}{uses:>10,}")


if __name__ == "__main__":
    run(main)
