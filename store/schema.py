"""Create the collections with their validators, and fill the reference collections with their first members."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from catalog.collections import CLUSTERED, COLLECTIONS, DATA_VERSION, MEMBERS, STATUS
from catalog.dimensions import UNKNOWN, Vocabulary
from catalog.errors import StoreUnavailable
from catalog.purchases import PURCHASES
from store.client import Reads, Store
from store.faults import DuplicateKey
from store.layout import adopt_layout, require_layout


def apply_schema(store: Store) -> None:
    """Make the database what the catalog declares. Doing it again changes nothing.

    Raises:
        StoreUnavailable: MongoDB is away.
        NewerLayout: the database is of a layout that this program does not know.
    """
    store.require_replica_set()
    has_data = require_layout(store) is not None
    outside = store.outside
    existing = outside.collections()
    for collection in COLLECTIONS:
        if collection.name not in existing:
            options: dict[str, Any] = {}
            if collection in CLUSTERED:
                options["clusteredIndex"] = {"key": {"_id": 1}, "unique": True}
            outside.make_collection(collection.name, validator=collection.validator, **options)
        elif existing[collection.name].get("validator") != collection.validator:
            outside.command({"collMod": collection.name, "validator": collection.validator})
    adopt_layout(store)
    begun = _begun(outside)
    for dimension in PURCHASES.references:
        if has_data and not (dimension.optional and dimension.collection not in begun):
            continue  # lost names must not be replaced by others
        if outside.estimate(dimension.collection) == 0:
            members = [{"_id": code, "name": name} for code, name in enumerate(dimension.members)]
            with suppress(DuplicateKey):  # another process was quicker, with the same members
                outside.insert(dimension.collection, members)


def read_vocabulary(reads: Reads, *, in_use: Callable[[str, set[int]], bool] | None = None) -> Vocabulary:
    """The members of every dimension that can be filtered by, in the order of their codes.

    Members are only ever added, and never change their code. Before the first load the catalog's own are given.

    Attributes:
        in_use: whether transactions have any of some codes of a dimension. Given once there are transactions, each
            code that is in use has to have a name.

    Raises:
        StoreUnavailable: one has not, or a collection of names is empty.
    """
    vocabulary = dict(PURCHASES.vocabulary)
    begun = _begun(reads) if in_use and any(each.optional for each in PURCHASES.references) else frozenset()
    for dimension in PURCHASES.references:
        documents = reads.find(dimension.collection, sort=[("_id", 1)])
        names = {document["_id"]: document["name"] for document in documents}
        is_new = dimension.optional and not names and dimension.collection not in begun
        lost = set(range(max(names, default=0))).difference(names)
        if in_use and not is_new and (not names or (lost and in_use(dimension.name, lost))):
            raise names_lost(dimension.collection)
        if names:
            vocabulary[dimension.name] = tuple(names.get(code, UNKNOWN) for code in range(max(names) + 1))
    return vocabulary


def _begun(reads: Reads) -> frozenset[str]:
    """The reference collections that are noted: an optional one that is not was declared since the last load."""
    status = reads.find_one(STATUS.name, {"_id": DATA_VERSION}, {MEMBERS: 1})
    return frozenset((status or {}).get(MEMBERS, ()))


def names_lost(collection: str) -> StoreUnavailable:
    """The error where a reference collection lacks names that transactions refer to."""
    return StoreUnavailable(
        f"The collection {collection} has lost names that transactions refer to",
        "Restore it from a backup of the same moment",
    )
