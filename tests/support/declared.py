"""The program with one more entry declared: `python -m tests.support.declared ENTRY`; an empty ENTRY adds none.

Reads requests, one per line, and answers each with a line: a command and its environment with its output and exit code,
`http` and paths with the replies of the service.
"""

import json
import os
import sys
import time
from dataclasses import replace
from traceback import format_exception
from typing import Any

from catalog import purchases
from catalog.attributes import Attribute, Banded, Bands, Enumerated, Home
from catalog.dimensions import UNKNOWN, DatePart
from tests.support.contributor import entries

CHANNEL: dict[str, Any] = {
    "name": "channel", "label": "Channel", "column": "Channel", "optional": True,
    "members": (UNKNOWN, "Phone", "Shop", "Web"), "shares": {"web": 0.5, "Shop": 0.3, "Phone": 0.1}, "missing": 0.1,
}  # fmt: skip
DOCUMENTED = entries()
"""The entries of CONTRIBUTING.md, as they stand there."""

ENTRIES: dict[str, Attribute | DatePart] = {
    "reference of the transaction": DOCUMENTED["CHANNEL"],
    "label of the transaction": Enumerated(**CHANNEL, home=Home.TRANSACTION),
    "label of the customer": Enumerated(**CHANNEL, home=Home.CUSTOMER),
    "bands of a number": Banded(
        name="items", label="Items", column="Items", optional=True, home=Home.TRANSACTION, most=50, missing=0.1,
        sample=range(1, 12),
        bands=Bands(name="channel", label="Basket", members=(UNKNOWN, "Phone", "Shop", "Web"), bounds=(3, 6)),
    ),
    "part of the date": DOCUMENTED["QUARTER"],
}  # fmt: skip


def declare(entry: Attribute | DatePart) -> None:
    """Add an entry to the data set, before anything is derived from it."""
    declared = purchases.PURCHASES
    if isinstance(entry, Attribute):
        purchases.PURCHASES = replace(declared, attributes=(*declared.attributes, entry))
    else:
        purchases.PURCHASES = replace(declared, parts=(*declared.parts, entry))


def obey(arguments: list[str]) -> dict[str, Any]:
    """Run one command as in a terminal, or request the paths after `http` from the service."""
    from click.testing import CliRunner

    from catalog.errors import AnalyticsError
    from loader.__main__ import main as loader
    from service.app import create_app

    commands = {"loader": loader}
    if arguments[0] != "http":
        done = CliRunner().invoke(commands[arguments[0]], arguments[1:])
        if isinstance(done.exception, AnalyticsError):
            return {"code": done.exception.exit_code, "said": str(done.exception)}
        trace = "".join(format_exception(done.exception)) if done.exit_code else ""
        return {"code": done.exit_code, "said": done.stdout or trace}
    app = create_app()
    if any("source=columns" in path for path in arguments[1:]):
        await_columns(app.extensions["connection"].answerer)
    replies = [app.test_client().get(path) for path in arguments[1:]]
    app.extensions["connection"].close()
    return {"replies": [[reply.status_code, reply.json if reply.is_json else reply.text] for reply in replies]}


def await_columns(answerer: Any) -> None:
    """Have the columns of the database built, as a worker of the service does."""
    answerer.keep_columns()
    deadline = time.monotonic() + 60
    while not (answerer.has_columns and answerer.known.watcher.current()):
        assert time.monotonic() < deadline, "no columns"
        time.sleep(0.02)


if __name__ == "__main__":
    if sys.argv[1]:
        declare(ENTRIES[sys.argv[1]])
    for line in sys.stdin:
        request = json.loads(line)
        os.environ.update(request["environment"])
        print(json.dumps(obey(request["arguments"])), flush=True)
