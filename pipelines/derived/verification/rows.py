"""Compare every transaction with itself and with its customer, in ranges of ids, each as of one snapshot.

What a row stores twice must agree: its hour and day with its date, its age group with its age, its customer's
attributes with its own, a profile id with the attributes that it encodes.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from catalog.attributes import Banded
from catalog.collections import CUSTOMERS, TRANSACTIONS
from catalog.columns import NULL
from catalog.identity import profile_id
from catalog.purchases import PURCHASES
from pipelines.derived.columns import Array
from pipelines.derived.rows import Rows, read_rows
from pipelines.derived.verification.findings import RESTORE, SHOWN, Checked, Difference, reload
from store.client import Document, Reads, Store

ROWS = 50_000
"""Of a range: 16 MB of transactions and 9 MB of customers in memory."""

_LEAST, _DAY_MS, _HOUR_MS = -(2**63), 86_400_000, 3_600_000
_BANDED = tuple(each for each in PURCHASES.attributes if isinstance(each, Banded))
_BANDS = {
    each.field: np.array([each.bands.code(each.bands.band(number)) for number in range(NULL, each.most + 1)])
    for each in _BANDED
}
"""The code of the band of each number, NULL first."""

Range = tuple[int, int | None]


def ranges(store: Store) -> Iterator[Range]:
    """All ids in ranges of at most ROWS transactions: where each begins, and before which it ends."""
    begin = _LEAST
    while True:
        condition = {"_id": {"$gte": begin}}
        found = store.outside.find(TRANSACTIONS.name, condition, {"_id": 1}, sort=[("_id", 1)], skip=ROWS, limit=1)
        end = next((each["_id"] for each in found), None)
        yield begin, end
        if end is None:
            return
        begin = end


def check_rows(store: Store, span: Range) -> Checked:
    """Compare the rows of a range of ids with themselves and with their customers."""
    checked = Checked()
    with store.snapshot() as reads:
        known = _members(reads)  # first: of a snapshot's first reply the driver decodes every document
        rows = read_rows(reads, TRANSACTIONS, _between(*span))
        customers = read_rows(reads, CUSTOMERS, _between(max(span[0], 0), span[1]))
        checked.rows = len(rows) + len(rows.malformed)
        found = [*_malformed(rows, TRANSACTIONS.name), *_malformed(customers, CUSTOMERS.name)]
        found += _differing_from_itself(rows)
        found += [each for table in (rows, customers) for each in _strangers(table, known)]
        found += _differing_profiles(rows)
        found += _differing_customers(rows, customers, checked)
        checked.differences = [_told(reads, *each) for each in found]
    return checked


Finding = tuple[str, str, Array, str, str]
"""A collection, a field, the ids of the rows that differ, what the first says, and what it should say."""


def _between(begin: int, end: int | None) -> Document:
    return {"_id": {"$gte": begin} if end is None else {"$gte": begin, "$lt": end}}


def _members(reads: Reads) -> dict[str, int]:
    """How many members each reference has, if its codes have no gap."""
    last = {
        each.field: reads.find_one(each.collection, {}, {"_id": 1}, sort=[("_id", -1)]) for each in PURCHASES.references
    }
    return {name: document["_id"] + 1 if document else 0 for name, document in last.items()}


def _malformed(rows: Rows, name: str) -> Iterator[Finding]:
    for id_, why in rows.malformed[:SHOWN]:
        yield name, "document", np.array([id_], object), why, "a valid document"


def _differing_from_itself(rows: Rows) -> Iterator[Finding]:
    moments = rows["transaction_date"]
    right = {
        "day": moments // _DAY_MS * _DAY_MS,
        "hour": moments % _DAY_MS // _HOUR_MS,
        **{each.bands.field: _BANDS[each.field][rows[each.field] - NULL] for each in _BANDED},
    }
    for name, expected in right.items():
        yield from _differing(TRANSACTIONS.name, name, rows["_id"], rows[name], expected)


def _strangers(rows: Rows, known: dict[str, int]) -> Iterator[Finding]:
    """Codes that are in no reference collection."""
    for dimension in PURCHASES.references:
        codes = rows.fields.get(dimension.field)
        if codes is not None and (strange := np.flatnonzero(codes >= known[dimension.field])).size:
            below = f"an _id of {dimension.collection}, below {known[dimension.field]}"
            yield _name(rows), dimension.field, rows["_id"][strange], str(codes[strange[0]]), below


def _name(rows: Rows) -> str:
    return TRANSACTIONS.name if "customer_id" in rows.fields else CUSTOMERS.name


def _differing_profiles(rows: Rows) -> Iterator[Finding]:
    """A profile's id is made of its attributes; any other customer's is the transaction's."""
    numbers = {each.name: rows[each.field] for each in PURCHASES.profile}
    by_profile = rows["customer_id"] < 0
    right = np.where(by_profile, profile_id(numbers), rows["_id"])
    yield from _differing(TRANSACTIONS.name, "customer_id", rows["_id"], rows["customer_id"], right)


def _differing_customers(rows: Rows, customers: Rows, checked: Checked) -> Iterator[Finding]:
    own = np.flatnonzero(rows["customer_id"] == rows["_id"])
    ids, theirs = rows["_id"][own], customers["_id"]
    if not np.array_equal(ids, theirs):
        unreadable = np.array([each for each, _ in (*rows.malformed, *customers.malformed) if isinstance(each, int)])
        missing = np.setdiff1d(np.setdiff1d(ids, theirs, assume_unique=True), unreadable)
        lonely = np.setdiff1d(np.setdiff1d(theirs, ids, assume_unique=True), unreadable)
        if missing.size:
            checked.customerless = missing.tolist()
            yield CUSTOMERS.name, "", missing, "missing", "the customer of a transaction"
        if lonely.size:
            yield CUSTOMERS.name, "document", lonely, "a customer without a transaction", "no such customer"
        _, at_rows, at_customers = np.intersect1d(ids, theirs, assume_unique=True, return_indices=True)
        own = own[at_rows]
    else:
        at_customers = np.arange(len(theirs))
    for name in CUSTOMERS.properties:
        yield from _differing(CUSTOMERS.name, name, rows["_id"][own], customers[name][at_customers], rows[name][own])


def _differing(collection: str, name: str, ids: Array, stored: Array, right: Array) -> Iterator[Finding]:
    if (wrong := np.flatnonzero(stored != right)).size:
        yield collection, name, ids[wrong], _text(name, stored[wrong[0]]), _text(name, right[wrong[0]])


def _text(name: str, value: Any) -> str:
    if name == "day":
        return str(np.datetime64(int(value), "ms"))
    bands = next((each.bands for each in _BANDED if each.bands.field == name), None)
    if bands and value >= 0:
        return bands.members[int(value)]
    return "null" if value == NULL else f"{value}"


def _told(reads: Reads, collection: str, name: str, ids: Array, stored: str, right: str) -> Difference:
    """A finding with its remedy: the load of its first transaction."""
    first = ids[:1].tolist()[0]
    count = f"{len(ids)} documents, first " if len(ids) > 1 else ""
    what = f"{name} of {count}{first}" if name else f"{count}{first}"
    if not name:
        return Difference(collection, f"customer {what}", stored, right)
    load = reads.find_one(TRANSACTIONS.name, {"_id": first}, {"load_id": 1}) or {}
    remedy = reload(load["load_id"]) if "load_id" in load else RESTORE
    return Difference(collection, what, stored, right, remedy)
