"""The refused rows of a load: listed, and exported to be corrected and loaded."""

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from catalog.collections import LOADS, QUARANTINE, TRANSACTIONS
from catalog.errors import UnknownName, UserError
from catalog.purchases import PURCHASES
from catalog.spreadsheets import harmless
from loader.loads.report import CONFLICT
from loader.reading.header import IGNORED
from store.client import Store, any_of

EXPLANATION = ("Quarantine_line", "Quarantine_column", "Quarantine_reason", "Quarantine_message")
_AT_ONCE = 10_000


def refused_rows(store: Store, load_id: str) -> Iterator[dict[str, Any]]:
    """The refused rows of a load in the order of its file.

    Raises:
        UnknownName: there is no such load.
    """
    outside = store.outside
    loads = [load["_id"] for load in outside.find(LOADS.name, fields={"_id": 1})]
    if load_id not in loads:
        raise UnknownName("load", load_id, loads)
    yield from outside.each(QUARANTINE.name, {"load_id": load_id}, sort=[("line", 1)])


def released_lines(store: Store, load_id: str) -> set[int]:
    """The lines that were refused because their id was stored with other content, and whose id is now free.

    That is the case after the other load was removed. Loading the file again inserts these rows.
    """
    conflicts = {"load_id": load_id, "reason": CONFLICT}
    found = store.outside.each(QUARANTINE.name, conflicts, {"_id": 0, "line": 1, "value": 1})
    released: set[int] = set()
    while some := list(islice(found, _AT_ONCE)):
        ids = [int(row["value"]) for row in some]
        there = {each["_id"] for each in store.outside.find(TRANSACTIONS.name, any_of(ids), {"_id": 1})}
        released |= {row["line"] for row, taken in zip(some, ids, strict=True) if taken not in there}
    return released


def export(store: Store, load_id: str, path: Path) -> int:
    """Write the refused rows as a CSV with the columns of their file and four more; returns their number.

    Cells that a spreadsheet would run as a formula are prefixed with an apostrophe. Surplus fields of a row are cut,
    and missing ones are empty; the complete row stays in the quarantine.

    Raises:
        UnknownName: there is no such load.
        UserError: the file cannot be written.
    """
    count = 0
    load = store.outside.find_one(LOADS.name, {"_id": load_id}) or {}
    names = load.get("columns", list(PURCHASES.header))
    kept = [at for at, name in enumerate(names) if not name.casefold().startswith(IGNORED)]  # of an earlier export
    rows = refused_rows(store, load_id)
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*(names[at] for at in kept), *EXPLANATION])
            for count, row in enumerate(rows, 1):  # noqa: B007  the last one is the result
                fields = dict(enumerate(next(csv.reader([row["raw"]]), [])))
                cells = [fields.get(at, "") for at in kept]
                explained = [str(row["line"]), row["column"], row["reason"], row["message"]]
                writer.writerow([harmless(cell) for cell in (*cells, *explained)])
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}).") from error
    return count
