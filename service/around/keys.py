"""The API key of a request, and whether it needs one."""

from flask import Flask, request

from catalog.errors import UserError
from service.around.context import context
from service.around.paths import policy
from service.keys import ApiKey, find_key


class Unauthorized(UserError):
    """The request has no API key, or an unknown one."""

    status = 401


def install(app: Flask, keys: tuple[ApiKey, ...]) -> None:
    """Identify the client by its key before each request. Rate limits are installed between this and `require`."""

    def identify() -> None:
        context().client = identified(keys, request.headers.get("Authorization", ""))

    app.before_request(identify)


def identified(keys: tuple[ApiKey, ...], authorization: str) -> str | None:
    """The name of the key that an `Authorization` header brings; None if it has none that is known."""
    scheme, _, text = authorization.partition(" ")
    found = find_key(keys, text.strip()) if scheme.lower() == "bearer" else None
    return found.name if found else None


def require(app: Flask) -> None:
    """Refuse requests without a known key, except on open paths."""
    app.before_request(_require)


def _require() -> None:
    is_preflight = request.method == "OPTIONS"  # browsers send these without credentials
    if policy(request.path).is_open or is_preflight or context().client:
        return
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise Unauthorized("Missing API key. Send it as `Authorization: Bearer KEY`.")
    raise Unauthorized("Unknown API key.")


def client() -> str:
    """The client: the name of its key, else the address of the connection."""
    return context().client or request.remote_addr or "unknown"
