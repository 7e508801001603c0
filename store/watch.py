"""Learn of a new data version within a second: a change stream on the status documents, read by Motor.

Motor stays behind this module; PyMongo's own `AsyncMongoClient` has the same calls and can replace it here.
The stream answers at least every BEAT_MS even when nothing happens, so its silence means that what it
said last can no longer be trusted.
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
    """Follows some documents of a collection from a thread of its own. Start it after a fork.

    Attributes:
        uri: gives the connection string; asked each time that the stream is opened.
        changes: how often they were told anew; waiting for a greater number is waiting for news.
        heard: when the stream last said something, if only that nothing has changed, as a time of `monotonic`.
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
        """The documents as they are now; none where that is not known: ask the database then."""
        return self._documents if time.monotonic() - self.heard < SILENCE_S else ()

    def wait(self, seen: int, timeout_s: float) -> int:
        """Wait until `changes` is greater than `seen`, or until the time is over; gives `changes`."""
        with self._news:
            self._news.wait_for(lambda: self.changes > seen, timeout_s)
            return self.changes

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        try:
            asyncio.run(self._follow())
        except RuntimeError:
            if threading.main_thread().is_alive():
                raise
            # the interpreter ends, and Motor's own threads have ended before this one

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
            await stream.try_next()  # opens it: from here on no change is missed
            self._tell(await self._read(collection))
            client = collection.database.client
            primary = (
                client.primary
            )  # a stream outlives its server's stepping down, and says nothing where it is cut off
            while not self._stop.is_set() and stream.alive:
                if client.primary != primary:
                    self.heard = -SILENCE_S
                    return
                if await stream.try_next():
                    self._tell(await self._read(collection))
                self.heard = time.monotonic()

    async def _read(self, collection: Any) -> Sequence[Mapping[str, Any]]:
        """All of them as of one moment: they are small and few, and only together do they tell the version."""
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
