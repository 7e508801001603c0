"""What surrounds every request: its id, its timer, and the headers of every response, errors too."""

import re
import uuid

from flask import Flask, Response, g, request

from store.timing import Timer

_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_SECURITY = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def install(app: Flask) -> None:
    """Give each request an id and a timer, and each response their headers."""
    app.before_request(_begin)
    app.after_request(_finish)


def request_id() -> str:
    """The id of this request: the client's own, where it sent a harmless one."""
    return str(g.request_id)


def timer() -> Timer:
    """The timer of this request."""
    found: Timer = g.timer
    return found


def _begin() -> None:
    g.timer = Timer()
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if _SAFE_ID.fullmatch(given) else uuid.uuid4().hex


def _finish(response: Response) -> Response:
    response.headers["Server-Timing"] = timer().header()
    response.headers["X-Request-Id"] = request_id()
    for name, value in _SECURITY.items():
        response.headers.setdefault(name, value)
    return response
