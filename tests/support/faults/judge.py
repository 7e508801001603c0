"""The judge after every fault: does the database contain exactly the rows of the files, each once?

The files are read with Python's csv and decimals, without any code of the loader.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from indexes.manage import differences
from pipelines.derived.verify import verify
from store.client import Store

AMOUNT = re.compile(r"(\d+(\.\d{1,2})?)?", re.ASCII)
Cents = dict[int, int | None]


@dataclass
class Expected:
    """What must be stored after a file has been loaded, following the earlier files.

    Attributes:
        file: its name.
        read: its number of rows.
        present: the number of rows that were already stored with the same content.
        cents: the amount of each transaction that it adds, None if unknown.
        refused: the lines that belong in quarantine.
    """

    file: str
    read: int = 0
    present: int = 0
    cents: Cents = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)


def expect(files: Sequence[Path]) -> list[Expected]:
    """What the files must lead to, in the order in which they were loaded."""
    seen: dict[str, dict[str, str]] = {}
    found = []
    for path in files:
        each = Expected(path.name)
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            for row in reader:
                each.read += 1
                name, amount = row["Transaction_ID"], row["Amount_spent"]
                if not AMOUNT.fullmatch(amount) or seen.get(name, row) != row:
                    each.refused.add(reader.line_num)
                elif name in seen:
                    each.present += 1
                else:
                    seen[name] = row
                    each.cents[int(name)] = int(Decimal(amount) * 100) if amount else None
        found.append(each)
    return found


def judge(store: Store, files: Sequence[Path], output: str = "") -> list[str]:
    """Everything that is wrong, one line each; empty if the database matches the files.

    `files` are those that are loaded and not removed, in order; `output` is the output of the commands.
    """
    expected = expect(files)
    return [
        *_transactions(store, expected),
        *_customers(store, expected),
        *_loads(store, expected),
        *_quarantine(store, expected),
        *_derived(store),
        *(f"index {each.index} of {each.collection} is {each.kind}" for each in differences(store)),
        *(["a traceback was printed"] if "Traceback" in output else []),
    ]


def judge_part(store: Store) -> list[str]:
    """What is wrong with one interrupted load, as of one moment: its checkpoint must account for all stored rows."""
    with store.client.start_session(snapshot=True) as session:
        load = store.db.loads.find_one({}, session=session)
        lanes = store.db.status.find({"load_id": load["_id"]}, session=session).to_list() if load else []
        load = max((load, *lanes), key=lambda each: each["offset"]) if load else None
        counts = load["counts"] if load else {"read": 0, "inserted": 0, "already_present": 0, "quarantined": 0}
        stored = {
            name: store.db[name].count_documents({}, session=session)
            for name in ("transactions", "customers", "quarantine")
        }
    right = dict.fromkeys(("transactions", "customers"), counts["inserted"])
    wrong = [] if stored == right | {"quarantine": counts["quarantined"]} else [f"{stored} at the checkpoint {counts}"]
    if counts["read"] != counts["inserted"] + counts["already_present"] + counts["quarantined"]:
        wrong.append(f"not every row is accounted for: {counts}")
    return wrong


def _transactions(store: Store, expected: Sequence[Expected]) -> Iterator[str]:
    right: Cents = {}
    for each in expected:
        right |= each.cents
    count, stored = 0, {}
    for document in store.db.transactions.find({}, {"amount_cents": 1}):
        count += 1
        stored[document["_id"]] = document["amount_cents"]
    if count != len(right):
        yield f"{count} transactions, {len(right)} expected"
    if len(stored) != count:
        yield f"{count - len(stored)} transactions are there twice"
    if missing := right.keys() - stored.keys():
        yield f"{len(missing)} transactions are missing, one of them {min(missing)}"
    if strange := stored.keys() - right.keys():
        yield f"{len(strange)} transactions come from no file, one of them {min(strange)}"
    if other := [name for name in right.keys() & stored.keys() if right[name] != stored[name]]:
        yield f"{len(other)} transactions have another amount, one of them {min(other)}"
    if _sum(stored) != _sum(right):
        yield f"{_sum(stored)} cents, {_sum(right)} expected"


def _sum(cents: Cents) -> int:
    return sum(each or 0 for each in cents.values())


def _customers(store: Store, expected: Sequence[Expected]) -> Iterator[str]:
    """Check that each transaction has one customer."""
    count, right = store.db.customers.count_documents({}), sum(len(each.cents) for each in expected)
    if count != right:
        yield f"{count} customers, {right} expected"


def _loads(store: Store, expected: Sequence[Expected]) -> Iterator[str]:
    loads: dict[str, Any] = {load["file"]: load for load in store.db.loads.find({"status": {"$ne": "removed"}})}
    if loads.keys() != {each.file for each in expected}:
        yield f"the loads are {sorted(loads)}"
    for each in expected:
        load = loads.get(each.file)
        if not load:
            continue
        counts = load["counts"]
        if load["status"] != "complete":
            yield f"{each.file} is {load['status']}"
        if counts["read"] != counts["inserted"] + counts["already_present"] + counts["quarantined"]:
            yield f"{each.file} does not account for every row: {counts}"
        right = {
            "read": each.read, "inserted": len(each.cents), "already_present": each.present,
            "quarantined": len(each.refused),
        }  # fmt: skip
        if counts != right:
            yield f"{each.file} says {counts}, {right} expected"
        if sum(load["reasons"].values()) != len(each.refused):
            yield f"{each.file} gives reasons {load['reasons']} for {len(each.refused)} rows"
        stored = store.db.transactions.count_documents({"load_id": load["_id"]})
        if stored != len(each.cents):
            yield f"{each.file} has {stored} transactions, {len(each.cents)} expected"


def _quarantine(store: Store, expected: Sequence[Expected]) -> Iterator[str]:
    right = sorted((each.file, line) for each in expected for line in each.refused)
    refused = list(store.db.quarantine.find())
    stored = sorted((each["file"], each["line"]) for each in refused)
    if stored != right:
        yield f"{len(stored)} rows in quarantine, {len(right)} expected; or others"
    if not all(each["reason"] and each["raw"] for each in refused):
        yield "a row is in quarantine without a reason"


def _derived(store: Store) -> Iterator[str]:
    found = verify(store, lambda done, total: None)
    if found.differences:
        yield f"{found.differences} differences in rollups, pages or references: {found.shown[0]}"
    if found.stale:
        yield f"{found.stale} months are stale"
    years = store.db.periods.count_documents({"_id": {"$regex": "^....$"}})
    if found.years != years:
        yield f"{years - found.years} years are stale"
    if found.rows != (count := store.db.transactions.count_documents({})):
        yield f"{found.rows} transactions verified, {count} are there"


def judge_overlapping(store: Store, files: Sequence[Path]) -> list[str]:
    """What is wrong if loads overlap and some were removed, so that their order is no longer significant.

    Every row of the loaded `files` must be accounted for: stored once for all equal rows, or else in quarantine, as
    malformed or because its id is stored with another amount.
    """
    owners: dict[int, tuple[str, int | None]] = {
        each["_id"]: (each["load_id"], each["amount_cents"])
        for each in store.db.transactions.find({}, {"load_id": 1, "amount_cents": 1})
    }
    loads = {each["file"]: each for each in store.db.loads.find({"status": {"$ne": "removed"}})}
    wrong = [] if loads.keys() == {path.name for path in files} else [f"the loads are {sorted(loads)}"]
    brought: set[int] = set()
    for path in files:
        if load := loads.get(path.name):
            wrong += _accounted(store, path, load, owners, brought)
    if missing := brought - owners.keys():
        wrong.append(f"{len(missing)} transactions are missing, one of them {min(missing)}")
    if strange := owners.keys() - brought:
        wrong.append(f"{len(strange)} transactions come from no file, one of them {min(strange)}")
    customers = {each["_id"] for each in store.db.customers.find({}, {"_id": 1})}
    if customers != owners.keys():
        wrong.append(f"{len(customers ^ owners.keys())} customers too many or too few")
    left = {"load_id": {"$nin": [each["_id"] for each in loads.values()]}}
    for name in ("quarantine", "repeats", "transactions"):
        if count := store.db[name].count_documents(left):
            wrong.append(f"{count} of {name} belong to no load")
    return [*wrong, *_derived(store)]


def _accounted(
    store: Store, path: Path, load: Any, owners: Mapping[int, tuple[str, int | None]], brought: set[int]
) -> Iterator[str]:
    """What is wrong with one load; the ids in its file are added to `brought`."""
    refused = {each["line"]: each["reason"] for each in store.db.quarantine.find({"load_id": load["_id"]})}
    said: dict[int, set[int | None]] = {}
    read = malformed = 0
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        for row in reader:
            read += 1
            number, amount = int(row["Transaction_ID"]), row["Amount_spent"]
            reason = refused.pop(reader.line_num, None)
            if not AMOUNT.fullmatch(amount):
                malformed += 1
                if reason in (None, "id_conflict"):
                    yield f"{path.name}, line {reader.line_num} is malformed, and its reason is {reason}"
                continue
            cents = int(Decimal(amount) * 100) if amount else None
            said.setdefault(number, set()).add(cents)
            if reason not in (None, "id_conflict"):
                yield f"{path.name}, line {reader.line_num} is refused: {reason}"
            if reason is None and number in owners and owners[number][1] != cents:
                yield f"{path.name}, line {reader.line_num} is neither stored nor refused"
    brought.update(said)
    if refused:
        yield f"{path.name}: {len(refused)} rows in quarantine that the file has not"
    own = [number for number, (name, _) in owners.items() if name == load["_id"]]
    if not_said := [number for number in own if owners[number][1] not in said.get(number, ())]:
        yield f"{path.name} does not say {len(not_said)} of its transactions, one of them {min(not_said)}"
    counts, stored = load["counts"], store.db.quarantine.count_documents({"load_id": load["_id"]})
    right = {"read": read, "inserted": len(own), "already_present": read - len(own) - stored, "quarantined": stored}
    if counts != right:
        yield f"{path.name} says {counts}, {right} expected"
    if load["status"] != "complete":
        yield f"{path.name} is {load['status']}"
    conflicts = load["reasons"].get("id_conflict", 0)
    if sum(load["reasons"].values()) != stored or stored - conflicts != malformed:
        yield f"{path.name} gives reasons {load['reasons']} for {stored} rows"
