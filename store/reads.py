"""Reads of the database. Each carries by itself what no call may forget: session, comment, patience, clear errors."""

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
    """What a snapshot, a transaction and single operations have in common.

    Every call raises StoreUnavailable where MongoDB is away, and InternalError where it refuses a command of ours.
    """

    def __init__(self, db: Database[Document], name: str | None, session: ClientSession | None = None) -> None:
        """Take the database, the comment of commands outside of a scope, and the session."""
        self._db, self._name, self._session = db, name, session

    @contextmanager
    def _call(self) -> Iterator[dict[str, Any]]:
        """What every command is given, around the command."""
        with translated():
            yield {"session": self._session, "comment": comment() or self._name}

    def find(
        self, collection: str, condition: Condition | None = None, fields: Any = None, *, sort: Sort = (),
        skip: int = 0, limit: int = 0, batch_size: int = 0,
    ) -> list[Document]:  # fmt: skip
        """The documents that meet a condition, with these fields or all."""
        with self._call() as given:
            return self._cursor(given, collection, condition, fields, sort, skip, limit, batch_size).to_list()

    def each(
        self, collection: str, condition: Condition | None = None, fields: Any = None, *, sort: Sort = ()
    ) -> Iterator[Document]:
        """The same one by one, for those that memory need not hold at once."""
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
        """The first document that meets a condition."""
        with self._call() as given:
            return self._db[collection].find_one(condition or {}, fields, sort=list(sort) or None, **given)

    def aggregate(
        self, collection: str, pipeline: Sequence[Mapping[str, Any]], *, batch_size: int | None = None,
        collation: Mapping[str, Any] | None = None,
    ) -> list[Document]:  # fmt: skip
        """What a pipeline gives."""
        options: dict[str, Any] = {} if batch_size is None else {"batchSize": batch_size}
        if collation:
            options["collation"] = collation
        with self._call() as given:
            return self._db[collection].aggregate(pipeline, **options, **given).to_list()

    def count(self, collection: str, condition: Condition | None = None) -> int:
        """How many documents meet a condition."""
        with self._call() as given:
            return self._db[collection].count_documents(condition or {}, **given)

    def distinct(self, collection: str, field: str) -> list[Any]:
        """The values of a field, each once."""
        with self._call() as given:
            return self._db[collection].distinct(field, **given)

    def replies(self, find: Document, take: Callable[[Reply], Result]) -> list[Result]:
        """What `take` makes of each reply to a `find` command; from the beginning once more where the connection broke.

        A snapshot's first command should be another one: of that one's reply the driver decodes every document.
        """
        with self._call() as given, self._lasting() as session:

            def taken() -> list[Result]:
                return [take(each) for each in replies(self._db, find, given | {"session": session})]

            try:
                return taken()
            except AutoReconnect:  # as the driver does with reads of its own
                return taken()

    def _lasting(self) -> Any:
        """A session for several commands that belong together."""
        return nullcontext(self._session) if self._session else self._db.client.start_session()


class Snapshot(Reads):
    """Every read sees the database as of one and the same moment."""

    @property
    def moment(self) -> datetime:
        """The moment; now, where nothing was read yet."""
        timestamp = getattr(self._session, "_snapshot_time", None)
        return timestamp.as_datetime() if timestamp else datetime.now(UTC)
