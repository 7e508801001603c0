"""Build the rollups of a period from columns of transactions, all cells of a month at once.

A slice is a document `{period, start, dimension, member, cells}`; `cells` holds for each other dimension an
array of `{k, n, p, r}`: code, transactions, priced transactions, cents. Empty cells are absent.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from catalog.calendar import Grain, Period
from catalog.dimensions import date_of, day_number, day_of
from catalog.kinds import NULL
from catalog.measures import Parts
from catalog.purchases import DATE, PURCHASES
from pipelines.derived.columns import Array, Columns
from pipelines.plan.rollups import ALL, TOTAL
from store.bson.elements import elements, framed, nested
from store.bson.to_documents import Encoded, arrays

EXACT = 2**53
"""Doubles add whole numbers exactly below this, and numpy's `bincount` adds doubles."""

Pair = tuple[str, str]
_MEMBERS = (ALL, *(each.name for each in PURCHASES.filterable))


@dataclass(frozen=True)
class Slices:
    """The slices of a month and of its days, or of a year, encoded.

    Attributes:
        documents: the slices.
        cells: how many cells they have.
        counts: how many transactions each code has, as `Counts.packed`.
    """

    documents: list[Encoded]
    cells: int
    counts: Mapping[str, bytes]


def sums(keys: Array, cents: Array, size: int) -> tuple[Array, Array, Array]:
    """Transactions, priced transactions and cents of each key from 0 to `size` - 1, exactly."""
    known = cents != NULL
    priced_keys, priced_cents = keys[known], cents[known]
    total = np.zeros(size, np.int64)
    for shift, doubles in _doubles(priced_cents):
        total += np.bincount(priced_keys, doubles, size).astype(np.int64) << shift
    return np.bincount(keys, minlength=size), np.bincount(priced_keys, minlength=size), total


def _doubles(cents: Array) -> tuple[tuple[int, Array], ...]:
    """Amounts as doubles that add up exactly: as they are, or as two halves that stay exact for 2^27 rows."""
    if cents.sum(dtype=np.int64) < EXACT:
        return ((0, cents.astype(np.float64)),)
    return (0, (cents & (2**26 - 1)).astype(np.float64)), (26, (cents >> 26).astype(np.float64))


def of_month(columns: Columns, month: Period) -> Slices:
    """The slices of a month and of its days, from its transactions."""
    first = day_number(month.start)
    dates = {DATE.name: columns.codes[DATE.name] - first}
    pairs = _pairs(columns, dates)
    cells = _Layout(pairs, (*_MEMBERS, DATE.name), first)
    documents = [cells.slice(of, member, month) for of in _MEMBERS for member in cells.members(of)]
    days = [(day, Period(date_of(first + day), Grain.DAY)) for day in cells.members(DATE.name)]
    return Slices([*documents, *(cells.slice(DATE.name, *day) for day in days)], cells.count, _counts(pairs))


def of_year(year: Period, months: Iterable[Columns]) -> Slices:
    """The slices of a year, from its transactions, a month in memory at a time. A year has no cells by date."""
    total: dict[Pair, Array] = {}
    for columns in months:
        for pair, found in _pairs(columns, {}).items():
            total[pair] = _added(total[pair], found) if pair in total else found
    if not total:
        return Slices([], 0, {})
    cells = _Layout(total, _MEMBERS, 0)
    documents = [cells.slice(of, member, year) for of in _MEMBERS for member in cells.members(of)]
    return Slices(documents, cells.count, _counts(total))


def _counts(pairs: Mapping[Pair, Array]) -> dict[str, bytes]:
    return {of: found[0].astype("<u4").tobytes() for (of, by), found in pairs.items() if by == ALL != of}


def _pairs(columns: Columns, dates: Mapping[str, Array]) -> dict[Pair, Array]:
    """The sums of each pair of dimensions: transactions, priced and cents as |3| x |first| x |second|.

    Rows with an amount come first, so that theirs are the first of each array and nothing has to be picked.
    """
    known = columns.cents != NULL
    order = np.argsort(~known, kind="stable")
    priced = int(np.count_nonzero(known))
    codes = {each.name: columns.codes[each.name] for each in PURCHASES.filterable} | dict(dates)
    codes = {name: each[order].astype(np.int64) for name, each in codes.items()}
    codes[ALL] = np.zeros(len(order), np.int64)
    sizes = {name: int(each.max(initial=-1)) + 1 for name, each in codes.items()}
    doubles = _doubles(columns.cents[order][:priced])
    pairs = {}
    for one, other in (*combinations(codes, 2), (ALL, ALL)):
        size = sizes[one] * sizes[other]
        keys = codes[one] * sizes[other] + codes[other]
        found = np.zeros((3, size), np.int64)
        found[0], found[1] = np.bincount(keys, minlength=size), np.bincount(keys[:priced], minlength=size)
        for shift, each in doubles:
            found[2] += np.bincount(keys[:priced], each, size).astype(np.int64) << shift
        pairs[one, other] = found.reshape(3, sizes[one], sizes[other])
    return pairs


def _added(one: Array, other: Array) -> Array:
    total = np.zeros(np.maximum(one.shape, other.shape), np.int64)
    for each in (one, other):
        total[:, : each.shape[1], : each.shape[2]] += each
    return total


class _Layout:
    """All cells of a period as BSON, those of each slice and dimension one after another.

    Attributes:
        count: how many there are.
    """

    def __init__(self, pairs: Mapping[Pair, Array], names: Iterable[str], first_day: int) -> None:
        """Lay out the cells of the members of `names` by each other dimension; `ALL` stands for the total."""
        every = [name for name, other in pairs if other == ALL]  # ALL comes last
        self._by = {of: [by for by in every if by == ALL or by != of] for of in names}
        parts, tables, sizes = [], [], []
        for of, dimensions in self._by.items():
            for by in dimensions:
                table = pairs[of, by] if (of, by) in pairs else pairs[by, of].transpose(0, 2, 1)
                members, codes = np.nonzero(table[0])
                base = first_day if by == DATE.name else 0
                parts.append(np.vstack((codes + base, table[:, members, codes])))
                starts = np.flatnonzero(np.diff(members, prepend=-1))
                tables += [(of, by, member) for member in members[starts].tolist()]
                sizes.append(np.diff(starts, append=len(members)))
        columns = np.concatenate(parts, axis=1)
        self.count = columns.shape[1]
        fields = zip(("int", "int", "int", "long"), "knpr", columns, strict=True)
        self._cells = dict(zip(tables, arrays(np.concatenate(sizes), *fields), strict=True))

    def members(self, of: str) -> Iterator[int]:
        """The members that occur."""
        return (member for name, by, member in self._cells if name == of and by == ALL)

    def slice(self, of: str, member: int, period: Period) -> Encoded:
        """A slice as the document that is stored."""
        is_day = period.grain is Grain.DAY
        dimension, stored = (ALL, 0) if is_day else (of, member)
        head = {
            "_id": slice_id(dimension, stored, period), "period": period.name,
            "start": day_of(day_number(period.start)), "dimension": dimension, "member": stored,
        }  # fmt: skip
        tables = ((TOTAL if by == ALL else by, self._cells[of, by, member]) for by in self._by[of])
        cells = b"".join(nested("array", name, each) for name, each in tables)
        return Encoded(framed(elements(head) + nested("object", "cells", cells)))


def slice_id(dimension: str, member: int, period: Period) -> str:
    """`_id` of a slice."""
    return f"{period.name}:{dimension}:{member}"


def read_cells(document: Mapping[str, Any]) -> dict[str, dict[int, Parts]]:
    """The cells of a stored slice by dimension and code."""
    return {
        by: {cell["k"]: Parts(cell["n"], cell["p"], cell["r"]) for cell in cells}
        for by, cells in document["cells"].items()
    }
