"""Turn a question into aggregation pipelines. Pure: no driver; every value in a pipeline is a literal of ours."""

from datetime import date
from typing import Any

from catalog.dimensions import DATE, day_number, day_of
from catalog.measures import LIFT
from pipelines.question import Filter, Interval, Question

Pipeline = list[dict[str, Any]]
BUCKET = "interval"


def raw_pipeline(question: Question, first: date | None, last: date | None) -> Pipeline:
    """Group the transactions of a range of days.

    Result: one document for each group: `_id` its key (see `group_key`), `n`, `p`, `r` its parts.
    """
    match = match_transactions(question.filters, first, last)
    group = {"$group": {"_id": group_key(question), **LIFT}}
    return [{"$match": match}, group] if match else [group]


def match_transactions(filters: tuple[Filter, ...], first: date | None, last: date | None) -> dict[str, Any]:
    """The condition on transactions, as `$match` takes it."""
    conditions: dict[str, dict[str, Any]] = {}
    for each in filters:
        operator = "$nin" if each.negated else "$in"
        conditions.setdefault(each.dimension.field, {})[operator] = [each.dimension.stored(code) for code in each.codes]
    if first:
        conditions.setdefault(DATE.field, {})["$gte"] = day_of(day_number(first))
    if last:
        conditions.setdefault(DATE.field, {})["$lte"] = day_of(day_number(last))
    return conditions


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
        key[dimension.name] = f"${dimension.field}"
    if len(key) == 1:
        return next(iter(key.values()))
    return key or None
