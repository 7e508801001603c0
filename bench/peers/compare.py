"""Whether two replies say the same: all rows and the totals, money as whole cents."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bench.peers.asked import MEASURES

Figures = tuple[int, int, int, int | None]
"""Transactions, those with an amount, cents, cents on average."""


def normalised(body: str, keys: tuple[str, ...]) -> Mapping[tuple[str, ...], Figures]:
    """The figures of each group, and of all, whose key is empty.

    Raises:
        AssertionError: a group stands there twice.
    """
    reply = json.loads(body, parse_float=Decimal)
    rows = reply["data"] if "data" in reply else reply["rows"]  # ClickHouse calls the rows data, their number rows
    found = {tuple(str(row[key]) for key in keys): _figures(row) for row in rows}
    if len(found) < len(rows):
        raise AssertionError("a group stands twice in a reply")
    return found | {(): _figures(reply["totals"])}


def difference(ours: Mapping[tuple[str, ...], Figures], theirs: Mapping[tuple[str, ...], Figures]) -> str:
    """The first difference; empty where there is none."""
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key):
            return f"{' / '.join(key) or 'totals'}: {ours.get(key)} and {theirs.get(key)}"
    return ""


def _figures(row: Mapping[str, Any]) -> Figures:
    transactions, priced, revenue, average = (row[name] for name in MEASURES)
    return int(transactions), int(priced), _cents(revenue) or 0, _cents(average)


def _cents(value: Any) -> int | None:
    """Dollars as whole cents.

    Raises:
        AssertionError: they are not whole.
    """
    if value is None:
        return None
    cents = Decimal(str(value)) * 100
    if cents != cents.to_integral_value():
        raise AssertionError(f"{value} has more than two places")
    return int(cents)
