"""Read and change the state of the database: the data version, and the periods with what is stale.

Everything that changes an answer, or the data that answers are read from, writes the status document in the same
transaction, so one small read shows whether a directory read earlier is still current.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from bson import Int64, ObjectId

from catalog.calendar import Grain, Period, month_of, parse, year_of
from catalog.collections import DATA_VERSION, LAYOUT, MEMBERS, PERIODS, STATUS, TRANSACTIONS, VERIFICATION
from catalog.dimensions import Vocabulary, date_of, day_number, day_of
from catalog.errors import StoreUnavailable
from catalog.purchases import DATE, PURCHASES
from pipelines.state.members import present_marks
from pipelines.state.version import EMPTY, Counts, Directory, Month, Version
from store.client import Document, Reads, Transaction
from store.layout import check_layout
from store.schema import names_lost, read_vocabulary

VERSIONS = {"$gte": DATA_VERSION, "$lt": f"{DATA_VERSION}0"}
"""The ids of the status documents that make the version: the one, and those of lanes, `data/...`."""


def read_version(reads: Reads) -> Version:
    """The version of the data as of now, or of a session's snapshot."""
    return parse_version(_versions(reads))


def parse_version(documents: Sequence[Mapping[str, Any]]) -> Version:
    """The version in the status documents; EMPTY if there are none.

    Raises:
        NewerLayout: the database is of a layout that this program does not know.
    """
    main = _main(documents)
    if not main:
        return EMPTY
    check_layout(main)
    number = sum(int(document["version"]) for document in documents)
    return Version(str(main["epoch"]), number, int(main.get("builds", main.get("layout", 0))))


def _main(documents: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The one that is not a lane; empty if there is none."""
    return next((each for each in documents if each["_id"] == DATA_VERSION), {})


def _versions(reads: Reads) -> list[Document]:
    return reads.find(STATUS.name, {"_id": VERSIONS})


def read_marked(reads: Reads) -> set[str]:
    """The names of the periods that lanes have marked as stale."""
    return marked(_versions(reads))


def marked(documents: Iterable[Mapping[str, Any]]) -> set[str]:
    """The same of the status documents."""
    return {name for document in documents for name in document.get("periods", ())}


def read_directory(reads: Reads, known: Directory | None = None, *, is_named: bool = False) -> Directory:
    """The directory as of a session's snapshot; `known` itself where nothing has changed since.

    Attributes:
        is_named: whether each code has to have a name, as it must for whoever shows answers.

    Raises:
        StoreUnavailable: essential parts of this state were lost.
    """
    versions = _versions(reads)
    version = parse_version(versions)
    if known and known.version == version:
        return known
    stale = marked(versions)
    documents = {parse(each["_id"]): each for each in reads.find(PERIODS.name)}
    if version == EMPTY:
        if documents or _first_transaction(reads):
            raise StoreUnavailable(
                "This database has transactions but no data version: its collection status was lost",
                "Run `python -m pipelines refresh`, which creates a new one",
            )
        return Directory(EMPTY, vocabulary=read_vocabulary(reads))
    unrecorded: frozenset[Period] = frozenset()
    if len(documents) != _main(versions).get("recorded", len(documents) or -1):
        unrecorded = unrecorded_periods(reads, documents)
    months: dict[Period, Month] = {}
    years: dict[bool, set[Period]] = {True: set(), False: set()}
    for period in sorted({*documents, *map(parse, stale), *unrecorded}):
        document = documents.get(period, {})
        changed = version.number if period.name in stale else document.get("changed", version.number)
        state = Month(document.get("rows", 0), changed, as_built(document))
        if period.grain is Grain.YEAR:
            years[state.stale].add(period)
        else:
            months[period] = state
    verification = reads.find_one(STATUS.name, {"_id": VERIFICATION})
    counts = {
        period: Counts(document.get("rows", 0), document.get("counts", {}))
        for period, document in documents.items()
        if as_built(document) is not None
    }
    if is_named:
        is_counted = not any(month.stale for month in months.values())
        vocabulary = _names(reads, counts.values(), is_counted=is_counted)
    else:
        vocabulary = read_vocabulary(reads)
    return Directory(
        version,
        months,
        frozenset(years[False]),
        frozenset(years[True]),
        vocabulary,
        (verification or {}).get("result"),
        counts,
        unrecorded,
    )


def _names(reads: Reads, counts: Collection[Counts], *, is_counted: bool) -> Vocabulary:
    """The vocabulary, which has a name for each code that transactions have.

    Attributes:
        is_counted: whether the counts tell of all transactions; otherwise no code may be without a name.

    Raises:
        StoreUnavailable: it has not.
    """

    def in_use(dimension: str, codes: set[int]) -> bool:
        return not is_counted or not all(codes.isdisjoint(each.codes(dimension)) for each in counts)

    vocabulary = read_vocabulary(reads, in_use=in_use)
    for dimension in PURCHASES.references:
        most = 4 * len(vocabulary[dimension.name])
        if any(len(each.packed.get(dimension.name, b"")) > most for each in counts):
            raise names_lost(dimension.collection)
    return vocabulary


def unrecorded_periods(reads: Reads, recorded: Collection[Period]) -> frozenset[Period]:
    """The months and years with transactions but without a document; one index lookup for each month."""
    found: set[Period] = set()
    first = _first_transaction(reads)
    while first:
        month = month_of(first[DATE.field].date())
        found |= {month, year_of(month.start)}
        first = _first_transaction(reads, {DATE.field: {"$gt": day_of(day_number(month.last))}})
    return frozenset(found.difference(recorded))


def _first_transaction(reads: Reads, condition: Mapping[str, Any] | None = None) -> Document | None:
    return reads.find_one(TRANSACTIONS.name, condition, {DATE.field: 1}, sort=[(DATE.field, 1)])


def as_built(period: Mapping[str, Any]) -> int | None:
    """The data version of a period's rollups and pages; None if there are none for the current declaration."""
    return period.get("built") if period.get("format") == PURCHASES.fingerprint else None


def bump_version(transaction: Transaction, day_numbers: Iterable[int]) -> int:
    """Record a change of the transactions of these days, in the transaction that makes it.

    Returns:
        the new data version.
    """
    return bump_version_of(transaction, period_names(day_numbers))


def bump_version_of(transaction: Transaction, names: Iterable[str], commits: int = 1) -> int:
    """The same for periods by name, and for what several commits have changed."""
    version = _bump(transaction, "version", commits)
    updates = [
        (
            {"_id": name},
            {"$set": {"changed": version}, "$setOnInsert": {"start": day_of(day_number(parse(name).start))}},
        )
        for name in sorted(names)
    ]
    if updates and transaction.upsert_each(PERIODS.name, updates):
        _record(transaction)
    return version


def period_names(day_numbers: Iterable[int]) -> set[str]:
    """The months and years that contain these days."""
    days: set[date] = {date_of(number) for number in day_numbers}
    return {period.name for day in days for period in (month_of(day), year_of(day))}


def begin(transaction: Transaction) -> None:
    """Make sure that there is a version, with an epoch of this database, and marks of its vocabulary.

    If it was lost, all derived data count as stale: what lanes had marked as stale was lost with it.
    """
    main = transaction.find_one(STATUS.name, {"_id": DATA_VERSION})
    if main is None:
        newest = transaction.find_one(PERIODS.name, sort=[("changed", -1)])
        version = newest["changed"] + 1 if newest else 0
        status = {"_id": DATA_VERSION, "epoch": ObjectId(), "version": version, "builds": 0, "schema": LAYOUT}
        transaction.insert(STATUS.name, [status | {"committed_at": datetime.now(UTC)}])
        transaction.update_all(PERIODS.name, {}, {"$set": {"changed": version}})
        _record(transaction)
    noted = (main or {}).get(MEMBERS, {})
    present = present_marks(transaction)
    if new := {f"{MEMBERS}.{name}": Int64(mark) for name, mark in present.items() if name not in noted}:
        transaction.update(STATUS.name, {"_id": DATA_VERSION}, {"$set": new})


def record(transaction: Transaction) -> None:
    """In a transaction, recreate lost parts of the state: the version, and periods."""
    if not _versions(transaction) and not _first_transaction(transaction):
        return
    begin(transaction)
    documents = transaction.find(PERIODS.name, fields={"_id": 1})
    if len(documents) != _main(_versions(transaction)).get("recorded"):
        lost = unrecorded_periods(transaction, [parse(each["_id"]) for each in documents])
        if lost:
            bump_version_of(transaction, {period.name for period in lost})
        _record(transaction)


def _record(transaction: Transaction) -> None:
    """Record how many periods have a document, so that a lost one is detected."""
    count = transaction.count(PERIODS.name, {})
    transaction.update(STATUS.name, {"_id": DATA_VERSION}, {"$set": {"recorded": count}})


def bump_builds(transaction: Transaction) -> None:
    """Record, in the transaction of a refresh, that rollups or pages are new."""
    _bump(transaction, "builds")


def _bump(transaction: Transaction, counter: str, by: int = 1) -> int:
    changes = {"$inc": {counter: by}, "$set": {"committed_at": datetime.now(UTC)}}
    status = transaction.find_and_update(STATUS.name, {"_id": DATA_VERSION}, changes)
    if status is None:
        begin(transaction)
        return _bump(transaction, counter, by)
    check_layout(status)
    return int(status[counter])
