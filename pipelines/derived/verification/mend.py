"""Repair what can be repaired exactly: mark periods as stale, delete strays, recreate missing customers."""

from functools import partial

from bson.int64 import Int64

from catalog.calendar import year_of
from catalog.collections import CUSTOMERS, TRANSACTIONS
from catalog.identity import profile_attributes
from pipelines.derived.verification.findings import Checked
from pipelines.state.directory import bump_version_of
from store.client import Store, Transaction, any_of

BATCH = 10_000


def mend(store: Store, found: Checked) -> int:
    """Repair what was found; returns the number of periods, documents and customers.

    If derived data differ, the data version grows, since cached answers may be wrong, too.
    """
    names = {each.name for period in found.wrong for each in (period, year_of(period.start))}
    mended = len(names) + len(found.strays)
    with store.session() as session:
        if mended:
            session.transaction(lambda transaction: _mark(transaction, names, found))
        for begin in range(0, len(found.customerless), BATCH):
            ids = found.customerless[begin : begin + BATCH]
            mended += session.transaction(partial(_make_again, ids))
    return mended


def _mark(transaction: Transaction, names: set[str], found: Checked) -> None:
    for collection, condition in found.strays:
        transaction.delete(collection, condition)
    bump_version_of(transaction, names)


def _make_again(ids: list[int], transaction: Transaction) -> int:
    """Recreate customers from their transactions, and profiles from their ids; existing ones stay unchanged."""
    customers = [
        {"_id": each["_id"], **{name: each[name] for name in CUSTOMERS.properties if name != "_id" and name in each}}
        for each in transaction.find(TRANSACTIONS.name, any_of(ids))
        if each["customer_id"] == each["_id"]
    ]
    customers += [{"_id": Int64(each), **profile_attributes(each)} for each in ids if each < 0]
    there = {each["_id"] for each in transaction.find(CUSTOMERS.name, any_of(ids), {"_id": 1})}
    missing = [each for each in customers if each["_id"] not in there]
    if missing:
        transaction.insert(CUSTOMERS.name, missing)
    return len(missing)
