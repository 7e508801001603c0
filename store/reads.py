"""Reads of the database. They add what every call needs: session, comment, patience, translated errors."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any, TypeVar

from pymongo import CursorType
from pymongo.client_session import ClientSession
from pymongo.cursor import Cursor
from pymongo.database import Database
from pymongo.errors import AutoReconnect

from store.bson.reply import Reply
from store.faults import translated
from store.replies import replies
from store.scope import comment

Document = dict[str, Any]
Condition = Mapping[str, Any]
Sort = Sequence[tuple[str, int]]
Result = TypeVar("Result")


class Reads:
    """The reads of snapshots, transactions and single operations.

    Every call raises StoreUnavailable if MongoDB is unavailable, and InternalError if it rejects one of our commands.
    """

    def __init__(self, db: Database[Document], name: str | None, session: ClientSession | None = None) -> None:
        """`name` is the comment of commands that are outside of a scope."""
        self._db, self._name, self._session = db, name, session

    @contextmanager
    def _call(self) -> Iterator[dict[str, Any]]:
        """The arguments that every command gets; its errors are translated."""
        with translated():
            yield {"session": self._session, "comment": comment() or self._name}

    def find(
        self, collection: str, condition: Condition | None = None, fields: Any = None, *, sort: Sort = (),
        skip: int = 0, limit: int = 0, batch_size: int = 0,
    ) -> list[Document]:  # fmt: skip
        """The documents that match a condition, with these fields or all."""
        with self._call() as given:
            return self._cursor(given, collection, condition, fields, sort, skip, limit, batch_size).to_list()

    def each(
        self, collection: str, condition: Condition | None = None, fields: Any = None, *, sort: Sort = ()
    ) -> Iterator[Document]:
        """Like `find`, but one document at a time, so that memory need not hold all of them."""
        with self._call() as given:
            yield from self._cursor(given, collection, condition, fields, sort)

    def _cursor(
        self, given: dict[str, Any], collection: str, condition: Condition | None, fields: Any, sort: Sort,
        skip: int = 0, limit: int = 0, batch_size: int = 0,
    ) -> Cursor[Document]:  # fmt: skip
        return self._db[collection].find(
            condition or {}, fields, skip=skip, limit=limit, sort=list(sort) or None, batch_size=batch_size,
            cursor_type=CursorType.NON_TAILABLE, **given,
        )  # fmt: skip

    def find_one(
        self, collection: str, condition: Condition | None = None, fields: Any = None, *, sort: Sort = ()
    ) -> Document | None:
        """The first document that matches a condition, or None."""
        with self._call() as given:
            return self._db[collection].find_one(condition or {}, fields, sort=list(sort) or None, **given)

    def aggregate(
        self, collection: str, pipeline: Sequence[Mapping[str, Any]], *, batch_size: int | None = None,
        collation: Mapping[str, Any] | None = None,
    ) -> list[Document]:  # fmt: skip
        """The results of an aggregation pipeline."""
        options: dict[str, Any] = {} if batch_size is None else {"batchSize": batch_size}
        if collation:
            options["collation"] = collation
        with self._call() as given:
            return self._db[collection].aggregate(pipeline, **options, **given).to_list()

    def count(self, collection: str, condition: Condition | None = None) -> int:
        """The number of documents that match a condition."""
        with self._call() as given:
            return self._db[collection].count_documents(condition or {}, **given)

    def distinct(self, collection: str, field: str) -> list[Any]:
        """The distinct values of a field."""
        with self._call() as given:
            return self._db[collection].distinct(field, **given)

    def replies(self, find: Document, take: Callable[[Reply], Result]) -> list[Result]:
        """`take` applied to each reply to a `find` command; starts over once if the connection breaks.

        It should not be a snapshot's first command, as the driver decodes every document of that command's reply.
        """
        with self._call() as given, self._lasting() as session:

            def taken() -> list[Result]:
                return [take(each) for each in replies(self._db, find, given | {"session": session})]

            try:
                return taken()
            except AutoReconnect:  # like the driver's own retryable reads
                return taken()

    def _lasting(self) -> Any:
        """A session for several commands of one cursor."""
        return nullcontext(self._session) if self._session else self._db.client.start_session()


class Snapshot(Reads):
    """Reads that all see the database as of the same moment."""

    @property
    def moment(self) -> datetime:
        """The moment; the current time if nothing has been read yet."""
        timestamp = getattr(self._session, "_snapshot_time", None)
        return timestamp.as_datetime() if timestamp else datetime.now(UTC)
