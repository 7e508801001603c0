"""A client of the database, and what every read and write of it goes through."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import count
from pathlib import Path
from random import random
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

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
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
)
from pymongo.read_concern import ReadConcern
from pymongo.uri_parser import parse_uri

from catalog.errors import InternalError, StoreUnavailable
from store.embedded.server import EmbeddedServer, held
from store.scope import budget_ms
from store.settings import Settings
from store.watch import Watcher

Document = dict[str, Any]
Session = ClientSession
Result = TypeVar("Result")
APP_NAME = "customer-analytics"
PATIENCE_MS = 5_000
AWAY_S = 6.0
TRIES_S = 120.0
CLOSE_S = 0.5
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
        self._pool_size, self._patience_ms = pool_size, patience_ms
        self._clients: list[MongoClient[Document]] = []
        self._capable = False
        self._embedded = None if settings.uri else EmbeddedServer(settings.data_dir)
        self._connect(settings.uri or (self._embedded.uri if self._embedded else ""))
        if self._embedded:
            self._embedded.supervise(self._connect)

    def _connect(self, uri: str) -> None:
        """Use this server from now on. What began with the former client ends with it."""
        self._uri = uri
        self.client: MongoClient[Document] = MongoClient(
            uri, appname=APP_NAME, maxPoolSize=self._pool_size, tz_aware=True, **_patience(uri, self._patience_ms)
        )
        self._clients.append(self.client)
        options: CodecOptions[Document] = CodecOptions(tz_aware=True)
        self.db: Database[Document] = self.client.get_database(
            self.settings.database, options, ReadPreference.PRIMARY, WriteConcern("majority", j=True)
        )

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, and let go of the embedded server."""
        with pymongo.timeout(CLOSE_S):  # else it waits for a server that is away, to tell it that sessions end
            for client in self._clients:
                client.close()
        if self._embedded:
            self._embedded.close()

    @property
    def uri_file(self) -> Path | None:
        """The file with the embedded server's connection string, for its owner alone to read; None with MONGODB_URI."""
        return self._embedded.uri_file if self._embedded else None

    def watch(self, collection: str, ids: Mapping[str, str]) -> Watcher:
        """Follow the documents of a collection whose ids meet a condition; close what you get."""
        return Watcher(lambda: self._uri, self.settings.database, collection, ids)

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
    """Do some work, perhaps more than once, in a transaction that sees one snapshot and is kept by a majority.

    As PyMongo's `with_transaction`, which tries for two minutes whatever happens: an election may take long, but where
    no server at all can be reached for AWAY_S there is none.
    """
    deadline = time.monotonic() + TRIES_S
    for tries in count():
        time.sleep(random() * min(tries and 0.005 * 1.5**tries, 0.5))  # noqa: S311  no secret
        session.start_transaction(ReadConcern("snapshot"), WriteConcern("majority", j=True))
        try:
            result = work(session)
        except BaseException as error:
            has_waited_s = session.client.options.server_selection_timeout
            since = time.monotonic() - (has_waited_s if isinstance(error, ServerSelectionTimeoutError) else 0)
            is_over = not _is_transient(error) or time.monotonic() > deadline
            is_away = not is_over and not _is_reachable(session.client, since)
            if session.in_transaction:
                with pymongo.timeout(CLOSE_S) if is_away else nullcontext():
                    session.abort_transaction()
            if is_over or is_away:
                raise
        else:
            if _commit(session, deadline):
                return result
    raise AssertionError("unreachable")


def _commit(session: Session, deadline: float) -> bool:
    """Commit; False where the whole transaction has to be tried again."""
    while True:
        begin = time.monotonic()
        try:
            session.commit_transaction()
        except PyMongoError as error:
            is_unknown = error.has_error_label("UnknownTransactionCommitResult")
            if not (is_unknown or _is_transient(error)) or time.monotonic() > deadline:
                raise
            if not _is_reachable(session.client, begin):
                raise
            if not is_unknown:
                return False
        else:
            return True


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, PyMongoError) and error.has_error_label("TransientTransactionError")


_away_since: "WeakKeyDictionary[MongoClient[Document], float]" = WeakKeyDictionary()
"""A loader writes with two sessions: what one has waited for, the other need not wait for again."""


def _is_reachable(client: MongoClient[Document], since: float) -> bool:
    """Whether some server answers, primary or not; waits for one until it has been away for AWAY_S."""
    deadline = _away_since.setdefault(client, since) + AWAY_S
    while (left := deadline - time.monotonic()) > 0:
        try:
            with pymongo.timeout(left):
                client.admin.command("ping", read_preference=ReadPreference.NEAREST)
        except ConnectionFailure:
            time.sleep(0.05)
        else:
            _away_since.pop(client, None)
            return True
    return False


_WIRE_VERSION = 17
"""What MongoDB 6.0 says in its `hello`."""


def any_of(ids: Sequence[int]) -> Document:
    """The condition on `_id` that finds some documents; its bounds keep MongoDB from looking at those beyond them."""
    return {"_id": {"$in": list(ids), "$gte": min(ids, default=0), "$lte": max(ids, default=0)}}


_LOGIN = {13, 18, 334}
"""Of these, 334 answers a user who is unknown, where the server takes SCRAM-SHA-256 only: drivers then try SHA-1."""

_WRITE_CONFLICT = 112
_CHANGING = {91, 189, 246, 10107, 11600, 13435}
"""What a server says that shuts down, steps down or has not caught up."""


def _codes(error: OperationFailure) -> set[int | None]:
    """The error's code, and in a bulk write those that stand beside the writes."""
    return {error.code, *(each.get("code") for each in (error.details or {}).get("writeConcernErrors", ()))}


def _away() -> StoreUnavailable:
    """What to say of a server that cannot be reached: the embedded one starts again by itself, if its disk has room."""
    for server in held():
        if said := server.trouble():
            return StoreUnavailable(said, "Try again, or look at its disk and its log")
    return StoreUnavailable("MongoDB cannot be reached", CHECK)


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
            raise _away() from error
        budget = budget_ms()
        when = f"within this request's {budget:,} ms" if budget else "in time"
        raise StoreUnavailable(f"MongoDB did not answer {when}", "Try again, or ask for less") from error
    except ConnectionFailure as error:
        raise _away() from error
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
