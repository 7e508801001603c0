"""The rows of an answer as columns: labelled, in the query's order, cut to the limit."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from catalog.dimensions import Vocabulary, iso_date
from catalog.measures import AVERAGE_SPEND, Measure, Parts, rounded
from pipelines.ask.queries import Descending
from pipelines.ask.question import Question
from pipelines.derived.groups import Array, Codes, Groups

Label = str | int
Labels = tuple[Label, ...]
"""What a reply shows for a group. Two groups may have the same labels, and stay two."""

LabelOf = Callable[[int], Label]

FEW = 64
"""So many codes are looked at one by one: numpy would take longer."""


@dataclass(frozen=True, eq=False)
class Table:
    """Rows in their order.

    Attributes:
        groups: the groups that the rows stand for.
        label_of: for each part of a key, the function from a code to its label.
    """

    groups: Groups
    label_of: tuple[LabelOf, ...]

    def __len__(self) -> int:
        return len(self.groups)

    def __iter__(self) -> Iterator[tuple[Labels, Parts]]:
        return zip(self.labels, self.groups.parts, strict=True)

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, (Table, tuple)) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    @property
    def labels(self) -> Iterator[Labels]:
        """The labels of each row."""
        columns = self.columns(lambda label: label)
        return zip(*columns, strict=True) if columns else iter([()] * len(self))

    @cached_property
    def codes(self) -> tuple[Codes, ...]:
        """The codes of each row."""
        return tuple(self.groups.codes)

    def columns(self, show: Callable[[Label], Any]) -> list[list[Any]]:
        """For each part of the key its labels, row by row, as `show` shows them; it is called once for each member."""
        columns = []
        for key, label_of in zip(self.groups.keys, self.label_of, strict=True):
            distinct, places = members(key)
            shown = [show(label_of(code)) for code in distinct]
            columns.append([shown[place] for place in places.tolist()])
        return columns


def members(codes: Array) -> tuple[list[int], Array]:
    """The distinct codes, ascending, and for each value its place among them."""
    if len(codes) <= FEW:
        found: list[int] = sorted(set(codes.tolist()))
        place_of = {code: place for place, code in enumerate(found)}
        return found, np.array([place_of[code] for code in codes.tolist()], np.int64)
    base = int(codes.min())
    span = int(codes.max()) - base + 1
    if span > 4 * len(codes) + 10_000:  # far apart: sorting is cheaper than a table by code
        distinct, places = np.unique(codes, return_inverse=True)
        return distinct.tolist(), places
    present = np.flatnonzero(np.bincount(codes - base, minlength=span))
    place = np.empty(span, np.int64)
    place[present] = np.arange(len(present))
    return (present + base).tolist(), place[codes - base]


def labellers(question: Question, vocabulary: Vocabulary) -> tuple[LabelOf, ...]:
    """For each part of a key, the function from a code to its label."""
    dimensions = [dimension.labels(vocabulary) for dimension in question.query.by]
    return (iso_date, *dimensions) if question.interval else tuple(dimensions)


def in_order(question: Question, groups: Groups, label_of: Sequence[LabelOf]) -> Table:
    """All groups as rows: by interval, then by the query's order, then by label, then by code."""
    is_day = [True] * bool(question.interval) + [dimension.is_date for dimension in question.query.by]
    ranks, ties = [], []
    for key, of, day in zip(groups.keys, label_of, is_day, strict=True):
        rank, has_ties = (key, False) if day else _ranks(key, of)
        ranks.append(rank)
        ties += [key] if has_ties else []
    declared = question.query.order
    if isinstance(declared, Descending):
        value = figures(declared.measure, groups.sums)
        skip = 1 if question.interval else 0
        ranks[skip:skip] = [-value]  # what has nothing to average is -1, and comes last
    last_first = [*ties[::-1], *ranks[::-1]]
    order = np.lexsort(last_first) if last_first else np.arange(len(groups))
    return Table(groups.take(order), tuple(label_of))


def _ranks(codes: Array, label_of: LabelOf) -> tuple[Array, bool]:
    """The place of each code's label among those that occur, and whether some codes have the same label and place."""
    distinct, places = members(codes)
    labels = [label_of(code) for code in distinct]
    rank = {label: number for number, label in enumerate(sorted(set(labels)))}
    return np.array([rank[label] for label in labels], np.int64)[places], len(rank) < len(labels)


def figures(measure: Measure, sums: Array) -> Array:
    """The figure of each group as a whole number, in cents if it is money; -1 where there is nothing to average."""
    if measure is not AVERAGE_SPEND:
        whole: Any = measure.whole(Parts(*sums))
        return np.asarray(whole)
    _, priced, cents = sums
    return np.where(priced > 0, rounded(cents, np.maximum(priced, 1)), -1)


def cut(question: Question, table: Table) -> Table:
    """The rows up to the limit: so many in each interval, or in all without one."""
    limit = question.limit
    if limit is None or len(table) <= limit:
        return table
    if not question.interval:
        return Table(table.groups.take(np.arange(limit)), table.label_of)
    interval = table.groups.keys[0]
    starts = np.flatnonzero(np.diff(interval, prepend=interval[0] - 1))
    place = np.arange(len(interval)) - np.repeat(starts, np.diff(starts, append=len(interval)))
    return Table(table.groups.take(np.flatnonzero(place < limit)), table.label_of)
