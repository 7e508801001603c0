"""Compresses bodies with gzip, if the client accepts that and it is worthwhile."""

import gzip
from http import HTTPStatus

from flask import Flask, Response, request

MIN_BYTES = 1 << 10
LEVEL = 5
_TYPES = frozenset(
    {"application/json", "application/problem+json", "application/javascript", "application/geo+json", "image/svg+xml"}
)


def install(app: Flask) -> None:
    """Compress the body of each response."""
    app.after_request(_pack)


def _pack(response: Response) -> Response:
    response.vary.add("Accept-Encoding")  # on uncompressed ones and on 304, too, so that caches tell them apart
    if not _is_worth_it(response) or not _is_accepted():
        return response
    response.direct_passthrough = False  # our own files are read here instead of by the server
    body = response.get_data()
    if len(body) < MIN_BYTES:
        return response
    response.set_data(gzip.compress(body, LEVEL, mtime=0))
    response.headers["Content-Encoding"] = "gzip"
    response.headers.pop("Accept-Ranges", None)
    etag, _ = response.get_etag()
    if etag:
        response.set_etag(etag, weak=True)  # the same content in other bytes
    return response


def _is_worth_it(response: Response) -> bool:
    mimetype = response.mimetype or ""
    packable = mimetype in _TYPES or mimetype.startswith("text/")
    is_whole = response.status_code not in (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.NOT_MODIFIED)
    is_stream = response.is_streamed and not response.direct_passthrough
    return packable and is_whole and not is_stream and "Content-Encoding" not in response.headers


def _is_accepted() -> bool:
    accepted = request.accept_encodings
    return accepted["gzip"] > 0 and accepted["gzip"] >= accepted["identity"]
