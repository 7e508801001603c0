"""Writes, in a transaction or as single operations. They add what reads add (`store.reads`)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from pymongo import IndexModel, ReturnDocument, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError, CollectionInvalid, OperationFailure
from pymongo.results import UpdateResult

from store.reads import Condition, Document, Reads

Change = Mapping[str, Any]
_THERE = 48


class Writes(Reads):
    """Reads and writes. Every write raises DuplicateKey if a document with that key exists."""

    def insert(self, collection: str, documents: Sequence[Any]) -> None:
        """Insert documents, in order."""
        with self._call() as given:
            self._db[collection].insert_many(documents, **given)

    def insert_past_validator(self, collection: str, documents: Sequence[Any]) -> None:
        """Insert encoded documents that are known to be valid.

        The driver's `insert_many` inspects each document, which takes 2 us; the command alone takes 0.3.
        """
        command = {"insert": collection, "documents": documents, "ordered": True, "bypassDocumentValidation": True}
        with self._call() as given:
            reply = self._db.command(command, **given)
            if "writeErrors" in reply:
                raise BulkWriteError(reply)

    def update(self, collection: str, condition: Condition, change: Change, *, upsert: bool = False) -> UpdateResult:
        """Update the first document that matches a condition; `upsert` creates it if there is none."""
        with self._call() as given:
            return self._db[collection].update_one(condition, change, upsert=upsert, **given)

    def update_all(self, collection: str, condition: Condition, change: Change) -> None:
        """Update every document that matches a condition."""
        with self._call() as given:
            self._db[collection].update_many(condition, change, **given)

    def upsert_each(self, collection: str, changes: Sequence[tuple[Condition, Change]]) -> int:
        """Update one document per condition, creating missing ones; returns how many were created."""
        updates = [UpdateOne(condition, change, upsert=True) for condition, change in changes]
        with self._call() as given:
            return self._db[collection].bulk_write(updates, **given).upserted_count

    def find_and_update(
        self, collection: str, condition: Condition, change: Change, *, upsert: bool = False, former: bool = False
    ) -> Document | None:
        """Update the first document that matches a condition; returns its new or, with `former`, its old version."""
        which = ReturnDocument.BEFORE if former else ReturnDocument.AFTER
        with self._call() as given:
            found: Document | None = self._db[collection].find_one_and_update(
                condition, change, upsert=upsert, return_document=which, **given
            )
            return found

    def delete(self, collection: str, condition: Condition) -> int:
        """Delete the documents that match a condition; returns their number."""
        with self._call() as given:
            return self._db[collection].delete_many(condition, **given).deleted_count


class Transaction(Writes):
    """Reads and writes that take effect completely or not at all; the argument of `Store.transaction`'s work."""


class Outside(Writes):
    """Single operations. If no server is known, they give up after the store's patience."""

    def __init__(self, find_server: Callable[[], None], db: Database[Document], name: str | None) -> None:
        super().__init__(db, name)
        self._find_server = find_server

    @contextmanager
    def _call(self) -> Iterator[dict[str, Any]]:
        self._find_server()
        with super()._call() as given:
            yield given

    def estimate(self, collection: str) -> int:
        """The approximate number of documents, from the collection's metadata."""
        with self._call() as given:
            return self._db[collection].estimated_document_count(comment=given["comment"])

    def command(self, command: Document, **options: Any) -> Document:
        """The reply to a command on the database."""
        with self._call() as given:
            return self._db.command(command, **options, **given)

    def admin(self, command: str, value: Any = 1, **options: Any) -> Document:
        """The reply to a command on the server."""
        with self._call() as given:
            return self._db.client.admin.command(command, value, **options, **given)

    def collections(self) -> dict[str, Document]:
        """The collections by name, each with its options."""
        with self._call() as given:
            return {info["name"]: info.get("options", {}) for info in self._db.list_collections(**given)}

    def make_collection(self, name: str, **options: Any) -> None:
        """Create a collection, unless it exists already."""
        with self._call() as given, suppress(CollectionInvalid):
            try:
                self._db.create_collection(name, **options, **given)
            except OperationFailure as error:
                if error.code != _THERE:
                    raise

    def indexes(self, collection: str) -> Mapping[str, Any]:
        """The indexes of a collection, by name."""
        with self._call() as given:
            return self._db[collection].index_information(**given)

    def drop_index(self, collection: str, name: str) -> None:
        """Drop an index."""
        with self._call() as given:
            self._db[collection].drop_index(name, **given)

    def make_indexes(
        self, collection: str, models: Sequence[tuple[Sequence[tuple[str, int]], Mapping[str, Any]]]
    ) -> None:
        """Create indexes, each given by its keys and options, in one pass over the collection."""
        with self._call() as given:
            self._db[collection].create_indexes(
                [IndexModel(list(keys), **options) for keys, options in models], **given
            )
