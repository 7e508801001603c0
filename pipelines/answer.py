"""An answer: the finished, ordered rows of a question, and where they came from."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from catalog.dimensions import DATE, HOUR, Vocabulary
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
    present = [(key, parts) for key, parts in cells.items() if parts.transactions]
    rows = sorted(((_label(question, key, vocabulary), parts) for key, parts in present), key=_order(question))
    total = NOTHING
    by_group: dict[tuple[int, ...], Parts] = {}
    skip = 1 if question.interval else 0
    for key, parts in present:
        total = total.merge(parts)
        by_group[key[skip:]] = by_group.get(key[skip:], NOTHING).merge(parts)
    groups = sorted(
        (
            " / ".join(str(each.label_of(code, vocabulary)) for each, code in zip(question.query.by, key, strict=True)),
            parts,
        )
        for key, parts in by_group.items()
    )
    return tuple(rows[: question.limit]), total, question.query.sentence.tell(groups, total)


def _label(question: Question, key: tuple[int, ...], vocabulary: Vocabulary) -> Key:
    dimensions = ((DATE,) if question.interval else ()) + question.query.by
    return tuple(dimension.label_of(code, vocabulary) for dimension, code in zip(dimensions, key, strict=True))


def _order(question: Question) -> Any:
    order = question.query.order
    skip = 1 if question.interval else 0

    def rank(row: tuple[Key, Parts]) -> tuple[Any, ...]:
        key, parts = row
        measure: tuple[Any, ...] = ()
        if isinstance(order, Descending):
            value = order.measure.finish(parts)
            measure = (value is None, -(value or 0))  # nothing to average comes last
        return (*key[:skip], *measure, *key[skip:])

    return rank
