"""What a request asks of a peer: the parameters of `/v1/explore` that the benchmark uses, checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

DIMENSIONS = (
    "gender", "age_group", "marital_status", "state", "segment", "employment_status", "payment_method", "referral",
    "hour",
)  # fmt: skip
DATE = "date"
MEASURES = ("transactions", "priced_transactions", "revenue", "average_spend")

Labels = Mapping[str, tuple[str, ...]]
"""The values of each dimension, as text."""


class Refused(Exception):
    """A parameter has no usable value."""


@dataclass(frozen=True)
class Asked:
    """A question.

    Attributes:
        by: the dimensions of its rows.
        first, last: the days, both inclusive; None for no bound.
        filters: dimensions and the values that may be.
        is_by_year: whether the rows are split by year.
        limit: at most so many rows.
    """

    by: tuple[str, ...]
    first: date | None
    last: date | None
    filters: tuple[tuple[str, tuple[str, ...]], ...]
    is_by_year: bool
    limit: int | None

    @property
    def is_in_time(self) -> bool:
        """Whether rows are in order of their groups; otherwise the highest revenue comes first."""
        return self.is_by_year or not {"hour", DATE}.isdisjoint(self.by)

    @property
    def dimensions(self) -> frozenset[str]:
        """All that is grouped or filtered by, besides days."""
        return frozenset(self.by) - {DATE} | {name for name, _ in self.filters}


def parse(parameters: Mapping[str, list[str]], labels: Labels) -> Asked:
    """Read the parameters of a request.

    Raises:
        Refused: one is unknown or has no usable value.
    """
    given = dict(parameters)
    by = tuple(given.pop("by", []))
    ends = [given.pop(name, [""])[0] for name in ("from", "to")]
    interval, limit = given.pop("interval", [""])[0], given.pop("limit", ["0"])[0]
    if not by or not {DATE, *DIMENSIONS}.issuperset(by) or len(set(by)) < len(by):
        raise Refused("by")
    if interval not in ("", "year"):
        raise Refused("interval")
    filters = []
    for name, values in given.items():
        if name not in DIMENSIONS:
            raise Refused(name)
        known = {label.lower(): label for label in labels[name]}
        if not all(value.lower() in known for value in values):
            raise Refused(name)
        filters.append((name, tuple(known[value.lower()] for value in values)))
    try:
        first, last = (date.fromisoformat(end) if end else None for end in ends)
        return Asked(by, first, last, tuple(filters), interval == "year", int(limit) or None)
    except ValueError as error:
        raise Refused("from, to or limit") from error
