"""Build the rollups of a period: from columns of transactions, or from the rollups of shorter periods.

A slice is a document `{period, start, dimension, member, cells}`; `cells` holds for each other dimension an
array of `{k, n, p, r}`: code, transactions, priced transactions, cents. Empty cells are absent.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import bson
import numpy as np
from bson.raw_bson import RawBSONDocument

from catalog.dimensions import DATE, FILTERABLE, date_of, day_number, day_of
from catalog.measures import Parts
from pipelines.calendar import Grain, Period
from pipelines.columns import NULL, Array, Columns
from pipelines.rollups import ALL, TOTAL

EXACT = 2**53
"""Doubles add whole numbers exactly below this, and numpy's `bincount` adds doubles."""


class Table:
    """The cells of one slice by one dimension, in the order of their codes.

    Attributes:
        codes, transactions, priced, cents: int64 each, of the same length.
    """

    def __init__(self, codes: Array, transactions: Array, priced: Array, cents: Array) -> None:
        self.codes, self.transactions, self.priced, self.cents = codes, transactions, priced, cents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and self.as_dict() == other.as_dict()

    __hash__ = None  # type: ignore[assignment]  # mutable arrays

    def as_dict(self) -> dict[int, Parts]:
        """The parts by code."""
        columns = (self.codes, self.transactions, self.priced, self.cents)
        return {code: Parts(*parts) for code, *parts in zip(*(column.tolist() for column in columns), strict=True)}


Slice = tuple[str, int, Period]
"""Dimension (or `all`), member, period."""


def sums(keys: Array, cents: Array, size: int) -> tuple[Array, Array, Array]:
    """Transactions, priced transactions and cents of each key from 0 to `size` - 1, exactly."""
    known = cents != NULL
    transactions = np.bincount(keys, minlength=size)
    priced_keys, priced_cents = keys[known], cents[known]
    priced = np.bincount(priced_keys, minlength=size)
    if priced_cents.sum(dtype=np.int64) < EXACT:
        total = np.bincount(priced_keys, priced_cents, size).astype(np.int64)
    else:  # in two halves, each of which stays below the bound for 2^27 rows
        low = np.bincount(priced_keys, priced_cents & (2**26 - 1), size).astype(np.int64)
        total = (np.bincount(priced_keys, priced_cents >> 26, size).astype(np.int64) << 26) + low
    return transactions, priced, total


def of_month(columns: Columns, month: Period) -> Iterator[tuple[Slice, dict[str, Table]]]:
    """The slices of a month and of its days, from its transactions."""
    first = day_number(month.start)
    codes = {each.name: columns.codes[each.name] for each in FILTERABLE} | {
        DATE.name: columns.codes[DATE.name] - first,
        ALL: np.zeros(len(columns), np.int64),
    }
    sizes = {name: int(values.max(initial=-1)) + 1 for name, values in codes.items()}
    pairs = _pairs(codes, sizes, columns.cents)
    for of in (ALL, *(each.name for each in FILTERABLE)):
        for member in range(sizes[of]):
            cells = {
                by: _table(pairs[of, by], member, first if by == DATE.name else 0)
                for by in codes
                if by not in (of, ALL)
            }
            cells[TOTAL] = _table(pairs[of, ALL], member)
            if len(cells[TOTAL].codes):
                yield (of, member, month), cells
    for day in range(sizes[DATE.name]):
        cells = {each.name: _table(pairs[DATE.name, each.name], day) for each in FILTERABLE}
        cells[TOTAL] = _table(pairs[DATE.name, ALL], day)
        if len(cells[TOTAL].codes):
            yield (ALL, 0, Period(date_of(first + day), Grain.DAY)), cells


Sums = tuple[Array, Array, Array]


def _pairs(codes: Mapping[str, Array], sizes: Mapping[str, int], cents: Array) -> dict[tuple[str, str], Sums]:
    """The sums of every pair as tables of |first| x |second|, both ways round."""
    names = list(codes)
    pairs: dict[tuple[str, str], Sums] = {}
    for position, one in enumerate(names):
        for other in names[position:]:
            shape = (sizes[one], sizes[other])
            found = sums(codes[one] * sizes[other] + codes[other], cents, sizes[one] * sizes[other])
            transactions, priced, total = (each.reshape(shape) for each in found)
            pairs[one, other] = transactions, priced, total
            pairs[other, one] = transactions.T, priced.T, total.T
    return pairs


def _table(pair: Sums, member: int, base: int = 0) -> Table:
    """The non-empty cells of one member."""
    transactions, priced, cents = (each[member] for each in pair)
    present = np.flatnonzero(transactions)
    return Table(present + base, transactions[present], priced[present], cents[present])


def of_year(year: Period, months: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Slice, dict[str, Table]]]:
    """The slices of a year from the documents of its months' slices. A year has no cells by date."""
    totals: dict[tuple[str, int], dict[str, dict[int, Parts]]] = {}
    for document in months:
        of = totals.setdefault((document["dimension"], document["member"]), {})
        for by, cells in document["cells"].items():
            if by == DATE.name:
                continue
            merged = of.setdefault(by, {})
            for cell in cells:
                parts = Parts(cell["n"], cell["p"], cell["r"])
                merged[cell["k"]] = merged[cell["k"]].merge(parts) if cell["k"] in merged else parts
    for (dimension, member), cells_by in totals.items():
        tables = {}
        for by, merged in cells_by.items():
            codes = sorted(merged)
            columns = np.array([(code, *merged[code]) for code in codes], np.int64).T
            tables[by] = Table(*columns)
        yield (dimension, member, year), tables


def encode(key: Slice, cells: Mapping[str, Table]) -> RawBSONDocument:
    """A slice as the document that is stored."""
    dimension, member, period = key
    head = {
        "_id": slice_id(key), "period": period.name, "start": day_of(day_number(period.start)),
        "dimension": dimension, "member": member,
    }  # fmt: skip
    inner = b"".join(b"\x04" + by.encode() + b"\0" + _array(table) for by, table in cells.items())
    body = bson.encode(head)[4:-1] + b"\x03cells\0" + _framed(inner)
    return RawBSONDocument(_framed(body))


def slice_id(key: Slice) -> str:
    """`_id` of a slice."""
    dimension, member, period = key
    return f"{period.name}:{dimension}:{member}"


def decode(document: Mapping[str, Any]) -> dict[str, dict[int, Parts]]:
    """The cells of a stored slice, as `Table.as_dict` gives them."""
    return {
        by: {cell["k"]: Parts(cell["n"], cell["p"], cell["r"]) for cell in cells}
        for by, cells in document["cells"].items()
    }


def _framed(body: bytes) -> bytes:
    return (len(body) + 5).to_bytes(4, "little") + body + b"\0"


def _array(table: Table) -> bytes:
    """A BSON array of cells: copies of a template, into which numpy puts the numbers. Dicts take ten times as long."""
    parts = []
    size = len(table.codes)
    begin, digits = 0, 1
    while begin < size:
        end = min(10**digits, size)
        cells = _template(digits)[: end - begin].copy()
        cells["k"], cells["n"] = table.codes[begin:end], table.transactions[begin:end]
        cells["p"], cells["r"] = table.priced[begin:end], table.cents[begin:end]
        parts.append(cells.tobytes())
        begin, digits = end, digits + 1
    return _framed(b"".join(parts))


_CELL_BYTES = 4 + 3 * (3 + 4) + (3 + 8) + 1


@cache
def _template(digits: int) -> Array:
    """The cells whose index in an array has so many digits, all but their numbers."""
    first = 0 if digits == 1 else 10 ** (digits - 1)
    numbers = [item for name in "knp" for item in ((f"t{name}", "V3"), (name, "<i4"))]
    layout = [
        ("head", "V1"),
        ("index", f"S{digits}"),
        ("frame", "V5"),
        *numbers,
        ("tr", "V3"),
        ("r", "<i8"),
        ("end", "V1"),
    ]
    cells = np.zeros(10**digits - first, layout)
    cells["head"] = np.void(b"\x03")
    cells["index"] = np.arange(first, 10**digits).astype(f"S{digits}")
    cells["frame"] = np.void(b"\0" + _CELL_BYTES.to_bytes(4, "little"))
    for name, kind in (("k", b"\x10"), ("n", b"\x10"), ("p", b"\x10"), ("r", b"\x12")):
        cells[f"t{name}"] = np.void(kind + name.encode() + b"\0")
    return cells
