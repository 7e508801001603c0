"""Replies made or sent again before Flask sees the request, where columns or an earlier request have the answer.

A reply is right for as long as the change stream tells the version that it was made of. Then all that is new in it
is the request's own: its id and its timing. The headers are those of a reply that Flask has made. Flask answers all
that is not plain: another method, a body, a range, a form other than JSON, a condition that names another reply.
"""

import struct
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, request

from catalog.errors import AnalyticsError
from pipelines.answer.answer import Answer
from pipelines.answer.answerer import Answerer
from pipelines.answer.cache import Cache
from pipelines.state.version import Version
from service.api.replies import etag, written
from service.around import logs, requests
from service.around.compression import LEVEL, MIN_BYTES
from service.around.context import context
from service.around.keys import identified
from service.around.measured import KEPT, UNCHANGED, measurements_of
from service.around.problems import Overloaded
from service.around.rates import STANDING, Rates
from service.fast.asked import EXPLORATION, QUERIES, read
from service.fast.gate import Gate
from service.fast.lane import Lane
from service.keys import ApiKey
from store.timing import Timer

MAX_BYTES = 8 << 20
"""The size of a process's cache of replies, in bytes."""

MOST_FORMS = 64
"""Headers depend on the scheme and the origin: so many combinations are kept."""

_EVERY_TIME = frozenset(
    {
        "Content-Type", "Content-Length", "Content-Encoding", "ETag", "Server-Timing", "X-Request-Id", "Date",
        "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset",
    }
)  # fmt: skip
_OF_FLASK = ("CONTENT_LENGTH", "HTTP_RANGE", "HTTP_TRANSFER_ENCODING", "SCRIPT_NAME")
Address = tuple[str, ...]
"""The cache key of a reply: every part of a request that it depends on."""

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]
Headers = tuple[tuple[str, str], ...]
Tell = Callable[[str, logs.Parameters, Answer, requests.Sent, bool], None]
"""Called with each reply: its route, parameters and answer, what was sent, and whether it was there already."""


@dataclass(frozen=True)
class Kept:
    """A reply without the request's own parts.

    Attributes:
        version: the version it was created from.
        etag: its ETag.
        headers: the headers that are always the same.
        head: its body up to the request's own part.
        tell: called with each request that gets it, and whether it was there already.
    """

    version: Version
    etag: str
    headers: Headers
    head: bytes
    tell: Callable[[requests.Sent, bool], None]

    @cached_property
    def packed(self) -> tuple[bytes, int]:
        """The head packed with gzip up to a byte's end, and its CRC-32."""
        packer = zlib.compressobj(LEVEL, wbits=31)
        return packer.compress(self.head) + packer.flush(zlib.Z_FULL_FLUSH), zlib.crc32(self.head)


class KeptReplies:
    """WSGI middleware that answers plain questions; may be used by several threads."""

    def __init__(
        self,
        app: Application,
        answerer: Callable[[], Answerer],
        keys: tuple[ApiKey, ...],
        rates: Rates | None,
        lane: Lane,
        tell: Tell,
        refuse: Callable[[StartResponse], Iterable[bytes]],
    ) -> None:
        self._app = app
        self._answerer = answerer
        self._keys = keys
        self._rates = rates
        self._lane = lane
        self._tell = tell
        self._refuse = refuse
        self._kept: Cache[Address, Kept] = Cache(MAX_BYTES, _size)
        self._headers: Cache[Address, Headers] = Cache(MOST_FORMS, lambda _: 1)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer, or let the application answer."""
        timer = Timer()
        if not _is_plain(environ):
            return self._app(environ, start_response)
        client = identified(self._keys, environ.get("HTTP_AUTHORIZATION", ""))
        if self._keys and not client:
            return self._app(environ, start_response)
        standing = None
        if self._rates:
            standing = environ[STANDING] = self._rates.take(client, environ.get("REMOTE_ADDR", "unknown"))
            if standing.remaining < 0:
                return self._app(environ, start_response)
        condition = environ.get("HTTP_IF_NONE_MATCH")
        kept = self._find(environ)
        was_there = kept is not None
        if kept is None:
            try:
                kept = self._make(environ, condition, timer)
            except Overloaded:
                return self._refuse(start_response)
        if kept is None or condition not in (None, kept.etag):
            return self._app(environ, start_response)
        request_id = requests.own_id(environ.get("HTTP_X_REQUEST_ID", ""))
        headers = [*kept.headers, ("ETag", kept.etag), *(standing.headers if standing else ())]
        status, body = 304, b""
        if not condition:
            status, end = 200, requests.own_part(timer.timing_ms(), request_id)
            body, encoding = _body(kept, end, environ.get("HTTP_ACCEPT_ENCODING", ""))
            headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *encoding]
        headers += [("Server-Timing", timer.header()), ("X-Request-Id", request_id)]
        start_response("304 NOT MODIFIED" if condition else "200 OK", headers)
        trace_id = requests.parse_trace_parent(environ.get("HTTP_TRACEPARENT", ""))
        who = client or environ.get("REMOTE_ADDR", "")
        kept.tell(requests.Sent(request_id, trace_id, who, timer.timing_ms(), status, len(body)), was_there)
        return [body]

    def learn(self, environ: Environ, headers: Headers) -> None:
        """Take the headers that are the same in all replies from one that Flask has made."""
        self._headers.put(_form(environ), headers)

    def keep(self, environ: Environ, kept: Kept) -> None:
        """Keep the reply to a request."""
        self._kept.put(_address(environ), kept)

    def _find(self, environ: Environ) -> Kept | None:
        """The reply that is kept, if it is still right."""
        kept = self._kept.get(_address(environ))
        with suppress(AnalyticsError):  # Flask says which
            if kept and self._answerer().known.vouches_for(kept.version):
                return kept
        return None

    def _make(self, environ: Environ, condition: str | None, timer: Timer) -> Kept | None:
        """The reply that columns make."""
        headers = self._headers.get(_form(environ))
        if not headers:
            return None
        answerer = self._answerer()
        asked = read(environ, answerer)
        if not asked:
            return None
        name = etag([asked.question], asked.directory.vocabulary, asked.directory.version)
        weak = f'W/"{name}"'
        if condition not in (None, weak):
            return None
        with self._lane.enter(asked.question, asked.directory):
            found = answerer.in_memory(asked.question, asked.directory, timer)
            if not found:
                return None
            head = written(found, asked.directory)
        tell = partial(self._tell, asked.route, asked.parameters, found)
        kept = Kept(asked.directory.version, weak, headers, head, tell)
        self.keep(environ, kept)
        return kept


def install(
    app: Flask, gate: Gate, answerer: Callable[[], Answerer], keys: tuple[ApiKey, ...], rates: Rates | None, lane: Lane
) -> None:
    """Keep the replies that `service.api.replies` offers, with the headers that everything else gives them.

    Install it first: what is installed first runs last after a request.
    """
    replies = KeptReplies(gate, answerer, keys, rates, lane, partial(_tell, app), gate.refuse)
    app.wsgi_app = replies  # type: ignore[method-assign]  # as Flask's documentation says

    def keep(response: Response) -> Response:
        offer = context().offer
        if offer and response.status_code == 200 and _is_plain(request.environ):
            headers = tuple((name, value) for name, value in response.headers if name not in _EVERY_TIME)
            answer, version, head = offer
            tell = partial(_tell, app, requests.route(), request.args.to_dict(flat=False), answer)
            replies.learn(request.environ, headers)
            replies.keep(request.environ, Kept(version, response.headers["ETag"], headers, head, tell))
        return response

    app.after_request(keep)


def _tell(
    app: Flask, route: str, parameters: logs.Parameters, answer: Answer, sent: requests.Sent, was_there: bool
) -> None:
    """Count, measure and log a reply."""
    app.extensions["metrics"].count_direct(route, answer, sent, was_there=was_there)
    logs.log_direct(route, parameters, answer, sent, was_there=was_there)
    source = UNCHANGED if sent.status == HTTPStatus.NOT_MODIFIED else KEPT if was_there else answer.plan.source
    measurements_of(app).add(answer.question.query.slug, source, sent.timing_ms)


def _is_plain(environ: Environ) -> bool:
    return (
        environ["REQUEST_METHOD"] == "GET"
        and environ["PATH_INFO"].startswith((QUERIES, EXPLORATION))
        and not any(map(environ.get, _OF_FLASK))
        and "q=" not in environ.get("HTTP_ACCEPT_ENCODING", "")
        and not requests.wants_present(environ.get("HTTP_CACHE_CONTROL", ""))
    )


def _form(environ: Environ) -> Address:
    """What headers depend on."""
    return environ["wsgi.url_scheme"], environ.get("HTTP_ORIGIN", "")


def _address(environ: Environ) -> Address:
    names = ("PATH_INFO", "QUERY_STRING", "HTTP_ACCEPT")
    return (*_form(environ), *(environ.get(name, "") for name in names))


def _size(kept: Kept) -> int:
    return 2 * len(kept.head) + 4_096  # with the packed head, headers, and what tells logs and metrics


def _body(kept: Kept, end: bytes, accepted: str) -> tuple[bytes, list[tuple[str, str]]]:
    """The body, and the header for its encoding.

    If compressed, the end is one stored block (RFC 1951, 3.2.4) after the compressed head (RFC 1952).
    """
    size = len(kept.head) + len(end)
    if size < MIN_BYTES or "gzip" not in accepted:
        return kept.head + end, []
    packed, checksum = kept.packed
    block = struct.pack("<BHH", 1, len(end), len(end) ^ 0xFFFF) + end
    trailer = struct.pack("<II", zlib.crc32(end, checksum), size)
    return packed + block + trailer, [("Content-Encoding", "gzip")]
