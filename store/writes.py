"""Writes, which are made in a transaction, or as single operations outside of any. They carry what reads carry."""

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
    """Reads and writes. Every write raises DuplicateKey where a document of that key is there."""

    def insert(self, collection: str, documents: Sequence[Any]) -> None:
        """Insert documents, in their order."""
        with self._call() as given:
            self._db[collection].insert_many(documents, **given)

    def insert_past_validator(self, collection: str, documents: Sequence[Any]) -> None:
        """Insert encoded documents that surely are what the validator allows.

        The driver's `insert_many` looks at each document and spends 2 us on it, where the command alone takes 0.3.
        """
        command = {"insert": collection, "documents": documents, "ordered": True, "bypassDocumentValidation": True}
        with self._call() as given:
            reply = self._db.command(command, **given)
            if "writeErrors" in reply:
                raise BulkWriteError(reply)

    def update(self, collection: str, condition: Condition, change: Change, *, upsert: bool = False) -> UpdateResult:
        """Change the first document that meets a condition; `upsert` makes one where there is none."""
        with self._call() as given:
            return self._db[collection].update_one(condition, change, upsert=upsert, **given)

    def update_all(self, collection: str, condition: Condition, change: Change) -> None:
        """Change every document that meets a condition."""
        with self._call() as given:
            self._db[collection].update_many(condition, change, **given)

    def upsert_each(self, collection: str, changes: Sequence[tuple[Condition, Change]]) -> int:
        """Change one document for each condition, and make those that are not there; gives how many these were."""
        updates = [UpdateOne(condition, change, upsert=True) for condition, change in changes]
        with self._call() as given:
            return self._db[collection].bulk_write(updates, **given).upserted_count

    def find_and_update(
        self, collection: str, condition: Condition, change: Change, *, upsert: bool = False, former: bool = False
    ) -> Document | None:
        """Change the first document that meets a condition; gives it as it is afterwards, or as it was before."""
        which = ReturnDocument.BEFORE if former else ReturnDocument.AFTER
        with self._call() as given:
            found: Document | None = self._db[collection].find_one_and_update(
                condition, change, upsert=upsert, return_document=which, **given
            )
            return found

    def delete(self, collection: str, condition: Condition) -> int:
        """Delete the documents that meet a condition; gives how many they were."""
        with self._call() as given:
            return self._db[collection].delete_many(condition, **given).deleted_count


class Transaction(Writes):
    """What is read and written here is kept as a whole or not at all. Given to the work of `Store.transaction`."""


class Outside(Writes):
    """Single operations, each by itself. Where no server is known they give up after the store's patience."""

    def __init__(self, find_server: Callable[[], None], db: Database[Document], name: str | None) -> None:
        super().__init__(db, name)
        self._find_server = find_server

    @contextmanager
    def _call(self) -> Iterator[dict[str, Any]]:
        self._find_server()
        with super()._call() as given:
            yield given

    def estimate(self, collection: str) -> int:
        """About how many documents there are: read from the collection's metadata."""
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
        """The options of each collection."""
        with self._call() as given:
            return {info["name"]: info.get("options", {}) for info in self._db.list_collections(**given)}

    def make_collection(self, name: str, **options: Any) -> None:
        """Make a collection, unless another process has been quicker."""
        with self._call() as given, suppress(CollectionInvalid):
            try:
                self._db.create_collection(name, **options, **given)
            except OperationFailure as error:
                if error.code != _THERE:
                    raise

    def indexes(self, collection: str) -> Mapping[str, Any]:
        """The indexes by name."""
        with self._call() as given:
            return self._db[collection].index_information(**given)

    def drop_index(self, collection: str, name: str) -> None:
        """Drop an index."""
        with self._call() as given:
            self._db[collection].drop_index(name, **given)

    def make_indexes(
        self, collection: str, models: Sequence[tuple[Sequence[tuple[str, int]], Mapping[str, Any]]]
    ) -> None:
        """Build indexes, given by their keys and options, in one pass over the collection."""
        with self._call() as given:
            self._db[collection].create_indexes(
                [IndexModel(list(keys), **options) for keys, options in models], **given
            )
