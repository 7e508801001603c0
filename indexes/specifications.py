"""The indexes, each with the queries that justify its cost: about 3 s for a million transactions, and 10 MB.

There is no covering index for the ten unfiltered questions: a `$group` over all transactions is faster as a
collection scan. There is no index with all dimensions either: after `(day, hour)` a month's question takes 27 ms,
covered by all eleven fields 25 ms, for six times the size. Segment, payment method and the like are
not indexed: a filter that keeps a fifth of all rows is answered no faster through an index.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from catalog.calendar import Grain, Period
from catalog.collections import (
    CUSTOMERS,
    LOADS,
    PAGES,
    QUARANTINE,
    REFERENCE_COLLECTIONS,
    REPEATS,
    ROLLUPS,
    TRANSACTIONS,
)
from catalog.dimensions import day_of
from catalog.purchases import SEGMENT, STATE
from catalog.status import LoadStatus
from pipelines.ask.queries import BY_SLUG
from pipelines.ask.question import Filter, Question
from pipelines.plan.compiler import raw_pipeline, rollup_pipeline
from pipelines.plan.reads import RollupRead
from pipelines.plan.rollups import BY_DIMENSIONS

IGNORING_CASE = {"locale": "en", "strength": 2}
"""Ignores case, and nearly all that `catalog.labels` treats as the same: composition, full-width forms, kana."""


@dataclass(frozen=True)
class Use:
    """One command that an index serves.

    Attributes:
        name: what it is, for people.
        command: the command as `explain` takes it, without the collection's name.
    """

    name: str
    command: Mapping[str, Any]


@dataclass(frozen=True)
class IndexSpec:
    """One index.

    Attributes:
        collection: where it is.
        keys: field and direction, in order.
        serves: the uses in which `verify` expects it.
        unique: whether it forbids a second document with the same key.
        ignoring_case: whether letter case is ignored.
        late: whether a first load builds it after its rows, which is cheaper than maintaining it.
    """

    collection: str
    keys: tuple[tuple[str, int], ...]
    serves: tuple[Use, ...]
    unique: bool = False
    ignoring_case: bool = False
    late: bool = False

    @property
    def name(self) -> str:
        """MongoDB's default name for it."""
        return "_".join(f"{field}_{direction}" for field, direction in self.keys)

    @property
    def options(self) -> dict[str, Any]:
        """The options for `createIndexes`."""
        options: dict[str, Any] = {"name": self.name}
        if self.unique:
            options["unique"] = True
        if self.ignoring_case:
            options["collation"] = IGNORING_CASE
        return options


def _aggregate(pipeline: list[dict[str, Any]]) -> dict[str, Any]:
    return {"aggregate": None, "pipeline": pipeline, "cursor": {}}


def _find(condition: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"find": None, "filter": condition, **more}


_RANGE = date(2024, 1, 15), date(2024, 2, 14)
_YEARS = date(2018, 1, 1), date(2029, 12, 31)
_IN_RANGE = tuple(
    Use(f"{slug} over a range of days", _aggregate(raw_pipeline(Question(BY_SLUG[slug]), *_RANGE)))
    for slug in ("daily-sales", "hourly-sales", "revenue-by-segment")
)
_IN_STATE = Filter(STATE, (1,))
_OF_STATE = (
    Use(
        "top-states of chosen states",
        _aggregate(raw_pipeline(Question(BY_SLUG["top-states"], filters=(_IN_STATE,)), None, None)),
    ),
    Use(
        "revenue-by-segment of a state over several years",
        _aggregate(raw_pipeline(Question(BY_SLUG["revenue-by-segment"], filters=(_IN_STATE,)), *_YEARS)),
    ),
)
_YEAR = Period(date(2024, 1, 1), Grain.YEAR)
_ROLLUP = rollup_pipeline(
    Question(BY_SLUG["revenue-by-segment"], filters=(_IN_STATE,)),
    RollupRead(BY_DIMENSIONS[frozenset((SEGMENT, STATE))], STATE, SEGMENT, (_YEAR, *_YEAR.months), *_RANGE, 0),
)

INDEXES = (
    IndexSpec(TRANSACTIONS.name, (("day", 1), ("hour", 1)), _IN_RANGE),
    IndexSpec(TRANSACTIONS.name, (("state_id", 1), ("day", 1)), _OF_STATE, late=True),
    IndexSpec(
        TRANSACTIONS.name,
        (("load_id", 1), ("_id", 1)),
        (Use("the transactions of one load, in batches", _find({"load_id": "0"}, sort={"_id": 1})),),
        late=True,
    ),
    IndexSpec(
        CUSTOMERS.name,
        (("state_id", 1), ("segment_id", 1)),
        (Use("the customers of a state and segment", _find({"state_id": 1, "segment_id": 1})),),
        late=True,
    ),
    *(
        IndexSpec(
            reference.name,
            (("name", 1),),
            (Use("the id behind a name", _find({"name": "?"}, projection={"_id": 1}, collation=IGNORING_CASE)),),
            unique=True,
            ignoring_case=True,
        )
        for reference in REFERENCE_COLLECTIONS
    ),
    IndexSpec(
        ROLLUPS.name,
        (("period", 1), ("dimension", 1), ("member", 1)),
        (
            Use("revenue-by-segment from rollups", _aggregate(_ROLLUP)),
            Use("rebuilding a month's rollups", _find({"period": {"$in": ["1970-01", "1970-02"]}})),
        ),
        unique=True,
    ),
    IndexSpec(
        PAGES.name,
        (("month", 1), ("part", 1)),
        (
            Use(
                "the pages of some months",
                _find({"month": {"$in": [day_of(0), day_of(31)]}}, sort={"month": 1, "part": 1}),
            ),
        ),
        unique=True,
    ),
    IndexSpec(
        LOADS.name,
        (("status", 1), ("started_at", 1)),
        (Use("the loads of one status, in time", _find({"status": LoadStatus.RUNNING}, sort={"started_at": 1})),),
    ),
    IndexSpec(
        QUARANTINE.name,
        (("load_id", 1), ("line", 1)),
        (Use("the refused rows of a load, in the order of the file", _find({"load_id": "0"}, sort={"line": 1})),),
    ),
    IndexSpec(
        REPEATS.name,
        (("last", 1), ("first", 1)),
        (Use("the loads that also brought some transactions", _find({"last": {"$gte": 1}, "first": {"$lte": 2}})),),
    ),
)
EARLY = tuple(spec for spec in INDEXES if not spec.late)
"""The indexes built before the rows: rows mostly arrive ordered by day, so that index is cheap; a refresh needs it."""
