"""The accounts of the database as of one snapshot: loads and their rows, refused rows, profiles, records of repeats."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from catalog.calendar import Period, month_of
from catalog.collections import (
    COLLECTIONS,
    CUSTOMERS,
    LOADS,
    PAGES,
    PERIODS,
    QUARANTINE,
    ROLLUPS,
    STATUS,
    TRANSACTIONS,
)
from catalog.identity import load_name, profile_attributes
from catalog.measures import LIFT, NOTHING, Parts
from catalog.purchases import DATE
from catalog.status import LoadStatus
from pipelines.derived.verification.findings import RESTORE, SHOWN, Checked, Difference, reload
from pipelines.derived.verification.repeats import differing_repeats
from pipelines.derived.verification.strays import differing_periods
from pipelines.derived.verification.vocabulary import differing_vocabulary
from pipelines.state.lanes import LANES, read_loads
from store.client import Document, Reads, Store


def check_account(store: Store) -> Checked:
    """Compare the documents of one snapshot with each other."""
    checked = Checked()
    with store.snapshot() as reads:
        loads = {load["_id"]: load for load in read_loads(reads, reads.find(LOADS.name))}
        stored = _stored(reads)
        checked.differences += [
            *_malformed(reads),
            *_loads(loads, stored.loads),
            *_quarantine(reads, loads),
            *_profiles(reads, stored.profiles, loads, checked),
            *_lanes(reads, loads),
            *differing_repeats(reads, loads),
            *differing_vocabulary(reads),
            *differing_periods(reads, stored.months, checked),
        ]
    return checked


@dataclass
class _Stored:
    """The totals of the transactions, from MongoDB's own `$group`.

    Attributes:
        loads, profiles: how many there are of each.
        months: what they add up to.
    """

    loads: Counter[str] = field(default_factory=Counter)
    profiles: Counter[int] = field(default_factory=Counter)
    months: dict[Period, Parts] = field(default_factory=dict)


def _stored(reads: Reads) -> _Stored:
    """All transactions are scanned once, and once more if there are profiles."""
    stored = _Stored()
    key = {"load": "$load_id", "day": f"${DATE.field}"}
    least = 0
    for each in reads.aggregate(
        TRANSACTIONS.name, [{"$group": {"_id": key, **LIFT, "least": {"$min": "$customer_id"}}}]
    ):
        stored.loads[each["_id"].get("load", "")] += each["n"]
        least = min(least, each["least"] if isinstance(each["least"], int) else 0)
        if isinstance(day := each["_id"].get("day"), datetime):
            month = month_of(day.date())
            stored.months[month] = stored.months.get(month, NOTHING).merge(Parts(each["n"], each["p"], each["r"]))
    if least < 0:
        by_profile: list[Document] = [
            {"$match": {"customer_id": {"$lt": 0}}},
            {"$group": {"_id": "$customer_id", "n": {"$sum": 1}}},
        ]
        stored.profiles.update({each["_id"]: each["n"] for each in reads.aggregate(TRANSACTIONS.name, by_profile)})
    return stored


def _malformed(reads: Reads) -> Iterator[Difference]:
    """Documents that fail their validator; those of the big collections are checked row by row."""
    for each in COLLECTIONS:
        if each not in (TRANSACTIONS, CUSTOMERS, ROLLUPS):
            for document in reads.find(each.name, {"$nor": [each.validator]}, {"_id": 1}, limit=SHOWN):
                derived = each in (PERIODS, PAGES)
                yield Difference(
                    each.name, f"document {document['_id']}", "fails its validator", "a valid document",
                    "" if derived else RESTORE,
                )  # fmt: skip


def _loads(loads: Mapping[str, Document], stored: Counter[str]) -> Iterator[Difference]:
    for load_id in stored.keys() - loads.keys():
        what = f"load_id of {stored[load_id]} transactions"
        yield Difference(TRANSACTIONS.name, what, load_id, "the id of an existing load", RESTORE)
    for load_id, load in loads.items():
        for what, is_, right in _of_load(load_id, load, stored[load_id]):
            if is_ != right:
                yield Difference(LOADS.name, f"{load_id}: {what}", str(is_), str(right), reload(load_id))


def _of_load(load_id: str, load: Document, stored: int) -> Iterator[tuple[str, Any, Any]]:
    """What a load's document contains, and what it should."""
    counts, status = load["counts"], load["status"]
    yield "id of its file and options", load_name(load["sha256"], load["options"]), load_id
    accounted = counts["inserted"] + counts["already_present"] + counts["quarantined"]
    yield "rows read", counts["read"], accounted
    yield "sum of refused rows by reason", sum(load["reasons"].values()), counts["quarantined"]
    if status == LoadStatus.COMPLETE:
        yield "bytes read", load["offset"], load["bytes"]
    if status == LoadStatus.REMOVED:
        yield "transactions stored", stored, 0
    elif status == LoadStatus.REMOVING:
        yield "transactions stored", min(stored, counts["inserted"]), stored
    else:
        yield "transactions stored", stored, counts["inserted"]


def _quarantine(reads: Reads, loads: Mapping[str, Document]) -> Iterator[Difference]:
    """Each refused row belongs to a load, is named after it and its line, and is counted there."""
    named = {"$concat": ["$load_id", ":", {"$toString": "$line"}]}
    for each in reads.aggregate(QUARANTINE.name, [{"$match": {"$expr": {"$ne": ["$_id", named]}}}, {"$limit": SHOWN}]):
        right = f"{each['load_id']}:{each['line']}"
        yield Difference(QUARANTINE.name, f"_id of {each['_id']}", str(each["_id"]), right, reload(each["load_id"]))
    key = {name: f"${name}" for name in ("load_id", "reason", "file")}
    found: dict[str, Counter[str]] = {}
    for each in reads.aggregate(QUARANTINE.name, [{"$group": {"_id": key, "n": {"$sum": 1}}}]):
        load_id, reason = each["_id"]["load_id"], each["_id"]["reason"]
        found.setdefault(load_id, Counter())[reason] += each["n"]
        load = loads.get(load_id)
        if load is None:
            yield Difference(
                QUARANTINE.name, f"load_id of {each['n']} rows", load_id, "the id of an existing load", RESTORE
            )
        elif each["_id"]["file"] != load["file"]:
            what = f"file of {each['n']} rows of {load_id}"
            yield Difference(QUARANTINE.name, what, each["_id"]["file"], load["file"], reload(load_id))
    for load_id, load in loads.items():
        reasons = {} if load["status"] == LoadStatus.REMOVED else dict(load["reasons"])
        stored = dict(found.get(load_id, {}))
        if stored != reasons and load["status"] != LoadStatus.REMOVING:
            yield Difference(
                QUARANTINE.name, f"rows of {load_id} by reason", str(stored), str(reasons), reload(load_id)
            )


def _lanes(reads: Reads, loads: Mapping[str, Document]) -> Iterator[Difference]:
    """Lanes belong to loads, and the lanes of one load were opened at the same time."""
    adopted: dict[str, set[int]] = {}
    for each in reads.find(STATUS.name, {"_id": LANES}):
        if each.get("load_id") in loads:
            adopted.setdefault(each["load_id"], set()).add(each.get("adopted", 0))
        else:
            yield Difference(
                STATUS.name, f"lane {each['_id']}", str(each.get("load_id")), "the id of an existing load", RESTORE
            )
    for load_id, counts in adopted.items():
        if len(counts) > 1:
            what, stored = f"adopted rows in the lanes of {load_id}", " and ".join(map(str, sorted(counts)))
            yield Difference(STATUS.name, what, stored, "the same number in each", reload(load_id))


def _profiles(
    reads: Reads, used: Counter[int], loads: Mapping[str, Document], checked: Checked
) -> Iterator[Difference]:
    """Profiles: exactly those that transactions refer to, each as its id encodes it."""
    stored = {each["_id"]: each for each in reads.find(CUSTOMERS.name, {"_id": {"$lt": 0}})}
    for customer_id in sorted(used.keys() - stored.keys()):
        checked.customerless.append(customer_id)
        yield Difference(CUSTOMERS.name, f"profile {customer_id}", "missing", "the customer of a profile")
    for customer_id, each in stored.items():
        right = {"_id": customer_id, **profile_attributes(customer_id)}
        if each != right:
            yield Difference(CUSTOMERS.name, f"profile {customer_id}", str(each), str(right), RESTORE)
        if customer_id not in used and all(load["status"] != LoadStatus.REMOVING for load in loads.values()):
            what = f"profile {customer_id}"
            yield Difference(CUSTOMERS.name, what, "a customer without a transaction", "no such customer", RESTORE)
