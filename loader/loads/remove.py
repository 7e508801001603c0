"""Take a load out again: its transactions, their customers and its quarantine, in batches that can be resumed."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from catalog.collections import CUSTOMERS, LOADS, QUARANTINE, TRANSACTIONS
from catalog.errors import LoadError, UnknownName
from catalog.purchases import DATE
from pipelines.derived.refresh import refresh
from pipelines.state.directory import bump_version
from store.client import Session, Store, any_of, in_transaction, translated
from store.holder import end_session, is_alive, myself, session_name

BATCH_ROWS = 10_000


def remove(store: Store, load_id: str, progress: Callable[[int, int], None]) -> int:
    """Remove a load; gives the number of transactions removed. Answers are exact before, during and after.

    A row that a later file repeated belongs to the load that was first, and goes with it.

    Raises:
        UnknownName: there is no such load.
        LoadError: it is still being loaded.
    """
    loads, transactions = store.db[LOADS.name], store.db[TRANSACTIONS.name]
    with translated():
        known = [load["_id"] for load in loads.find({}, {"_id": 1})]
        if load_id not in known:
            raise UnknownName("load", load_id, known)
        with store.client.start_session() as session:
            _take_over(store, load_id, session)
            total = transactions.count_documents({"load_id": load_id})
            removed = 0
            while found := list(
                transactions.find({"load_id": load_id}, {"customer_id": 1, DATE.field: 1})
                .sort("_id", 1)
                .limit(BATCH_ROWS)
            ):
                _remove_batch(store, session, found)
                removed += len(found)
                progress(removed, total)
        store.db[QUARANTINE.name].delete_many({"load_id": load_id})
        _remove_lonely_profiles(store)
        refresh(store)
        loads.update_one({"_id": load_id}, {"$set": {"status": "removed"}})
    return removed


def _take_over(store: Store, load_id: str, session: Session) -> None:
    """Name our session, and end the transaction that a removal may have left open when it was killed."""
    mine = {
        "status": "removing", "session": session_name(session), "holder": myself(), "updated_at": datetime.now(UTC),
    }  # fmt: skip
    former = store.db[LOADS.name].find_one_and_update({"_id": load_id, "status": {"$ne": "running"}}, {"$set": mine})
    if not former:
        raise LoadError("This load is not finished", "Let it finish, or run it again, then remove it", retryable=True)
    if not is_alive(former["holder"], former["updated_at"]):
        end_session(store, former["session"])


def _remove_batch(store: Store, session: Session, found: list[dict[str, Any]]) -> None:
    ids = [transaction["_id"] for transaction in found]
    customers = [
        transaction["customer_id"] for transaction in found if transaction["customer_id"] == transaction["_id"]
    ]
    days = {DATE.code(transaction[DATE.field]) for transaction in found}

    def delete(inner: Session) -> None:
        bump_version(store, inner, days)
        store.db[TRANSACTIONS.name].delete_many(any_of(ids), session=inner)
        store.db[CUSTOMERS.name].delete_many(any_of(customers), session=inner)

    in_transaction(session, delete)


def _remove_lonely_profiles(store: Store) -> None:
    """Remove the customers that are profiles and have no transaction left."""
    customers = store.db[CUSTOMERS.name]
    if customers.find_one({"_id": {"$lt": 0}}):
        groups = store.db[TRANSACTIONS.name].aggregate(
            [{"$match": {"customer_id": {"$lt": 0}}}, {"$group": {"_id": "$customer_id"}}]
        )
        customers.delete_many({"_id": {"$lt": 0, "$nin": [group["_id"] for group in groups]}})
