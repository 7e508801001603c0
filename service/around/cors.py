"""Cross-origin access: pages of exactly the configured origins may read answers, never with cookies."""

from flask import Flask, Response
from flask_cors import CORS


def install(app: Flask, origins: tuple[str, ...]) -> None:
    """Let pages of these origins read replies and send a key."""
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
    response.vary.add("Origin")  # for other origins, too, so that no cache serves their replies to the allowed ones
    return response
