"""The reply of a peer: rows and totals with the four measures. Money is a number, exact to the cent."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from bench.peers.asked import MEASURES, Asked
from bench.peers.statement import keys


def figures(transactions: int, priced: int, cents: int) -> tuple[int, int, float, float | None]:
    """The measures. A whole number of cents by 100 is the double nearest to the decimal, whose text is that decimal."""
    return transactions, priced, cents / 100, (2 * cents + priced) // (2 * priced) / 100 if priced else None


def of_rows(asked: Asked, groups: Sequence[Sequence[Any]]) -> bytes:
    """The reply of groups that end with their three sums, in their order."""
    names = (*keys(asked), *MEASURES)
    rows = [dict(zip(names, (*group[:-3], *figures(*group[-3:])), strict=True)) for group in groups[: asked.limit]]
    body: bytes = orjson.dumps({"rows": rows, "totals": totals(groups)})
    return body


def totals(groups: Iterable[Sequence[Any]]) -> dict[str, Any]:
    """The measures of all groups together."""
    sums = [sum(each) for each in zip(*(group[-3:] for group in groups), strict=True)] or [0, 0, 0]
    return dict(zip(MEASURES, figures(*sums), strict=True))
