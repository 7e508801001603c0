"""The four measures of every row, each built from sums that can be added up in any order.

A measure *lifts* a transaction to its parts (the accumulators), *merges* parts by adding them and
*finishes* by turning parts into the figure shown. Raw answers, rollups and pages share one finish,
so they cannot differ in anything but the parts, and those are whole numbers.

A largest or smallest amount is not such a measure, although it could be merged. Parts are only ever added, and much
rests on it: a year is the sum of its months (`numpy.bincount` adds all pairs of dimensions of a month in one pass, and
has no largest), the total of an answer is the sum of its rows, and so are two of them that are compared. A second way
to merge would be in each of these places, and in every stored cell, for what the pages' columns answer exactly under
any filter. So do medians and percentiles, which cannot be merged at all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

AMOUNT = "amount_cents"


class Parts(NamedTuple):
    """What a group of transactions adds up to, all whole numbers.

    Attributes:
        transactions: how many rows.
        priced: how many of them have a known amount.
        cents: the sum of the known amounts, in cents.
    """

    transactions: int
    priced: int
    cents: int

    def merge(self, other: "Parts") -> "Parts":
        """The parts of both groups together."""
        return Parts(self.transactions + other.transactions, self.priced + other.priced, self.cents + other.cents)


NOTHING = Parts(0, 0, 0)

LIFT: Mapping[str, Any] = {
    "n": {"$sum": 1},
    "p": {"$sum": {"$cond": [{"$eq": [f"${AMOUNT}", None]}, 0, 1]}},
    "r": {"$sum": f"${AMOUNT}"},
}
"""The accumulators that lift transactions to parts, in the order of `Parts`. Money stays an integer: no division."""


def merge(cells: str) -> dict[str, Any]:
    """The accumulators that merge the cells in a field, which hold parts under the same names."""
    return {part: {"$sum": f"${cells}.{part}"} for part in LIFT}


@dataclass(frozen=True)
class Measure:
    """One figure of a row.

    Attributes:
        name: its column.
        label: what a person reads.
        type: `integer` or `decimal`.
        unit: `USD` or None.
        whole: the figure of some parts as a whole number, in cents if it is money; None if there is nothing to average.
    """

    name: str
    label: str
    type: str
    unit: str | None
    whole: Callable[[Parts], int | None]

    def finish(self, parts: Parts) -> int | Decimal | None:
        """The figure: an int, a Decimal with two places, or None."""
        return dollars(self.whole(parts)) if self.type == "decimal" else self.whole(parts)

    def show(self, parts: Parts) -> int | str | None:
        """The figure for JSON, with money as text, in a third of the time of `finish` and `str`."""
        value = self.whole(parts)
        return value if value is None or self.type == "integer" else f"{value // 100}.{value % 100:02}"


def rounded(cents: Any, count: Any) -> Any:
    """`cents / count` to the whole cent, half away from zero, of numbers or of arrays. Amounts are never negative."""
    quotient, rest = divmod(cents, count)
    return quotient + (2 * rest >= count)


def average_cents(cents: int, count: int) -> int | None:
    """The same of a group; None for a count of 0."""
    return rounded(cents, count) if count else None


def dollars(cents: int | None) -> Decimal | None:
    """Cents as an exact decimal with two places."""
    return None if cents is None else Decimal(cents).scaleb(-2)


TRANSACTION_COUNT = Measure("transactions", "Transactions", "integer", None, lambda parts: parts.transactions)
PRICED_TRANSACTIONS = Measure(
    "priced_transactions", "Transactions with a known amount", "integer", None, lambda parts: parts.priced
)
REVENUE = Measure("revenue", "Revenue", "decimal", "USD", lambda parts: parts.cents)
AVERAGE_SPEND = Measure(
    "average_spend", "Average spend", "decimal", "USD", lambda parts: average_cents(parts.cents, parts.priced)
)
MEASURES = (TRANSACTION_COUNT, PRICED_TRANSACTIONS, REVENUE, AVERAGE_SPEND)
