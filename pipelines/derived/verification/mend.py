"""Mend what can be mended exactly: mark periods as stale, delete strays, make customers again that are gone."""

from bson.int64 import Int64

from catalog.calendar import year_of
from catalog.collections import CUSTOMERS, TRANSACTIONS
from catalog.identity import profile_attributes
from pipelines.derived.verification.findings import Checked
from pipelines.state.directory import bump_version_of
from store.client import Session, Store, any_of, in_transaction, translated

BATCH = 10_000


def mend(store: Store, found: Checked) -> int:
    """Mend what was found; gives how many periods, documents and customers that were.

    Only where derived data differ does the data version grow: answers that were kept may be wrong, too.
    """
    names = {each.name for period in found.wrong for each in (period, year_of(period.start))}
    mended = len(names) + len(found.strays)
    with translated(), store.client.start_session() as session:
        if mended:
            in_transaction(session, lambda inner: _mark(store, inner, names, found))
        for begin in range(0, len(found.customerless), BATCH):
            ids = found.customerless[begin : begin + BATCH]
            mended += in_transaction(session, lambda inner, ids=ids: _make_again(store, inner, ids))  # type: ignore[misc]
    return mended


def _mark(store: Store, session: Session, names: set[str], found: Checked) -> None:
    for collection, condition in found.strays:
        store.db[collection].delete_many(condition, session=session)
    bump_version_of(store, session, names)


def _make_again(store: Store, session: Session, ids: list[int]) -> int:
    """Customers from the transactions that name them, and profiles from their ids; one that is there stays as it is."""
    customers = [
        {"_id": each["_id"], **{name: each[name] for name in CUSTOMERS.properties if name != "_id" and name in each}}
        for each in store.db[TRANSACTIONS.name].find(any_of(ids), session=session)
        if each["customer_id"] == each["_id"]
    ]
    customers += [{"_id": Int64(each), **profile_attributes(each)} for each in ids if each < 0]
    there = {each["_id"] for each in store.db[CUSTOMERS.name].find(any_of(ids), {"_id": 1}, session=session)}
    missing = [each for each in customers if each["_id"] not in there]
    if missing:
        store.db[CUSTOMERS.name].insert_many(missing, session=session)
    return len(missing)
