"""A client of the database, and what every read and write of it goes through."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import pymongo
from bson.codec_options import CodecOptions
from pymongo import MongoClient, ReadPreference, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    WaitQueueTimeoutError,
)
from pymongo.read_concern import ReadConcern
from pymongo.uri_parser import parse_uri

from catalog.errors import InternalError, StoreUnavailable
from store.embedded.server import EmbeddedServer
from store.scope import budget_ms
from store.settings import Settings
from store.watch import Watcher

Document = dict[str, Any]
Session = ClientSession
Result = TypeVar("Result")
PATIENCE_MS = 5_000
CHECK = "Check that it runs and that MONGODB_URI names it"


class Store:
    """One process's connection. Make it after a fork, never before: PyMongo's client does not survive one.

    Attributes:
        settings: where the data are.
        db: the database; dates come back aware, in UTC.
        admit: called before a snapshot or an explanation; raises where too much is going on already.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        pool_size: int = 8,
        patience_ms: int = PATIENCE_MS,
        admit: Callable[[], None] = lambda: None,
    ) -> None:
        self.settings = settings
        self.admit = admit
        self._embedded = None if settings.uri else EmbeddedServer(settings.data_dir)
        self._uri = settings.uri or (self._embedded.uri if self._embedded else "")
        self.client: MongoClient[Document] = MongoClient(
            self._uri,
            appname="customer-analytics",
            maxPoolSize=pool_size,
            tz_aware=True,
            **_patience(self._uri, patience_ms),
        )
        options: CodecOptions[Document] = CodecOptions(tz_aware=True)
        self.db: Database[Document] = self.client.get_database(
            settings.database, options, ReadPreference.PRIMARY, WriteConcern("majority", j=True)
        )
        self._capable = False

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, and let go of the embedded server."""
        self.client.close()
        if self._embedded:
            self._embedded.close()

    def watch(self, collection: str, ids: Mapping[str, str]) -> Watcher:
        """Follow the documents of a collection whose ids meet a condition; close what you get."""
        return Watcher(self._uri, self.settings.database, collection, ids)

    def require_replica_set(self) -> None:
        """Make sure that the server can do transactions and snapshot reads. Asked once a process.

        Raises:
            StoreUnavailable: it cannot be reached, is a standalone, or is too old for clustered collections.
        """
        if self._capable:
            return
        with translated():
            hello = self.client.admin.command("hello")
        if "setName" not in hello and hello.get("msg") != "isdbgrid":
            raise StoreUnavailable(
                "This MongoDB is a standalone server, which has no transactions",
                "Start mongod with --replSet NAME and run rs.initiate() once",
            )
        if hello["maxWireVersion"] < _WIRE_VERSION:
            raise StoreUnavailable("This MongoDB is older than 6.0", "Use a supported release")
        self._capable = True

    @property
    def is_there(self) -> bool:
        """Whether a server that takes writes is known; asking this sends nothing."""
        return self.client.topology_description.has_writable_server()

    def _find_server(self) -> None:
        """Give up after our patience where no server is known: under a deadline PyMongo waits for all of it."""
        if not self.is_there:
            with translated(), pymongo.timeout(self.client.options.server_selection_timeout):
                self.client.admin.command("ping")

    @contextmanager
    def snapshot(self, *, is_small: bool = False) -> Iterator[Session]:
        """A session in which every read sees the database as of one and the same moment.

        Attributes:
            is_small: whether only a few small documents are read: then nobody has to be admitted.

        Raises:
            StoreUnavailable: MongoDB is away.
        """
        if not is_small:
            self.admit()
        self._find_server()
        self.require_replica_set()
        with translated(), self.client.start_session(snapshot=True) as session:
            yield session


def _patience(uri: str, milliseconds: int) -> dict[str, Any]:
    """How long to wait for a server and for a connection, unless the connection string says it."""
    said = {name.lower() for name in parse_uri(uri, validate=False, warn=False)["options"]}
    names = ("serverSelectionTimeoutMS", "waitQueueTimeoutMS")
    return {name: milliseconds for name in names if name.lower() not in said}


def in_transaction(session: Session, work: Callable[[Session], Result]) -> Result:
    """Do some work, perhaps more than once, in a transaction that sees one snapshot and is kept by a majority."""
    return session.with_transaction(work, ReadConcern("snapshot"), WriteConcern("majority", j=True))


_WIRE_VERSION = 17
"""What MongoDB 6.0 says in its `hello`."""


def any_of(ids: Sequence[int]) -> Document:
    """The condition on `_id` that finds some documents; its bounds keep MongoDB from looking at those beyond them."""
    return {"_id": {"$in": list(ids), "$gte": min(ids, default=0), "$lte": max(ids, default=0)}}


_LOGIN = {13, 18}
_WRITE_CONFLICT = 112
_CHANGING = {91, 189, 246, 10107, 11600, 13435}
"""What a server says that shuts down, steps down or has not caught up."""


def _codes(error: OperationFailure) -> set[int | None]:
    """The error's code, and in a bulk write those that stand beside the writes."""
    return {error.code, *(each.get("code") for each in (error.details or {}).get("writeConcernErrors", ()))}


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into this project's. No address and no credential gets into the text.

    Raises:
        StoreUnavailable: MongoDB is away, refuses the login, or is too busy; trying later may help.
        InternalError: MongoDB refused a command of ours.
    """
    try:
        yield
    except WaitQueueTimeoutError as error:
        raise StoreUnavailable("Every connection to MongoDB is in use", "Try again") from error
    except (NetworkTimeout, ExecutionTimeout) as error:
        if isinstance(error.__cause__, ConnectionFailure) and not isinstance(error.__cause__, NetworkTimeout):
            raise StoreUnavailable("MongoDB cannot be reached", CHECK) from error  # a transaction's tries are used up
        budget = budget_ms()
        when = f"within this request's {budget:,} ms" if budget else "in time"
        raise StoreUnavailable(f"MongoDB did not answer {when}", "Try again, or ask for less") from error
    except ConnectionFailure as error:
        raise StoreUnavailable("MongoDB cannot be reached", CHECK) from error
    except OperationFailure as error:
        codes = _codes(error)
        if codes & _LOGIN:
            raise StoreUnavailable(
                "MongoDB refuses the login", "Check the user in MONGODB_URI and its roles"
            ) from error
        if _WRITE_CONFLICT in codes:
            raise StoreUnavailable("Another write to MongoDB was in the way", "Try again") from error
        if error.has_error_label("TransientTransactionError") or codes & _CHANGING:
            raise StoreUnavailable("MongoDB is changing its primary", "Try again") from error
        details = error.details or {}
        raise InternalError(f"MongoDB refused a command: {details.get('codeName', error.code)}: {error}") from error
    except ConfigurationError as error:
        raise StoreUnavailable(
            "MongoDB cannot be reached with this MONGODB_URI", "Check its host name and options"
        ) from error
    except PyMongoError as error:
        raise StoreUnavailable(f"MongoDB failed ({type(error).__name__})", "Try again") from error
