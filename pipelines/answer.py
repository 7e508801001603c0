"""An answer: the finished, ordered rows of a question, and where they came from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

from catalog.dimensions import DATE, HOUR, Dimension, Vocabulary, iso_date
from catalog.measures import MEASURES, NOTHING, Parts
from pipelines.planner import Plan
from pipelines.queries import Descending
from pipelines.question import BUCKET, Question
from pipelines.state import Version

Cells = Mapping[tuple[int, ...], Parts]
"""Parts by group: the interval's first day (where one is asked for), then the code in each dimension."""

Key = tuple[str | int, ...]


@dataclass(frozen=True)
class Column:
    """A column of an answer: its name, its type (`string`, `integer`, `date`, `decimal`) and its unit."""

    name: str
    type: str
    unit: str | None = None


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
    """

    question: Question
    filters: Mapping[str, Any]
    rows: tuple[tuple[Key, Parts], ...]
    total: Parts
    sentence: str
    plan: Plan
    version: Version
    as_of: datetime

    @property
    def data_version(self) -> int:
        """The number of the data version."""
        return self.version.number

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns: the interval, the dimensions, then the four measures."""
        bucket = (Column(BUCKET, "date"),) if self.question.interval else ()
        types = {DATE: "date", HOUR: "integer"}
        keys = (Column(dimension.name, types.get(dimension, "string")) for dimension in self.question.query.by)
        return (*bucket, *keys, *(Column(measure.name, measure.type, measure.unit) for measure in MEASURES))

    def records(self) -> list[dict[str, Any]]:
        """The rows as column name to value; money is a Decimal with two places."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, (*key, *finish(parts).values()), strict=True)) for key, parts in self.rows]


def finish(parts: Parts) -> dict[str, Any]:
    """The four measures of a group, by name."""
    return {measure.name: measure.finish(parts) for measure in MEASURES}


def arrange(
    question: Question, cells: Cells, vocabulary: Vocabulary
) -> tuple[tuple[tuple[Key, Parts], ...], Parts, str]:
    """Label, order and cut the groups: the rows, the total of all of them, and the answer in a sentence.

    The order is total: by interval, then by the query's order, then by the group's label.
    """
    vocabularies = [_labels(dimension, vocabulary) for dimension in question.query.by]
    labelled: list[tuple[Key, Parts]] = []
    for key, parts in cells.items():
        if parts.transactions:
            codes = key[1:] if question.interval else key
            label = tuple(label_of(code) for label_of, code in zip(vocabularies, codes, strict=True))
            labelled.append(((iso_date(key[0]), *label) if question.interval else label, parts))
    labelled.sort(key=_order(question))
    total = Parts(*map(sum, zip(*(parts for _, parts in labelled), strict=True))) if labelled else NOTHING
    by_group: dict[Key, Parts] = {}
    if question.interval:
        for label, parts in labelled:
            by_group[label[1:]] = by_group.get(label[1:], NOTHING).merge(parts)
    in_order = sorted(by_group.items() or labelled, key=itemgetter(0))
    groups = [(" / ".join(map(str, label)), parts) for label, parts in in_order]
    return tuple(labelled[: question.limit]), total, question.query.sentence.tell(groups, total)


def _labels(dimension: Dimension, vocabulary: Vocabulary) -> Callable[[int], str | int]:
    """What turns a code of a dimension into what a reply shows."""
    if dimension is DATE:
        return iso_date
    return int if dimension is HOUR else vocabulary[dimension.name].__getitem__


def _order(question: Question) -> Any:
    order = question.query.order
    skip = 1 if question.interval else 0
    if not isinstance(order, Descending):
        return itemgetter(0)

    def rank(row: tuple[Key, Parts]) -> tuple[Any, ...]:
        key, parts = row
        value = order.measure.finish(parts)
        return (*key[:skip], value is None, -(value or 0), *key[skip:])  # nothing to average comes last

    return rank
