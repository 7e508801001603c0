"""Turn a question into aggregation pipelines. Pure: no driver; every value in a pipeline is a literal of ours."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from catalog.dimensions import day_number, day_of
from catalog.measures import LIFT, merge
from catalog.purchases import DATE, PURCHASES
from pipelines.ask.question import BUCKET, Filter, Interval, Question
from pipelines.plan.reads import RollupRead
from pipelines.plan.rollups import ALL, TOTAL
from pipelines.plan.whole import among, counts_slices, cuts_days, leaves_days

Pipeline = list[dict[str, Any]]


def raw_pipeline(question: Question, first: date | None, last: date | None) -> Pipeline:
    """Group the transactions of a range of days.

    Result: one document for each group: `_id` its key (see `group_key`), `n`, `p`, `r` its parts.
    """
    match = match_transactions(question.filters, first, last)
    group = {"$group": {"_id": group_key(question), **LIFT}}
    return [{"$match": match}, group] if match else [group]


def rollup_pipeline(question: Question, read: RollupRead) -> Pipeline:
    """Add up the cells of slices.

    Result: one document for each group: `_id` its key (see `rollup_key`), `n`, `p`, `r` its parts; where each cell is
    a group of its own, the cell, with `k` for the key. Where slices are counted, `slices` too, and a group of nothing
    for those without a cell that is let through.
    """
    match: dict[str, Any] = {
        "period": {"$in": [period.name for period in read.periods]},
        "dimension": read.slice_by.name if read.slice_by else ALL,
    }
    if condition := among(question, read.slice_by):
        match["member"] = condition
    cells = f"cells.{read.cells_by.name if read.cells_by else TOTAL}"
    kept: dict[str, Any] = dict(among(question, read.cells_by))
    if counts_slices(question, read):
        return [{"$match": match}, *_counted(cells, kept), _group(question, read, "cell", SLICES)]
    by_date = read.cells_by is not None and read.cells_by.is_date
    if cuts_days(read) and not leaves_days(question, read):
        kept = {"$gte": day_number(read.first), "$lte": day_number(read.last)}
    unwound: Pipeline = [
        {"$match": match},
        {"$unwind": f"${cells}"},
        *([{"$match": {f"{cells}.k": kept}}] if kept else []),
    ]
    if by_date and question.query.by == (DATE,) and not question.interval and _reads_one_slice(question, read):
        return [*unwound, {"$replaceRoot": {"newRoot": f"${cells}"}}]  # each day once: grouping would double the time
    return [*unwound, _group(question, read, cells)]


def _group(question: Question, read: RollupRead, cells: str, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The stage that adds up the cells in a field."""
    key = rollup_key(question, read, cells)
    return {
        "$group": {"_id": next(iter(key.values())) if len(key) == 1 else key or None, **merge(cells), **(more or {})}
    }


SLICES = {"slices": {"$sum": {"$cond": [{"$lte": ["$place", 0]}, 1, 0]}}}
"""The accumulator that counts slices by their first cell, or by its absence."""


def _counted(cells: str, kept: Mapping[str, list[int]]) -> Pipeline:
    """The cells that are let through, each with its place in its slice; a slice without one stays, with no place."""
    within = {operator: {"$in": ["$$cell.k", codes]} for operator, codes in kept.items()}
    conditions = [{"$not": each} if operator == "$nin" else each for operator, each in within.items()]
    let_through = {"$filter": {"input": f"${cells}", "as": "cell", "cond": {"$and": conditions}}}
    return [
        {"$project": {"_id": 0, "start": 1, "member": 1, "cell": let_through}},
        {"$unwind": {"path": "$cell", "includeArrayIndex": "place", "preserveNullAndEmptyArrays": True}},
    ]


def rollup_key(question: Question, read: RollupRead, cells: str) -> dict[str, str]:
    """Where the parts of a group's key are: `interval` is a period's start or a day number, the others are codes."""
    code = f"${cells}.k"
    key: dict[str, str] = {}
    if question.interval:
        key[BUCKET] = code if read.cells_by and read.cells_by.is_date else "$start"
    for dimension in question.query.by:
        key[dimension.name] = code if dimension is read.cells_by else "$member"
    return key


def _reads_one_slice(question: Question, read: RollupRead) -> bool:
    """Whether each period is read from one slice only."""
    allowed = among(question, read.slice_by).get("$in", ())
    return read.slice_by is None or len(allowed) == 1


def match_transactions(filters: tuple[Filter, ...], first: date | None, last: date | None) -> dict[str, Any]:
    """The condition on transactions, as `$match` takes it."""
    conditions: dict[str, Any] = {}
    computed: list[Any] = []
    for each in filters:
        if each.dimension.is_stored:
            operator = "$nin" if each.negated else "$in"
            conditions.setdefault(each.dimension.field, {})[operator] = _stored(each)
        else:
            within = {"$in": [each.dimension.expression, list(each.codes)]}
            computed.append({"$not": [within]} if each.negated else within)
    if computed:
        conditions["$expr"] = {"$and": computed}
    if first:
        conditions.setdefault(DATE.field, {})["$gte"] = day_of(day_number(first))
    if last:
        conditions.setdefault(DATE.field, {})["$lte"] = day_of(day_number(last))
    return conditions


def _stored(condition: Filter) -> list[Any]:
    """All that a field may hold for the codes of a filter; None, which is no field too, where it may lack."""
    may_lack = 0 in condition.codes and condition.dimension in PURCHASES.optional
    return [*map(condition.dimension.stored, condition.codes), *([None] if may_lack else [])]


def group_key(question: Question) -> Any:
    """The group's `_id`: the interval's start, if one is asked for, and the dimensions; bare where it is only one."""
    key: dict[str, Any] = {}
    if question.interval is Interval.DAY:
        key[BUCKET] = f"${DATE.field}"
    elif question.interval:
        unit = question.interval.value
        week = {"startOfWeek": "monday"} if question.interval is Interval.WEEK else {}
        key[BUCKET] = {"$dateTrunc": {"date": f"${DATE.field}", "unit": unit, **week}}
    for dimension in question.query.by:
        key[dimension.name] = dimension.expression
    if len(key) == 1:
        return next(iter(key.values()))
    return key or None
