"""The client of the database, the only door to it; its operations are in `store.reads` and `store.writes`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pymongo
from bson.codec_options import CodecOptions
from pymongo import MongoClient, ReadPreference, WriteConcern
from pymongo.database import Database

from catalog.errors import StoreUnavailable
from store.command import command_name
from store.embedded.server import EmbeddedServer
from store.faults import translated
from store.reads import Document, Reads, Snapshot
from store.settings import Settings, options_of
from store.tls import require_files
from store.transactions import CLOSE_S, Session
from store.watch import Watcher
from store.writes import Outside, Transaction

__all__ = ["Document", "Outside", "Reads", "Session", "Snapshot", "Store", "Transaction", "any_of"]

Result = TypeVar("Result")
APP_NAME = "customer-analytics"
PATIENCE_MS = 5_000


class Store:
    """One process's connection. Create it after a fork, never before: PyMongo's client does not survive one.

    Attributes:
        settings: where the data are.
        db: the database; dates come back aware, in UTC.
        admit: called before a snapshot or an explain; raises if the process is overloaded.
        comment: identifies commands in MongoDB's log and profiler, unless their scope has its own; by default, the
            running command line.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        pool_size: int = 8,
        patience_ms: int = PATIENCE_MS,
        admit: Callable[[], None] = lambda: None,
        comment: str | None = None,
    ) -> None:
        self.settings = settings
        self.admit = admit
        self.comment = comment or command_name()
        self._pool_size, self._patience_ms = pool_size, patience_ms
        self._clients: list[MongoClient[Document]] = []
        self._capable = False
        self._embedded = None if settings.uri else EmbeddedServer(settings.data_dir)
        self._connect(settings.uri or (self._embedded.uri if self._embedded else ""))
        if self._embedded:
            self._embedded.supervise(self._connect)

    def _connect(self, uri: str) -> None:
        """Use this server from now on; what the former client has begun ends there."""
        self._uri = uri
        said = options_of(uri)
        require_files(said)
        patience: dict[str, Any] = {name: self._patience_ms for name in _PATIENCE if name.lower() not in said}
        with translated():
            self.client: MongoClient[Document] = MongoClient(
                uri, appname=APP_NAME, maxPoolSize=self._pool_size, tz_aware=True, **patience
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
        """Close the connection and release the embedded server."""
        with pymongo.timeout(CLOSE_S):  # otherwise it waits for an unavailable server, to end its sessions there
            for client in self._clients:
                client.close()
        if self._embedded:
            self._embedded.close()

    @property
    def uri_file(self) -> Path | None:
        """The file with the embedded server's connection string, readable by its owner only; None with MONGODB_URI."""
        return self._embedded.uri_file if self._embedded else None

    def watch(self, collection: str, ids: Mapping[str, str]) -> Watcher:
        """A watcher of the documents of a collection whose ids match a condition. The caller closes it."""
        return Watcher(lambda: self._uri, self.settings.database, collection, ids)

    def require_replica_set(self) -> None:
        """Make sure that the server supports transactions and snapshot reads; checked once per process.

        Raises:
            StoreUnavailable: it is unreachable, a standalone server, or older than MongoDB 6.0.
        """
        if self._capable:
            return
        hello = self.outside.admin("hello")
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
        """Whether a server that accepts writes is known; nothing is sent to find out."""
        return self.client.topology_description.has_writable_server()

    def _find_server(self) -> None:
        """If no server is known, give up after our patience; under a deadline, PyMongo would use all of it."""
        if not self.is_there:
            with translated(), pymongo.timeout(self.client.options.server_selection_timeout):
                self.client.admin.command("ping")

    @property
    def outside(self) -> Outside:
        """Single operations, each outside of any transaction."""
        return Outside(self._find_server, self.db, self.comment)

    @contextmanager
    def snapshot(self, *, is_small: bool = False) -> Iterator[Snapshot]:
        """A context of reads that all see the database as of the same moment.

        Attributes:
            is_small: whether only a few small documents are read, which needs no admission.

        Raises:
            StoreUnavailable: MongoDB is unavailable.
        """
        if not is_small:
            self.admit()
        self._find_server()
        self.require_replica_set()
        db = self.db
        with translated(), db.client.start_session(snapshot=True) as session:
            yield Snapshot(db, self.comment, session)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A context for several transactions of one owner, one after the other."""
        db = self.db
        with translated(), db.client.start_session() as session:
            yield Session(db, self.comment, session)

    def transaction(self, work: Callable[[Transaction], Result]) -> Result:
        """Run `work` in a transaction, again if necessary, and return its result; see `Session.transaction`."""
        with self.session() as session:
            return session.transaction(work)


_PATIENCE = ("serverSelectionTimeoutMS", "waitQueueTimeoutMS")
"""The options for how long to wait for a server and a connection; the connection string takes precedence."""

_WIRE_VERSION = 17
"""The `maxWireVersion` of MongoDB 6.0."""


def any_of(ids: Sequence[int]) -> Document:
    """The condition that matches these ids; its bounds spare MongoDB the rest of a clustered collection."""
    return {"_id": {"$in": list(ids), "$gte": min(ids, default=0), "$lte": max(ids, default=0)}}
