"""Replies that were sent before and are still right, sent again before Flask sees the request.

A reply is right for as long as the change stream tells the version that it was made of. Then all that is new in it
is the request's own: its id and its timing. Where a request is no plain one (another method, a key, an origin, a
condition that does not name the kept reply), Flask answers.
"""

import struct
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import Flask, Response, request

from catalog.errors import AnalyticsError
from pipelines.answer.answerer import Answerer
from pipelines.answer.cache import Cache
from pipelines.state.version import Version
from service.around import logs, requests
from service.around.compression import LEVEL, MIN_BYTES
from service.around.context import Offer, context
from service.around.measured import KEPT, UNCHANGED, measurements
from store.timing import Timer

MAX_BYTES = 8 << 20
"""So many bytes of replies are kept by a process."""

_EVERY_TIME = frozenset({"Content-Type", "Content-Length", "Content-Encoding", "Server-Timing", "X-Request-Id", "Date"})
_OF_FLASK = ("CONTENT_LENGTH", "HTTP_AUTHORIZATION", "HTTP_ORIGIN", "HTTP_RANGE", "HTTP_TRANSFER_ENCODING")
Address = tuple[str, ...]
"""What names a reply: all of a request that it depends on."""

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


@dataclass(frozen=True)
class Kept:
    """A reply without what is each request's own.

    Attributes:
        version: of the data and the rollups that it is of.
        etag: its name.
        headers: those that are the same each time.
        head: its body up to the request's own part.
        packed, checksum: the same packed with gzip up to a byte's end, and the CRC-32 of `head`.
        told: called with each request that gets it.
    """

    version: Version
    etag: str
    headers: tuple[tuple[str, str], ...]
    head: bytes
    packed: bytes
    checksum: int
    told: tuple[Callable[[requests.Sent], None], ...]


class KeptReplies:
    """WSGI middleware that answers from kept replies; may be used by several threads."""

    def __init__(self, app: Application, answerer: Callable[[], Answerer]) -> None:
        self._app = app
        self._answerer = answerer
        self._kept: Cache[Address, Kept] = Cache(MAX_BYTES, _size)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer from a kept reply, or let the application answer."""
        kept = self._find(environ)
        condition = environ.get("HTTP_IF_NONE_MATCH")
        if kept is None or condition not in (None, kept.etag):
            return self._app(environ, start_response)
        timer = Timer()
        request_id = requests.own_id(environ.get("HTTP_X_REQUEST_ID", ""))
        headers = list(kept.headers)
        status, body = 304, b""
        if not condition:
            status, end = 200, requests.own_part(timer.timing_ms(), request_id)
            body, encoding = _body(kept, end, environ.get("HTTP_ACCEPT_ENCODING", ""))
            headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *encoding]
        headers += [("Server-Timing", timer.header()), ("X-Request-Id", request_id)]
        start_response("304 NOT MODIFIED" if condition else "200 OK", headers)
        trace_id = requests.parse_trace_parent(environ.get("HTTP_TRACEPARENT", ""))
        sent = requests.Sent(request_id, trace_id, environ.get("REMOTE_ADDR", ""), timer.timing_ms(), status, len(body))
        for tell in kept.told:
            tell(sent)
        return [body]

    def keep(self, kept: Kept) -> None:
        """Keep the reply to the present request."""
        self._kept.put(_address(request.environ), kept)

    def _find(self, environ: Environ) -> Kept | None:
        has_weights = "q=" in environ.get("HTTP_ACCEPT_ENCODING", "")
        if environ["REQUEST_METHOD"] != "GET" or has_weights or any(map(environ.get, _OF_FLASK)):
            return None
        if requests.wants_present(environ.get("HTTP_CACHE_CONTROL", "")):
            return None
        kept = self._kept.get(_address(environ))
        if kept is None:
            return None
        with suppress(AnalyticsError):  # Flask says which
            if self._answerer().known.vouches_for(kept.version):
                return kept
        return None


def install(app: Flask, answerer: Callable[[], Answerer]) -> None:
    """Keep the replies that `service.api.replies` offers, with the headers that everything else gives them.

    Install it first: what is installed first comes last after a request.
    """
    replies = KeptReplies(app.wsgi_app, answerer)
    app.wsgi_app = replies  # type: ignore[method-assign]  # as Flask's documentation says

    def keep(response: Response) -> Response:
        offer = context().offer
        if offer and response.status_code == 200 and not any(map(request.environ.get, _OF_FLASK)):
            replies.keep(_kept(app, response, offer))
        return response

    app.after_request(keep)


def _kept(app: Flask, response: Response, offer: Offer) -> Kept:
    answer, version, head = offer
    packer = zlib.compressobj(LEVEL, wbits=31)
    packed = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    headers = tuple((name, value) for name, value in response.headers if name not in _EVERY_TIME)
    told = (
        app.extensions["metrics"].of_kept(requests.route(), answer),
        partial(logs.log_kept, logs.fields(response)),
        partial(_measure, measurements().add, answer.question.query.slug),
    )
    return Kept(version, response.headers["ETag"], headers, head, packed, zlib.crc32(head), told)


def _measure(add: Callable[[str, str, dict[str, float]], None], slug: str, sent: requests.Sent) -> None:
    add(slug, UNCHANGED if sent.status == 304 else KEPT, sent.timing_ms)


def _address(environ: Environ) -> Address:
    names = ("wsgi.url_scheme", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "HTTP_ACCEPT")
    return tuple(environ.get(name, "") for name in names)


def _size(kept: Kept) -> int:
    return len(kept.head) + len(kept.packed) + 4_096  # headers, and what tells logs and metrics


def _body(kept: Kept, end: bytes, accepted: str) -> tuple[bytes, list[tuple[str, str]]]:
    """The body and the header of its encoding.

    The end is one stored block (RFC 1951, 3.2.4) after the packed head (RFC 1952).
    """
    size = len(kept.head) + len(end)
    if size < MIN_BYTES or "gzip" not in accepted:
        return kept.head + end, []
    block = struct.pack("<BHH", 1, len(end), len(end) ^ 0xFFFF) + end
    trailer = struct.pack("<II", zlib.crc32(end, kept.checksum), size)
    return kept.packed + block + trailer, [("Content-Encoding", "gzip")]
