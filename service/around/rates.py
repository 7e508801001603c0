"""Rate limits. The counts are in MongoDB, so they hold for all workers and machines together."""

from http import HTTPStatus
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from flask import Flask, Response, request
from flask_limiter import Limiter
from limits.storage import MongoDBStorageBase
from pymongo import WriteConcern

from service.around.connection import current_store
from service.around.context import context
from service.around.keys import client
from service.around.paths import policy


class StoreStorage(MongoDBStorageBase):
    """Flask-Limiter's storage in our own database, through the process's existing client."""

    STORAGE_SCHEME = ["store"]  # noqa: RUF012  so the library wants it

    @property
    def _database(self) -> Any:
        # A lost count only allows somebody one more request, so it need not wait for the journal.
        return self.storage.get_database(current_store().settings.database, write_concern=WriteConcern(1))

    def _init_mongo_client(self, uri: str | None, **options: Any) -> Any:
        found = current_store().client
        found.admin.command("ping")  # raises if MongoDB is unavailable, so that the indexes are created later
        return found


def install(app: Flask, limit: str) -> None:
    """Count the requests of each client, and refuse those above the limit.

    A client is a key, or else an address. Requests that are refused later (unknown key, unknown path) count, too.
    Those of monitors do not, nor does OPTIONS, which browsers send on their own, without a key. While MongoDB is
    unavailable, each process counts for itself.
    """
    limiter = Limiter(
        _counted_as,
        application_limits=[limit],
        headers_enabled=True,
        storage_uri="store://",
        storage_options={"counter_collection_name": "rate_counters", "window_collection_name": "rate_windows"},
        in_memory_fallback_enabled=True,
        request_identifier=lambda: "any",  # by default, unknown paths and static files would not count
    )
    limiter.request_filter(lambda: policy(request.path).is_monitor or request.method == "OPTIONS")
    app.after_request(_only_when_refused)  # installed before the limiter's own, so it runs after it
    limiter.init_app(app)


def _counted_as() -> str:
    key = context().client
    return f"key {key}" if key else f"address {origin(client())}"


def origin(address: str) -> str:
    """What counts as one address: for IPv6, a whole /64, as a client can use any address in it."""
    try:
        found = ip_address(address)
    except ValueError:
        return address  # a local socket
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped or ip_network((found, 64), strict=False))
    return address


def _only_when_refused(response: Response) -> Response:
    if response.status_code not in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        response.headers.pop("Retry-After", None)
    return response
