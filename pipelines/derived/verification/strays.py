"""Periods against the days that have transactions, and derived documents that belong to no period."""

from collections.abc import Iterator, Mapping
from typing import Any

from catalog.calendar import Grain, Period, parse, year_of
from catalog.collections import DATA_VERSION, PAGES, PERIODS, ROLLUPS, STATUS
from catalog.dimensions import day_number, day_of
from catalog.measures import LIFT, NOTHING, Parts
from pipelines.derived.slices import slice_id
from pipelines.derived.verification.findings import RESTORE, Checked, Difference
from pipelines.plan.rollups import ALL, TOTAL
from pipelines.state.directory import VERSIONS, as_built, marked, parse_version
from store.client import Reads


def differing_periods(reads: Reads, months: Mapping[Period, Parts], checked: Checked) -> Iterator[Difference]:
    """Months and years that lack a document or have a wrong one or a wrong total; slices and pages of no period.

    What is to be built anew, and what is to be deleted, is noted in `checked`.

    Attributes:
        months: those that have transactions, with what these add up to.
    """
    lanes = reads.find(STATUS.name, {"_id": VERSIONS})
    version = parse_version(lanes).number
    stale = {parse(name) for name in marked(lanes)}
    known, fresh = set(stale), set()
    main = next((each for each in lanes if each["_id"] == DATA_VERSION), None)
    if main is None and months:
        yield Difference(
            STATUS.name, "data version", "missing", "one", "run `python -m pipelines refresh`, which creates one"
        )
    count = reads.count(PERIODS.name)
    if main and main.get("recorded", count) != count:
        yield Difference(STATUS.name, "recorded", str(main["recorded"]), str(count))
    for each in reads.find(PERIODS.name):
        period = named_period(each["_id"])
        if period is None or each.get("start") != day_of(day_number(period.start)):
            yield Difference(PERIODS.name, f"document {each['_id']}", str(each.get("start")), "the period's first day")
            checked.strays.append((PERIODS.name, {"_id": each["_id"]}))
            checked.wrong += [period] if period else []
        if period:
            known.add(period)
            if _is_month(period) and period not in stale and as_built(each) == each.get("changed"):
                fresh.add(period)
        if each.get("changed", 0) > version:
            present = f"at most {version}, the current one"
            yield Difference(STATUS.name, f"data version of {each['_id']}", str(each["changed"]), present, RESTORE)
    right = {*months, *(year_of(each.start) for each in (*months, *(each for each in known if _is_month(each))))}
    for period in sorted(right - known):
        yield Difference(period.name, period.grain.value, "missing", "a period document")
        checked.wrong.append(period)
    for period in sorted(each for each in known - right if not _is_month(each)):
        yield Difference(period.name, "year", "present", "absent, as it has no months")
        checked.strays.append((PERIODS.name, {"_id": period.name}))
    yield from _totals(reads, months, fresh, checked)
    yield from _without_period(reads, known, checked)


def _without_period(reads: Reads, known: set[Period], checked: Checked) -> Iterator[Difference]:
    months = [each for each in known if _is_month(each)]
    names = {each.name for each in known} | {day.name for month in months for day in month.days}
    if lost := sorted(set(reads.distinct(ROLLUPS.name, "period")) - names):
        yield Difference(ROLLUPS.name, f"slices of {lost[0]}", "present", "absent, as the period is unknown")
        checked.strays.append((ROLLUPS.name, {"period": {"$in": lost}}))
    elsewhere: dict[str, Any] = {"month": {"$nin": [day_of(day_number(month.start)) for month in months]}}
    for page in reads.find(PAGES.name, elsewhere, {"_id": 1}):
        yield Difference(PAGES.name, f"page {page['_id']}", "present", "absent, as the month is unknown")
        checked.strays.append((PAGES.name, {"_id": page["_id"]}))


def _totals(reads: Reads, months: Mapping[Period, Parts], fresh: set[Period], checked: Checked) -> Iterator[Difference]:
    """What MongoDB itself adds up, beside the totals that its months keep."""
    ids = [slice_id(ALL, 0, month) for month in fresh]
    found = reads.find(ROLLUPS.name, {"_id": {"$in": ids}}, {"period": 1, f"cells.{TOTAL}": 1})
    totals = {each["period"]: each.get("cells", {}).get(TOTAL) for each in found}
    for month in sorted(fresh):
        cells, right = totals.get(month.name), months.get(month, NOTHING)
        stored = tuple(cells[0].get(name) for name in LIFT) if cells else tuple(NOTHING)
        if stored != right:
            yield Difference(month.name, "total in the rollup", str(stored), str(tuple(right)))
            checked.wrong.append(month)


def _is_month(period: Period) -> bool:
    return period.grain is Grain.MONTH


def named_period(name: str) -> Period | None:
    """The period of a document of `periods`; None where its id names none."""
    try:
        return parse(name)
    except ValueError:
        return None
