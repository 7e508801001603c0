"""Creates the collections with their validators, and the initial members of the reference collections."""

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
    """Make the database match the catalog; idempotent.

    Raises:
        StoreUnavailable: MongoDB is unavailable.
        NewerLayout: the database has a layout that this program does not know.
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
            continue  # lost names must not be replaced by other ones
        if outside.estimate(dimension.collection) == 0:
            members = [{"_id": code, "name": name} for code, name in enumerate(dimension.members)]
            with suppress(DuplicateKey):  # another process inserted the same members first
                outside.insert(dimension.collection, members)


def read_vocabulary(reads: Reads, *, in_use: Callable[[str, set[int]], bool] | None = None) -> Vocabulary:
    """The members of every dimension that can be filtered by, ordered by code.

    Members are only ever added and keep their codes. Before the first load, they are those of the catalog.

    Attributes:
        in_use: whether transactions have any of the given codes of a dimension. If this function is passed, every
            code in use must have a name.

    Raises:
        StoreUnavailable: a code in use has no name, or a reference collection is empty.
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
    """The reference collections with a mark; an optional one without was declared after the last load."""
    status = reads.find_one(STATUS.name, {"_id": DATA_VERSION}, {MEMBERS: 1})
    return frozenset((status or {}).get(MEMBERS, ()))


def names_lost(collection: str) -> StoreUnavailable:
    """The error for a reference collection that lacks names of codes in use."""
    return StoreUnavailable(
        f"The collection {collection} has lost names that transactions refer to",
        "Restore it from a backup of the same moment",
    )
