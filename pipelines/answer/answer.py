"""An answer: the finished, ordered rows of a question, and where they came from."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, NamedTuple

from catalog.dimensions import Vocabulary, iso_date
from catalog.measures import MEASURES, NOTHING, Measure, Parts
from pipelines.ask.queries import Descending
from pipelines.ask.question import BUCKET, Question
from pipelines.plan.reads import Plan
from pipelines.state.version import Version

Codes = tuple[int, ...]
"""What a group is: the interval's first day (where one is asked for), then the code in each dimension."""

Grouped = Mapping[Codes, Parts]
Labels = tuple[str | int, ...]
"""What a reply shows for a group. Two groups may have the same labels, and stay two."""


class Row(NamedTuple):
    """One group: its labels, its parts, and the codes that identify it."""

    key: Labels
    parts: Parts
    codes: Codes


class Arranged(NamedTuple):
    """The rows in order and cut, the codes of each, the total of all groups, and the answer in a sentence."""

    rows: tuple[tuple[Labels, Parts], ...]
    codes: tuple[Codes, ...]
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
        rows: label of each group and its parts, in the query's order, cut to the limit.
        total: the parts of all that matches, also of what the limit cut off.
        sentence: the answer in one sentence.
        plan: what was read, and what was not.
        version, as_of: the version of the data, and the moment that was read.
        previous: the earlier period, where one is compared with.
        codes: what each row stands for, in the order of the rows.
    """

    question: Question
    filters: Mapping[str, Any]
    rows: tuple[tuple[Labels, Parts], ...]
    total: Parts
    sentence: str
    plan: Plan
    version: Version
    as_of: datetime
    previous: Previous | None = None
    codes: tuple[Codes, ...] = ()

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


def arrange(question: Question, grouped: Grouped, vocabulary: Vocabulary) -> Arranged:
    """Label, order and cut the groups.

    The order is total: by interval, then by the query's order, then by the group's label, then by its codes. Groups
    are told apart by their codes alone.
    """
    label = labeller(question, vocabulary)
    groups = [Row(label(codes), parts, codes) for codes, parts in grouped.items() if parts.transactions]
    groups.sort(key=order(question))
    total = Parts(*map(sum, zip(*(each.parts for each in groups), strict=True))) if groups else NOTHING
    shown = cut(question, groups)
    rows = tuple((each.key, each.parts) for each in shown)
    sentence = question.query.sentence.tell(_told(question, groups), total)
    return Arranged(rows, tuple(each.codes for each in shown), total, sentence)


def labeller(question: Question, vocabulary: Vocabulary) -> Callable[[Codes], Labels]:
    """What turns the codes of a group into its labels."""
    dimensions = [dimension.labels(vocabulary) for dimension in question.query.by]
    if question.interval:
        dimensions.insert(0, iso_date)

    def label(codes: Codes) -> Labels:
        return tuple(label_of(code) for label_of, code in zip(dimensions, codes, strict=True))

    return label


def _told(question: Question, groups: Iterable[Row]) -> list[tuple[str, Parts]]:
    """What a sentence is made of: the groups over all intervals, in the order of their labels."""
    skip = 1 if question.interval else 0
    together: dict[Codes, tuple[Labels, Parts]] = {}
    for key, parts, codes in groups:
        before = together.get(codes[skip:])
        together[codes[skip:]] = (key[skip:], parts.merge(before[1]) if before else parts)
    in_order = sorted(together.items(), key=lambda group: (group[1][0], group[0]))
    return [(" / ".join(map(str, key)), parts) for _, (key, parts) in in_order]


def cut(question: Question, rows: Iterable[Row]) -> tuple[Row, ...]:
    """The rows, which are in order, up to the limit: so many in each interval, or in all without one."""
    if not (question.interval and question.limit):
        return tuple(islice(rows, question.limit))
    by_interval = groupby(rows, key=lambda row: row.codes[0])
    return tuple(row for _, each in by_interval for row in islice(each, question.limit))


def order(question: Question) -> Callable[[Row], Any]:
    """What rows are sorted by: the interval, the query's order, the labels, the codes."""
    declared = question.query.order
    skip = 1 if question.interval else 0
    if not isinstance(declared, Descending):
        return itemgetter(0, 2)

    def rank(row: Row) -> tuple[Any, ...]:
        key, parts, codes = row
        value = declared.measure.finish(parts)
        return (*key[:skip], value is None, -(value or 0), *key[skip:], codes)  # nothing to average comes last

    return rank
