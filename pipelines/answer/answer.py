"""An answer: the finished, ordered rows of a question, and where they came from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from catalog.dimensions import UNKNOWN, Vocabulary
from catalog.measures import MEASURES, NOTHING, Measure, Parts
from pipelines.answer.table import LabelOf, Labels, Table, cut, figures, in_order, labellers
from pipelines.ask.question import BUCKET, Question
from pipelines.derived.groups import Array, Codes, Groups, merge
from pipelines.plan.reads import Plan
from pipelines.state.version import Version


class Arranged(NamedTuple):
    """The rows in order and cut, the total of all groups, and the answer in a sentence."""

    rows: Table
    total: Parts
    sentence: str


@dataclass(frozen=True)
class Column:
    """A column of an answer: its name, its type (`string`, `integer`, `date`, `decimal`) and its unit."""

    name: str
    type: str
    unit: str | None = None


PREVIOUS, CHANGE = "previous", "change_percent"
"""The columns of a comparison: the measures of the earlier period, and how much each has changed since."""


@dataclass(frozen=True)
class Previous:
    """The earlier period of a comparison.

    Attributes:
        first, last: its days; None where there are no data to tell them.
        rows: the parts of the answer's rows in it, in the same order; None where a group had nothing.
        total: the parts of all that matches in it, also of what has no row in the answer.
    """

    first: date | None
    last: date | None
    rows: tuple[Parts | None, ...]
    total: Parts


@dataclass(frozen=True)
class Answer:
    """What was found.

    Attributes:
        question: what was asked.
        filters: the question's parameters in their canonical form.
        rows: the groups in the query's order, cut to the limit.
        total: the parts of all that matches, also of what the limit cut off.
        sentence: the answer in one sentence.
        plan: what was read, and what was not.
        version, as_of: the version of the data, and the moment that was read.
        previous: the earlier period, where one is compared with.
    """

    question: Question
    filters: Mapping[str, Any]
    rows: Table
    total: Parts
    sentence: str
    plan: Plan
    version: Version
    as_of: datetime
    previous: Previous | None = None

    @property
    def data_version(self) -> int:
        """The number of the data version."""
        return self.version.number

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns: the interval, the dimensions, the four measures, and of a comparison its two objects."""
        compared = (Column(PREVIOUS, "object"), Column(CHANGE, "object", "percent")) if self.previous else ()
        return (*self._keys, *_MEASURES, *compared)

    @property
    def flat_columns(self) -> tuple[Column, ...]:
        """The columns of `tuples`: those of a comparison are eight, such as `previous_revenue`."""
        if not self.previous:
            return self.columns
        previous = (Column(f"{PREVIOUS}_{each.name}", each.type, each.unit) for each in MEASURES)
        changes = (Column(f"{CHANGE}_{each.name}", "percent", "percent") for each in MEASURES)
        return (*self._keys, *_MEASURES, *previous, *changes)

    @property
    def _keys(self) -> tuple[Column, ...]:
        bucket = (Column(BUCKET, "date"),) if self.question.interval else ()
        keys = (Column(dimension.name, dimension.type) for dimension in self.question.query.by)
        return (*bucket, *keys)

    def records(self) -> list[dict[str, Any]]:
        """The rows as column name to value, as JSON has them: money and changes are text."""
        names = [column.name for column in self._keys]
        records = [dict(zip(names, key, strict=True)) | show(parts) for key, parts in self.rows]
        if self.previous:
            for record, (_, parts), before in zip(records, self.rows, self.previous.rows, strict=True):
                record |= compared(parts, before)
        return records

    def totals(self) -> dict[str, Any]:
        """The four measures of all that matches, and of a comparison the two objects."""
        return show(self.total) | (compared(self.total, self.previous.total) if self.previous else {})

    def tuples(self) -> Iterable[tuple[Any, ...]]:
        """The rows as values alone, in the order of `flat_columns`."""
        earlier = self.previous.rows if self.previous else (None,) * len(self.rows)
        for (key, parts), before in zip(self.rows, earlier, strict=True):
            row = (*key, *finish(parts).values())
            if self.previous:
                previous = finish(before).values() if before else (None,) * len(MEASURES)
                row = (*row, *previous, *change(parts, before).values())
            yield row


_MEASURES = tuple(Column(measure.name, measure.type, measure.unit) for measure in MEASURES)


def compared(now: Parts, before: Parts | None) -> dict[str, Any]:
    """The two objects of a comparison: the measures before, or None where there was nothing, and the change."""
    changes = {name: None if percent is None else str(percent) for name, percent in change(now, before).items()}
    return {PREVIOUS: show(before) if before and before.transactions else None, CHANGE: changes}


def change(now: Parts, before: Parts | None) -> dict[str, Decimal | None]:
    """By measure, how many percent the figure shown has changed; None from nothing or from zero, and to no average."""
    return {each.name: _change(each, now, before) if before else None for each in MEASURES}


def _change(measure: Measure, now: Parts, before: Parts) -> Decimal | None:
    new, old = measure.finish(now), measure.finish(before)
    if new is None or not old:
        return None
    exact = Decimal(100) * (new - old) / old
    return exact.quantize(Decimal("0.1"), ROUND_HALF_UP) + 0  # adding 0 makes -0.0 a 0.0


def finish(parts: Parts) -> dict[str, Any]:
    """The four measures of a group, by name."""
    return {measure.name: measure.finish(parts) for measure in MEASURES}


def show(parts: Parts) -> dict[str, Any]:
    """The same as JSON has them."""
    return {measure.name: measure.show(parts) for measure in MEASURES}


def arrange(question: Question, groups: Groups, vocabulary: Vocabulary) -> Arranged:
    """Label, order and cut the groups, whose keys are distinct.

    The order is total: by interval, then by the query's order, then by the group's label, then by its codes. Groups
    are told apart by their codes alone.
    """
    label_of = labellers(question, vocabulary)
    if len(groups) and not groups.sums[0].all():
        groups = groups.take(np.flatnonzero(groups.sums[0]))
    rows = in_order(question, groups, label_of)
    total = groups.total
    sentence = question.query.sentence.tell(Told(question, groups, label_of), total)
    return Arranged(cut(question, rows), total, sentence)


class Told:
    """What a sentence is made of: the groups over all intervals."""

    def __init__(self, question: Question, groups: Groups, label_of: Sequence[LabelOf]) -> None:
        self._has_intervals = question.interval is not None
        self._groups = groups
        self._label_of = label_of[1:] if self._has_intervals else label_of

    @cached_property
    def _whole(self) -> Groups:
        if not self._has_intervals:
            return self._groups
        return merge([Groups(self._groups.keys[1:], self._groups.sums)], len(self._label_of))

    def leader(self, measure: Measure) -> tuple[str, Parts] | None:
        """The group with the highest measure, the first by label of equal ones; Unknown only if there is no other."""
        values = figures(measure, self._whole.sums)
        if not len(values):
            return None
        best = self._known(np.flatnonzero(values == values.max()))
        if not best and (known := self._known(np.arange(len(values)))):  # Unknown has most: look at the others alone
            highest = values[known].max()
            best = [row for row in known if values[row] == highest]
        first = min(best or range(len(values)), key=lambda row: (self._labels(row), self._codes(row)))
        return self._text(self._labels(first)), Parts(*self._whole.sums[:, first].tolist())

    def of(self, label: str) -> Parts:
        """The parts of the group with this label; NOTHING if there is none."""
        rows = zip(range(len(self._whole)), self._whole.parts, strict=True)
        return next((parts for row, parts in rows if self._text(self._labels(row)) == label), NOTHING)

    def _known(self, rows: Array) -> list[int]:
        """Those of some groups that are not the group of unknowns."""
        found: list[int] = rows.tolist()
        return [row for row in found if self._labels(row) != (UNKNOWN,)]

    def _codes(self, row: int) -> Codes:
        return tuple(int(key[row]) for key in self._whole.keys)

    def _labels(self, row: int) -> Labels:
        return tuple(of(code) for of, code in zip(self._label_of, self._codes(row), strict=True))

    @staticmethod
    def _text(labels: Labels) -> str:
        return " / ".join(map(str, labels))
