"""Create the collections with their validators, and fill the reference collections with their first members."""

from contextlib import suppress
from typing import Any

from pymongo.errors import BulkWriteError, CollectionInvalid

from catalog.collections import CLUSTERED, COLLECTIONS
from catalog.dimensions import UNKNOWN, Vocabulary
from catalog.purchases import PURCHASES
from store.client import Session, Store, translated
from store.scope import comment


def apply_schema(store: Store) -> None:
    """Make the database what the catalog declares. Doing it again changes nothing.

    Raises:
        StoreUnavailable: MongoDB is away.
    """
    store.require_replica_set()
    with translated():
        existing = {info["name"]: info.get("options", {}) for info in store.db.list_collections()}
        for collection in COLLECTIONS:
            if collection.name not in existing:
                options: dict[str, Any] = {}
                if collection in CLUSTERED:
                    options["clusteredIndex"] = {"key": {"_id": 1}, "unique": True}
                with suppress(CollectionInvalid):  # another process was quicker, with the same validator
                    store.db.create_collection(collection.name, validator=collection.validator, **options)
            elif existing[collection.name].get("validator") != collection.validator:
                store.db.command("collMod", collection.name, validator=collection.validator)
        for dimension in PURCHASES.references:
            if store.db[dimension.collection].estimated_document_count() == 0:
                members = [{"_id": code, "name": name} for code, name in enumerate(dimension.members)]
                with suppress(BulkWriteError):  # as above
                    store.db[dimension.collection].insert_many(members)


def read_vocabulary(store: Store, session: Session | None = None) -> Vocabulary:
    """The members of every dimension that can be filtered by, in the order of their codes.

    Members are only ever added, and never change their code. Before the first load the catalog's own are given.
    """
    vocabulary = dict(PURCHASES.vocabulary)
    for dimension in PURCHASES.references:
        documents = store.db[dimension.collection].find({}, session=session, comment=comment()).sort("_id")
        if names := {document["_id"]: document["name"] for document in documents}:
            vocabulary[dimension.name] = tuple(names.get(code, UNKNOWN) for code in range(max(names) + 1))
    return vocabulary
