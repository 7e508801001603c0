"""Which pages of other origins may read answers: exactly those that are named, and never with cookies."""

from flask import Flask, Response
from flask_cors import CORS


def install(app: Flask, origins: tuple[str, ...]) -> None:
    """Let pages of these origins read what is answered, and send a key."""
    CORS(
        app,
        origins=list(origins),
        methods=["GET", "HEAD"],
        allow_headers=["Authorization", "If-None-Match", "traceparent", "X-Request-Id"],
        expose_headers=["ETag", "Retry-After", "Server-Timing", "X-Request-Id"],
        supports_credentials=False,
        max_age=600,
    )
    app.after_request(_vary)


def _vary(response: Response) -> Response:
    response.vary.add("Origin")  # also on what other origins get, so that no cache gives it to the named ones
    return response
