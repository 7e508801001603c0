"""Read and change what the database says of itself: the data version, and the periods with what is stale.

Everything that changes an answer or moves what answers are read from writes the status document in its own
transaction, so one small read tells whether a directory read before is still right.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument, UpdateOne

from catalog.collections import DATA_VERSION, FORMAT, PERIODS, STATUS, VERIFICATION
from catalog.dimensions import date_of, day_number, day_of
from pipelines.calendar import Grain, Period, month_of, parse, year_of
from pipelines.state import EMPTY, Directory, Month, Version
from store.client import Session, Store
from store.schema import read_vocabulary
from store.scope import comment


def read_version(store: Store, session: Session | None = None) -> Version:
    """The version of the data as of now, or of a session's snapshot."""
    return parse_version(store.db[STATUS.name].find_one({"_id": DATA_VERSION}, session=session, comment=comment()))


def parse_version(status: Mapping[str, Any] | None) -> Version:
    """The version that the status document tells; EMPTY where there is none."""
    return Version(str(status["epoch"]), int(status["version"]), int(status["layout"])) if status else EMPTY


def read_directory(store: Store, session: Session, known: Directory | None = None) -> Directory:
    """The directory as of a session's snapshot; `known` itself where nothing has changed since."""
    version = read_version(store, session)
    if known and known.version == version:
        return known
    months: dict[Period, Month] = {}
    years: dict[bool, set[Period]] = {True: set(), False: set()}
    for document in store.db[PERIODS.name].find({}, session=session, comment=comment()).sort("_id"):
        period = parse(document["_id"])
        state = Month(document.get("rows", 0), document["changed"], as_built(document))
        if period.grain is Grain.YEAR:
            years[state.stale].add(period)
        else:
            months[period] = state
    vocabulary = read_vocabulary(store, session)
    verification = store.db[STATUS.name].find_one({"_id": VERIFICATION}, session=session, comment=comment())
    return Directory(
        version, months, frozenset(years[False]), frozenset(years[True]), vocabulary, (verification or {}).get("result")
    )


def as_built(period: Mapping[str, Any]) -> int | None:
    """The data version that a period's rollups and pages show; None where there are none of today's form."""
    return period.get("built") if period.get("format") == FORMAT else None


def bump_version(store: Store, session: Session, day_numbers: Iterable[int]) -> int:
    """Say, in the transaction that changes the transactions of these days, that it does.

    Returns:
        the new data version.
    """
    version = _bump(store, session, "version")
    days: set[date] = {date_of(number) for number in day_numbers}
    periods = {month_of(day) for day in days} | {year_of(day) for day in days}
    updates = [
        UpdateOne(
            {"_id": period.name},
            {"$set": {"changed": version}, "$setOnInsert": {"start": day_of(day_number(period.start))}},
            upsert=True,
        )
        for period in sorted(periods)
    ]
    if updates:
        store.db[PERIODS.name].bulk_write(updates, session=session)
    return version


def bump_layout(store: Store, session: Session) -> None:
    """Say, in the transaction of a refresh, that rollups or pages are new."""
    _bump(store, session, "layout")


def _bump(store: Store, session: Session, counter: str) -> int:
    other = "layout" if counter == "version" else "version"
    update = {
        "$inc": {counter: 1},
        "$set": {"committed_at": datetime.now(UTC)},
        "$setOnInsert": {other: 0, "epoch": ObjectId()},
    }
    status = store.db[STATUS.name].find_one_and_update(
        {"_id": DATA_VERSION}, update, upsert=True, return_document=ReturnDocument.AFTER, session=session
    )
    return int(status[counter]) if status else 0
