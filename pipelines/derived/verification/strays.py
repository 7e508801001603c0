"""Periods against the days that have transactions, and derived documents that belong to no period."""

from collections.abc import Iterator
from typing import Any

from catalog.calendar import Grain, Period, month_of, parse, year_of
from catalog.collections import PAGES, PERIODS, ROLLUPS, STATUS, TRANSACTIONS
from catalog.dimensions import DATE, day_number, day_of
from pipelines.derived.verification.findings import RESTORE, Checked, Difference
from pipelines.state.directory import VERSIONS, marked, parse_version
from store.client import Session, Store


def differing_periods(store: Store, session: Session, checked: Checked) -> Iterator[Difference]:
    """Months and years that lack a document or have a wrong one; slices and pages of no period.

    What is to be built anew, and what is to be deleted, is noted in `checked`.
    """
    lanes = store.db[STATUS.name].find({"_id": VERSIONS}, session=session).to_list()
    version = parse_version(lanes).number
    known = {parse(name) for name in marked(lanes)}
    for each in store.db[PERIODS.name].find({}, session=session):
        period = _period(each["_id"])
        if period is None or each.get("start") != day_of(day_number(period.start)):
            yield Difference(PERIODS.name, f"document {each['_id']}", str(each.get("start")), "the period's first day")
            checked.strays.append((PERIODS.name, {"_id": each["_id"]}))
            checked.wrong += [period] if period else []
        if period:
            known.add(period)
        if each.get("changed", 0) > version:
            present = f"{version}, the present one, or below"
            yield Difference(STATUS.name, f"data version of {each['_id']}", str(each["changed"]), present, RESTORE)
    months = _months(store, session)
    right = {*months, *(year_of(each.start) for each in (*months, *(each for each in known if _is_month(each))))}
    for period in sorted(right - known):
        yield Difference(period.name, period.grain.value, "unknown", "a period document")
        checked.wrong.append(period)
    for period in sorted(each for each in known - right if not _is_month(each)):
        yield Difference(period.name, "year", "there", "none, as it has no month")
        checked.strays.append((PERIODS.name, {"_id": period.name}))
    yield from _without_period(store, session, known, checked)


def _without_period(store: Store, session: Session, known: set[Period], checked: Checked) -> Iterator[Difference]:
    months = [each for each in known if _is_month(each)]
    names = {each.name for each in known} | {day.name for month in months for day in month.days}
    if lost := sorted(set(store.db[ROLLUPS.name].distinct("period", session=session)) - names):
        yield Difference(ROLLUPS.name, f"slices of {lost[0]}", "there", "none, as it is no known period")
        checked.strays.append((ROLLUPS.name, {"period": {"$in": lost}}))
    elsewhere: dict[str, Any] = {"month": {"$nin": [day_of(day_number(month.start)) for month in months]}}
    for page in store.db[PAGES.name].find(elsewhere, {"_id": 1}, session=session):
        yield Difference(PAGES.name, f"page {page['_id']}", "there", "none, as it is of no known month")
        checked.strays.append((PAGES.name, {"_id": page["_id"]}))


def _months(store: Store, session: Session) -> set[Period]:
    """The months that have transactions."""
    months: set[Period] = set()
    later: dict[str, Any] = {DATE.field: {"$gte": day_of(0)}}
    while found := store.db[TRANSACTIONS.name].find_one(
        later, {DATE.field: 1, "_id": 0}, sort=[(DATE.field, 1)], session=session
    ):
        months.add(month_of(found[DATE.field].date()))
        later = {DATE.field: {"$gt": day_of(day_number(max(months).last))}}
    return months


def _is_month(period: Period) -> bool:
    return period.grain is Grain.MONTH


def _period(name: str) -> Period | None:
    try:
        return parse(name)
    except ValueError:
        return None
