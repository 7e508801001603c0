"""How often each client may ask. The counts are in MongoDB, so they hold for all workers and machines together.

Where a limit is large, a process takes several requests off it at once and needs not ask MongoDB for each: together all
processes never allow more than the limit, and may end some requests below it while others hold what is left.
"""

import threading
import time
from collections.abc import Sequence
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, NamedTuple

from cachetools import LRUCache
from flask import Flask, Response, request
from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage, MongoDBStorageBase
from pymongo import WriteConcern
from pymongo.errors import PyMongoError

from catalog.errors import AnalyticsError, UserError
from service.around.connection import Connection
from service.around.context import context
from service.around.paths import policy
from store.client import Store

SHARES = 50
"""A process takes a limit in so many parts: one request at a time of a limit below a hundred."""

CLIENTS = 10_000
"""Of so many clients a process remembers what it has taken."""

AWAY_S = 5.0
"""So long a process counts for itself after MongoDB could not be asked."""

STANDING = "service.standing"
"""Where a request's environment has its standing, once it has been counted."""


class RateLimitExceeded(UserError):
    """The client has asked more often than it may; over HTTP a 429."""

    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, standing: "Standing") -> None:
        self.standing = standing
        super().__init__(f"Rate limit exceeded: {standing.limit}. Wait, then try again.")


class Standing(NamedTuple):
    """How a client stands after a request.

    Attributes:
        limit: the limit that leaves it least.
        remaining: how many more requests that one allows in its window; below 0 where this one was too many.
        reset: when the window ends, in seconds since 1970.
    """

    limit: RateLimitItem
    remaining: int
    reset: float

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What a response says of it."""
        return [
            ("X-RateLimit-Limit", str(self.limit.amount)),
            ("X-RateLimit-Remaining", str(max(0, self.remaining))),
            ("X-RateLimit-Reset", str(int(self.reset) + 1)),
        ]


class Rates:
    """Counts the requests of each client; may be used by several threads.

    A client is a key, or else an address.
    """

    def __init__(self, limits: str, connection: Connection) -> None:
        self._limits: Sequence[RateLimitItem] = parse_many(limits)
        self._connection = connection
        self._memory = MemoryStorage()
        self._shared: StoreStorage | None = None
        self._away_until = 0.0
        self._taken: LRUCache[tuple[RateLimitItem, str], _Taken] = LRUCache(CLIENTS)
        self._lock = threading.Lock()

    def take(self, key: str | None, address: str) -> Standing:
        """Count a request of a client."""
        name = f"key {key}" if key else f"address {origin(address)}"
        return min((self._take(limit, name) for limit in self._limits), key=lambda standing: standing.remaining)

    def _take(self, limit: RateLimitItem, name: str) -> Standing:
        now = time.time()
        with self._lock:
            taken = self._taken.get((limit, name))
            if taken and now < taken.reset and (taken.here or taken.is_used_up):
                taken.here -= 1
                return Standing(limit, taken.elsewhere + taken.here, taken.reset)
        size = max(1, limit.amount // SHARES)
        count, reset = self._count(limit, name, size)
        left = limit.amount - count
        here = size + min(0, left)  # of what was asked for
        found = _Taken(here - 1, max(0, left), reset)
        with self._lock:
            self._taken[limit, name] = found
        return Standing(limit, found.elsewhere + found.here, reset)

    def _count(self, limit: RateLimitItem, name: str, size: int) -> tuple[int, float]:
        """The requests of the window so far with so many more, and when it ends."""
        key = limit.key_for(name)
        if time.monotonic() > self._away_until:
            try:
                shared = self._storage()
                return shared.incr(key, limit.get_expiry(), amount=size), shared.get_expiry(key)
            except (PyMongoError, AnalyticsError):
                self._away_until = time.monotonic() + AWAY_S
        return self._memory.incr(key, limit.get_expiry(), amount=size), self._memory.get_expiry(key)

    def _storage(self) -> "StoreStorage":
        if self._shared is None:
            self._shared = StoreStorage(self._connection)
        return self._shared


class _Taken:
    """What a process has taken off a limit for a client.

    Attributes:
        here: how many requests of it are left; below 0 where there were too many.
        elsewhere: how many the window allowed beyond it.
        reset: when the window ends, in seconds since 1970.
    """

    __slots__ = ("elsewhere", "here", "reset")

    def __init__(self, here: int, elsewhere: int, reset: float) -> None:
        self.here, self.elsewhere, self.reset = here, elsewhere, reset

    @property
    def is_used_up(self) -> bool:
        """Whether nothing can be had before the window ends."""
        return self.here <= 0 and not self.elsewhere


class StoreStorage(MongoDBStorageBase):
    """The counts of `limits` in our own database, through the client that the process has anyway."""

    STORAGE_SCHEME = ["store"]  # noqa: RUF012  so the library wants it

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        super().__init__("", counter_collection_name="rate_counters", window_collection_name="rate_windows")

    def __del__(self) -> None:
        """The library would close the client here, which is not its own."""

    @property
    def _database(self) -> Any:
        # A lost count is a request more for somebody: it need not wait for a journal.
        name = self._store.settings.database
        return self.storage.get_database(name, write_concern=WriteConcern(1))

    @property
    def _store(self) -> Store:
        return self._connection.store

    def _init_mongo_client(self, uri: str | None, **options: Any) -> Any:
        return self._store.client


def install(app: Flask, rates: Rates) -> None:
    """Count the requests of each client, and refuse those above the limit.

    What is refused later (an unknown key, an unknown path) counts, too; what monitors ask does not, nor does OPTIONS:
    browsers send it of their own, without a key. While MongoDB is away each process counts for itself.
    """

    def count() -> None:
        if policy(request.path).is_monitor or request.method == "OPTIONS":
            return
        standing = request.environ.get(STANDING) or rates.take(context().client, request.remote_addr or "unknown")
        request.environ[STANDING] = standing
        if standing.remaining < 0:
            raise RateLimitExceeded(standing)

    app.before_request(count)
    app.after_request(_show)


def origin(address: str) -> str:
    """What counts as one address: for IPv6, a whole /64, as a client can use any address in it."""
    try:
        found = ip_address(address)
    except ValueError:
        return address  # a local socket
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped or ip_network((found, 64), strict=False))
    return address


def _show(response: Response) -> Response:
    standing = request.environ.get(STANDING)
    if standing:
        response.headers.extend(standing.headers)
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            response.headers["Retry-After"] = str(max(1, round(standing.reset - time.time())))
    return response
