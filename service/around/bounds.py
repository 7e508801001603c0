"""How much a request may bring: the length of its address and of its body."""

from flask import Flask, request
from werkzeug.exceptions import RequestEntityTooLarge, RequestURITooLarge

MAX_URL_BYTES = 8_000
"""Below gunicorn's own limit for the request line, 8,190, so that the answer is ours."""

MAX_BODY_BYTES = 64 << 10
"""No request needs a body at all."""


def install(app: Flask) -> None:
    """Refuse what is too long, before anything else looks at it."""
    app.before_request(_check)


def _check() -> None:
    if len(request.environ.get("RAW_URI", request.full_path)) > MAX_URL_BYTES:
        raise RequestURITooLarge(f"The address is longer than {MAX_URL_BYTES:,} bytes.")
    length = request.content_length
    if length is None and "Transfer-Encoding" in request.headers:  # a body in chunks does not tell its length
        length = len(request.environ["wsgi.input"].read(MAX_BODY_BYTES + 1))
    if length and length > MAX_BODY_BYTES:
        raise RequestEntityTooLarge(f"The body is longer than {MAX_BODY_BYTES:,} bytes; no request needs one.")
