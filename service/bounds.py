"""How much a request may bring: the length of its address and of its body."""

from flask import Flask, request
from werkzeug.exceptions import RequestEntityTooLarge, RequestURITooLarge

MAX_URL_BYTES = 8_000
"""Below gunicorn's own limit for the request line, 8,190, so that the answer is ours."""

MAX_BODY_BYTES = 64 << 10
"""No request needs a body at all."""


def install(app: Flask) -> None:
    """Refuse what is too long, before anything else looks at it."""
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.before_request(_check)


def _check() -> None:
    if len(request.environ.get("RAW_URI", request.full_path)) > MAX_URL_BYTES:
        raise RequestURITooLarge(f"The address is longer than {MAX_URL_BYTES:,} bytes.")
    is_chunked = request.content_length is None and "Transfer-Encoding" in request.headers
    if is_chunked:
        request.get_data(cache=False)  # raises where it is longer than MAX_CONTENT_LENGTH
    elif (request.content_length or 0) > MAX_BODY_BYTES:
        raise RequestEntityTooLarge(f"The body is longer than {MAX_BODY_BYTES:,} bytes; no request needs one.")
