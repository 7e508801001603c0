"""Reports a new data version within a second: a change stream on the status documents, read with Motor.

Only this module uses Motor; PyMongo's own `AsyncMongoClient` has the same calls and could replace it.
The stream returns at least every BEAT_MS even if nothing happens, so after a silence its last report can no
longer be trusted.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

APP_NAME = "customer-analytics-watch"
COMMENT = "watch"
log = logging.getLogger(__name__)
BEAT_MS = 250
SILENCE_S = 1.0
RETRY_S = 0.5


class Watcher:
    """Follows some documents of a collection in its own thread. Start it after a fork.

    Attributes:
        uri: returns the connection string; called whenever the stream is opened.
        changes: the number of changes so far; waiting for a larger number is waiting for the next change.
        heard: when the stream last returned, even without a change (`monotonic`).
    """

    def __init__(self, uri: Callable[[], str], database: str, collection: str, ids: Mapping[str, str]) -> None:
        self._uri, self._database, self._collection, self._ids = uri, database, collection, dict(ids)
        self._documents: Sequence[Mapping[str, Any]] = ()
        self.heard = -SILENCE_S
        self._news = threading.Condition()
        self._stop = threading.Event()
        self.changes = 0
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def current(self) -> Sequence[Mapping[str, Any]]:
        """The current documents; empty if they are not known for sure: then ask the database."""
        return self._documents if time.monotonic() - self.heard < SILENCE_S else ()

    def wait(self, seen: int, timeout_s: float) -> int:
        """Wait until `changes` is greater than `seen` or the time is over; returns `changes`."""
        with self._news:
            self._news.wait_for(lambda: self.changes > seen, timeout_s)
            return self.changes

    def close(self) -> None:
        """Stop the thread."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        try:
            asyncio.run(self._follow())
        except RuntimeError:
            if threading.main_thread().is_alive():
                raise
            # the interpreter is shutting down, and Motor's threads have ended already

    async def _follow(self) -> None:
        while not self._stop.is_set():
            client: Any = AsyncIOMotorClient(
                self._uri(), appname=APP_NAME, serverSelectionTimeoutMS=2_000, tz_aware=True, maxPoolSize=2
            )
            try:
                await self._listen(client[self._database][self._collection])
            except PyMongoError as error:
                self.heard = -SILENCE_S
                log.info("the change stream broke (%s); it is opened again", type(error).__name__)
                await asyncio.sleep(RETRY_S)
            finally:
                client.close()

    async def _listen(self, collection: Any) -> None:
        only = [{"$match": {"documentKey._id": self._ids}}]
        async with collection.watch(only, max_await_time_ms=BEAT_MS, comment=COMMENT) as stream:
            await stream.try_next()  # opens the stream: from here on no change is missed
            self._tell(await self._read(collection))
            client = collection.database.client
            primary = client.primary  # a stream outlives its primary's step-down, and is silent if cut off
            while not self._stop.is_set() and stream.alive:
                if client.primary != primary:
                    self.heard = -SILENCE_S
                    return
                if await stream.try_next():
                    self._tell(await self._read(collection))
                self.heard = time.monotonic()

    async def _read(self, collection: Any) -> Sequence[Mapping[str, Any]]:
        """All documents as of one moment: they are small and few, and the version is the sum of theirs."""
        found = collection.with_options(read_concern=ReadConcern("snapshot")).find({"_id": self._ids}, comment=COMMENT)
        documents: Sequence[Mapping[str, Any]] = await found.to_list(None)
        return documents

    def _tell(self, documents: Sequence[Mapping[str, Any]]) -> None:
        with self._news:
            changed = documents != self._documents
            self._documents = documents
            self.heard = time.monotonic()
            if changed:
                self.changes += 1
                self._news.notify_all()
