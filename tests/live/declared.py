"""Run the program as if one entry more were declared: `python -m tests.live.declared ENTRY MODULE ARGUMENT...`.

The module `http` stands for the service: it is asked each path, and prints the replies as JSON, one a line.
"""

import json
import runpy
import sys
from dataclasses import replace
from typing import Any

from catalog import purchases
from catalog.dimensions import UNKNOWN
from catalog.kinds import Attribute, Banded, Bands, DatePart, Enumerated, Home, Referred

CHANNEL: dict[str, Any] = {
    "name": "channel", "label": "Channel", "column": "Channel", "optional": True,
    "members": (UNKNOWN, "Phone", "Shop", "Web"), "shares": {"web": 0.5, "Shop": 0.3, "Phone": 0.1}, "missing": 0.1,
}  # fmt: skip
ENTRIES: dict[str, Attribute | DatePart] = {
    "reference of the transaction": Referred(**CHANNEL, home=Home.TRANSACTION, collection="channels"),
    "label of the transaction": Enumerated(**CHANNEL, home=Home.TRANSACTION),
    "label of the customer": Enumerated(**CHANNEL, home=Home.CUSTOMER),
    "bands of a number": Banded(
        name="items", label="Items", column="Items", optional=True, home=Home.TRANSACTION, most=50, missing=0.1,
        sample=range(1, 12),
        bands=Bands(name="channel", label="Basket", members=(UNKNOWN, "Phone", "Shop", "Web"), bounds=(3, 6)),
    ),
    "part of the date": DatePart(
        name="quarter", label="Quarter", members=("Q1", "Q2", "Q3", "Q4"), part=lambda day: (day.month - 1) // 3,
        formula=lambda day: {"$floor": {"$divide": [{"$subtract": [{"$month": day}, 1]}, 3]}},
    ),
}  # fmt: skip


def declare(entry: Attribute | DatePart) -> None:
    """Add an entry to the data set, before anything is made of it."""
    declared = purchases.PURCHASES
    if isinstance(entry, Attribute):
        purchases.PURCHASES = replace(declared, attributes=(*declared.attributes, entry))
    else:
        purchases.PURCHASES = replace(declared, parts=(*declared.parts, entry))


def ask(paths: list[str]) -> None:
    """Print the replies of the service."""
    from service.app import create_app

    app = create_app()
    client = app.test_client()
    for path in paths:
        reply = client.get(path)
        body = reply.json if reply.is_json else reply.text
        print(json.dumps({"status": reply.status_code, "body": body}))
    app.extensions["connection"].close()


if __name__ == "__main__":
    _, name, module, *arguments = sys.argv
    if name:
        declare(ENTRIES[name])
    if module == "http":
        ask(arguments)
    else:
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
