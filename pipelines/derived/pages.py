"""Pages: the transactions of a month as compact columns, and questions answered from them at column speed.

A page is a document `{month, part, built, rows, columns}`; `columns` holds little-endian numbers as bytes:
the codes of each dimension in the smallest unsigned type, `date` as the day of the month from 0, and
`cents` as int32 or int64 with -1 where the amount is unknown. Rows are in the order of their days.

Arrow IPC with Arrow's own compute was the alternative (`python -m bench pages`): over a million rows it opens
in 0.3 instead of 19 ms, but takes 2.1 to 2.7 times as long for a filtered question, which is what pages are
for, and would bring a library of 100 MB into each worker.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from catalog.calendar import Period
from catalog.collections import PAGES
from catalog.dimensions import day_number, day_of
from catalog.purchases import DATE, PURCHASES
from pipelines.ask.question import Filter, Question
from pipelines.derived.columns import Array, Columns
from pipelines.derived.groups import Groups, merge
from pipelines.derived.slices import sums
from pipelines.plan.whole import NotWhole
from store.client import Reads

PART_ROWS = 250_000
"""A page is split above this many rows: at most 20 bytes each, far below the 16 MB of a document."""

CENTS = "cents"
_IN_ORDER = (("month", 1), ("part", 1))
MAX_GROUPS = 2**22
UNREADABLE = (ValueError, KeyError, TypeError, ZeroDivisionError)
"""What decoding a malformed page may raise."""


def pack(columns: Columns, month: Period, built: int) -> Iterator[dict[str, Any]]:
    """The page documents of a month."""
    first = day_number(month.start)
    for part, begin in enumerate(range(0, len(columns), PART_ROWS)):
        rows = slice(begin, begin + PART_ROWS)
        packed = {
            name: _smallest(codes[rows] - (first if name == DATE.name else 0)) for name, codes in columns.codes.items()
        }
        cents = columns.cents[rows]
        narrow = cents.max(initial=0) < 2**31
        yield {
            "_id": f"{month.name}:{part}",
            "month": day_of(first),
            "part": part,
            "built": built,
            "rows": len(cents),
            "columns": packed | {CENTS: cents.astype("<i4" if narrow else "<i8").tobytes()},
        }


def unpack(pages: Iterable[Mapping[str, Any]]) -> Columns:
    """The transactions of pages, in the given order, with dates as day numbers."""
    names = [*(dimension.name for dimension in PURCHASES.dimensions), CENTS]
    parts: dict[str, list[Array]] = {name: [] for name in names}
    for page in pages:
        first = day_number(page["month"].date())
        for name in names:
            packed = page["columns"][name]
            width = len(packed) // page["rows"]
            values = np.frombuffer(packed, f"<{'i' if name == CENTS else 'u'}{width}")
            if len(values) != page["rows"]:
                raise ValueError(f"column {name} of page {page['_id']} does not have one value for each row")
            parts[name].append(values.astype(np.int32) + first if name == DATE.name else values)
    joined = {name: np.concatenate(arrays) if arrays else np.empty(0, np.int64) for name, arrays in parts.items()}
    return Columns({name: joined[name] for name in names[:-1]}, joined[CENTS])


def read_pages(reads: Reads, months: Iterable[Period]) -> Columns:
    """The transactions of some months from their pages, in the order of their days."""
    starts = [day_of(day_number(month.start)) for month in months]
    return unpack(reads.find(PAGES.name, {"month": {"$in": starts}}, sort=_IN_ORDER))


def read_whole_pages(reads: Reads, expected: Mapping[Period, tuple[int, int]]) -> Columns:
    """The same for months whose number of rows and data version are known.

    Raises:
        NotWhole: a page is missing, has another version, or cannot be read.
    """
    starts = {day_of(day_number(month.start)): month for month in expected}
    pages: dict[Period, list[Mapping[str, Any]]] = {month: [] for month in expected}
    for page in reads.find(PAGES.name, {"month": {"$in": list(starts)}}, sort=_IN_ORDER):
        pages[starts[page["month"]]].append(page)
    missing = [month for month, (rows, built) in expected.items() if not _is_whole(pages[month], rows, built)]
    if missing:
        raise NotWhole(missing)
    return unpack(page for of_month in pages.values() for page in of_month)


def _is_whole(pages: Sequence[Mapping[str, Any]], rows: int, built: int) -> bool:
    """Whether these are all pages of a month, according to its period document."""
    try:
        return (
            [page["part"] for page in pages] == list(range(len(pages)))
            and sum(page["rows"] for page in pages) == rows
            and all(page["built"] == built and len(unpack([page])) for page in pages)
        )
    except UNREADABLE:
        return False


def evaluate(columns: Columns, question: Question, first: int, last: int) -> Groups:
    """Filter and group the transactions of the days (numbers) from `first` to `last`.

    The interval's part of a key is the day number itself; the caller folds days into intervals.
    """
    days = columns.codes[DATE.name]
    rows: slice | Array = slice(int(np.searchsorted(days, first, "left")), int(np.searchsorted(days, last, "right")))
    mask: Array | None = None
    for each in question.filters:
        kept = _kept(columns.codes[each.dimension.name][rows], each)
        mask = kept if mask is None else mask & kept
    if mask is not None:
        rows = np.flatnonzero(mask) + (rows.start if isinstance(rows, slice) else 0)
    dimensions = ((DATE,) if question.interval else ()) + question.query.by
    keys = np.zeros(len(columns.cents[rows]), np.int64)
    bases, sizes = [], []
    for dimension in dimensions:
        codes = columns.codes[dimension.name][rows].astype(np.int64)
        base = int(codes.min(initial=2**31)) if dimension.is_date and len(codes) else 0
        size = int(codes.max(initial=-1)) - base + 1
        keys = keys * size + (codes - base)
        bases.append(base)
        sizes.append(size)
    return _group(keys, columns.cents[rows], bases, sizes)


def _group(keys: Array, cents: Array, bases: list[int], sizes: list[int]) -> Groups:
    if not len(keys):
        return merge([], len(sizes))
    groups = int(np.prod(sizes)) if sizes else 1
    names = np.arange(groups)
    if groups > MAX_GROUPS:  # many possible groups, few of them there
        names, keys = np.unique(keys, return_inverse=True)
    found = np.stack(sums(keys, cents, len(names)))
    present = np.flatnonzero(found[0])
    codes = np.unravel_index(names[present], sizes) if sizes else ()
    return Groups(tuple(column + base for column, base in zip(codes, bases, strict=True)), found[:, present])


def _kept(codes: Array, condition: Filter) -> Array:
    if len(condition.codes) == 1:
        kept: Array = codes == condition.codes[0]
    else:
        table = np.zeros(max(int(codes.max(initial=0)), *condition.codes, 0) + 1, bool)
        table[list(condition.codes)] = True
        kept = table[codes]
    return ~kept if condition.negated else kept


def _smallest(values: Array) -> bytes:
    width = 1 if values.max(initial=0) < 2**8 else 2
    return values.astype(f"<u{width}").tobytes()
