"""Bounds on the length of a request's URL and body."""

from flask import Flask, request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, RequestURITooLarge

from service.around.paths import policy

MAX_URL_BYTES = 8_000


def install(app: Flask) -> None:
    """Refuse overlong requests, unread, before anything else handles them."""

    def check() -> None:
        environ = request.environ
        if len(environ.get("RAW_URI", environ["PATH_INFO"] + environ["QUERY_STRING"])) > MAX_URL_BYTES:
            raise RequestURITooLarge(f"The URL is longer than {MAX_URL_BYTES:,} bytes.")
        most = policy(request.path).max_body_bytes
        if "Transfer-Encoding" in request.headers:  # reading it takes as long as the client likes
            raise BadRequest("Chunked bodies are not accepted. " + _remedy(most))
        if (request.content_length or 0) > most:
            raise RequestEntityTooLarge(_remedy(most))

    app.before_request(check)


def _remedy(most: int) -> str:
    if not most:
        return "Send this request without a body."
    return f"Send a body of at most {most:,} bytes, with its Content-Length."
