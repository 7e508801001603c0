"""Read and change what the database says of itself: the data version, and the periods with what is stale.

Everything that changes an answer or moves what answers are read from writes the status document in its own
transaction, so one small read tells whether a directory read before is still right.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from bson import Int64, ObjectId
from pymongo import ReturnDocument, UpdateOne

from catalog.calendar import Grain, Period, month_of, parse, year_of
from catalog.collections import DATA_VERSION, FORMAT, PERIODS, STATUS, VERIFICATION
from catalog.dimensions import date_of, day_number, day_of
from pipelines.state.members import MEMBERS, present_marks
from pipelines.state.version import EMPTY, Directory, Month, Version
from store.client import Document, Session, Store
from store.schema import read_vocabulary
from store.scope import comment

VERSIONS = {"$gte": DATA_VERSION, "$lt": f"{DATA_VERSION}0"}
"""The ids of the status documents that make the version: the one, and those of lanes, `data/...`."""


def read_version(store: Store, session: Session | None = None) -> Version:
    """The version of the data as of now, or of a session's snapshot."""
    return parse_version(_versions(store, session))


def parse_version(documents: Sequence[Mapping[str, Any]]) -> Version:
    """The version that the status documents tell; EMPTY where there are none."""
    for main in documents:
        if main["_id"] == DATA_VERSION:
            number = sum(int(document["version"]) for document in documents)
            return Version(str(main["epoch"]), number, int(main["layout"]))
    return EMPTY


def _versions(store: Store, session: Session | None) -> list[Document]:
    return list(store.db[STATUS.name].find({"_id": VERSIONS}, session=session, comment=comment()))


def read_marked(store: Store, session: Session) -> set[str]:
    """The names of the periods that lanes have marked as stale."""
    return marked(_versions(store, session))


def marked(documents: Iterable[Mapping[str, Any]]) -> set[str]:
    """The same of the status documents."""
    return {name for document in documents for name in document.get("periods", ())}


def read_directory(store: Store, session: Session, known: Directory | None = None) -> Directory:
    """The directory as of a session's snapshot; `known` itself where nothing has changed since."""
    versions = _versions(store, session)
    version = parse_version(versions)
    if known and known.version == version:
        return known
    stale = marked(versions)
    months: dict[Period, Month] = {}
    years: dict[bool, set[Period]] = {True: set(), False: set()}
    documents = {each["_id"]: each for each in store.db[PERIODS.name].find({}, session=session, comment=comment())}
    for name in sorted(documents.keys() | stale):
        period, document = parse(name), documents.get(name, {})
        changed = version.number if name in stale else document["changed"]
        state = Month(document.get("rows", 0), changed, as_built(document))
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
    return bump_version_of(store, session, period_names(day_numbers))


def bump_version_of(store: Store, session: Session, names: Iterable[str], commits: int = 1) -> int:
    """The same for periods by name, and for what several commits have changed."""
    version = _bump(store, session, "version", commits)
    updates = [
        UpdateOne(
            {"_id": name},
            {"$set": {"changed": version}, "$setOnInsert": {"start": day_of(day_number(parse(name).start))}},
            upsert=True,
        )
        for name in sorted(names)
    ]
    if updates:
        store.db[PERIODS.name].bulk_write(updates, session=session)
    return version


def period_names(day_numbers: Iterable[int]) -> set[str]:
    """The months and years that have these days."""
    days: set[date] = {date_of(number) for number in day_numbers}
    return {period.name for day in days for period in (month_of(day), year_of(day))}


def begin(store: Store, session: Session) -> None:
    """Make sure that there is a version, with a name of its own for this database, and a mark of its vocabulary."""
    main = store.db[STATUS.name].find_one({"_id": DATA_VERSION}, session=session)
    if main is None:
        _bump(store, session, "version", 0)
    if MEMBERS not in (main or {}):
        marks = {name: Int64(mark) for name, mark in present_marks(store, session).items()}
        store.db[STATUS.name].update_one({"_id": DATA_VERSION}, {"$set": {MEMBERS: marks}}, session=session)


def bump_layout(store: Store, session: Session) -> None:
    """Say, in the transaction of a refresh, that rollups or pages are new."""
    _bump(store, session, "layout")


def _bump(store: Store, session: Session, counter: str, by: int = 1) -> int:
    other = "layout" if counter == "version" else "version"
    update = {
        "$inc": {counter: by},
        "$set": {"committed_at": datetime.now(UTC)},
        "$setOnInsert": {other: 0, "epoch": ObjectId()},
    }
    status = store.db[STATUS.name].find_one_and_update(
        {"_id": DATA_VERSION}, update, upsert=True, return_document=ReturnDocument.AFTER, session=session
    )
    return int(status[counter]) if status else 0
