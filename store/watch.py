"""Learn of a new data version within a second: a change stream on the status document, read by Motor.

Motor stays behind this module; PyMongo's own `AsyncMongoClient` has the same calls and can replace it here.
The stream answers at least every BEAT_MS even when nothing happens, so its silence means that what it
said last can no longer be trusted.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import PyMongoError

log = logging.getLogger(__name__)
BEAT_MS = 250
SILENCE_S = 1.0
RETRY_S = 0.5


class Watcher:
    """Follows one document of a collection from a thread of its own. Start it after a fork.

    Attributes:
        changes: how often a new document was told; waiting for a greater number is waiting for news.
    """

    def __init__(self, uri: str, database: str, collection: str, document_id: str) -> None:
        self._uri, self._database, self._collection, self._id = uri, database, collection, document_id
        self._document: Mapping[str, Any] | None = None
        self._heard = -SILENCE_S
        self._news = threading.Condition()
        self._stop = threading.Event()
        self.changes = 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._follow()), name="watch", daemon=True)
        self._thread.start()

    def current(self) -> Mapping[str, Any] | None:
        """The document as it is now, or None where that is not known: ask the database then."""
        return self._document if time.monotonic() - self._heard < SILENCE_S else None

    def wait(self, seen: int, timeout_s: float) -> int:
        """Wait until `changes` is greater than `seen`, or until the time is over; gives `changes`."""
        with self._news:
            self._news.wait_for(lambda: self.changes > seen, timeout_s)
            return self.changes

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(timeout=5)

    async def _follow(self) -> None:
        client: Any = AsyncIOMotorClient(self._uri, serverSelectionTimeoutMS=2_000, tz_aware=True, maxPoolSize=2)
        try:
            while not self._stop.is_set():
                try:
                    await self._listen(client[self._database][self._collection])
                except PyMongoError as error:
                    self._heard = -SILENCE_S
                    log.info("the change stream broke (%s); it is opened again", type(error).__name__)
                    await asyncio.sleep(RETRY_S)
        finally:
            client.close()

    async def _listen(self, collection: Any) -> None:
        only = [{"$match": {"documentKey._id": self._id}}]
        async with collection.watch(only, full_document="updateLookup", max_await_time_ms=BEAT_MS) as stream:
            await stream.try_next()  # opens it: from here on no change is missed
            self._tell(await collection.find_one({"_id": self._id}))
            while not self._stop.is_set() and stream.alive:
                change = await stream.try_next()
                if change:
                    self._tell(change.get("fullDocument"))
                self._heard = time.monotonic()

    def _tell(self, document: Mapping[str, Any] | None) -> None:
        with self._news:
            changed = document != self._document
            self._document = document
            self._heard = time.monotonic()
            if changed:
                self.changes += 1
                self._news.notify_all()
