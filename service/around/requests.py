"""The id, trace, timer and MongoDB deadline of every request, and the headers of every response."""

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from flask import Flask, Response, g, request

from pipelines.ask.queries import BY_SLUG
from service.around.context import Context, begin, context
from service.keys import masked
from store.scope import scope

_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_TRACE_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?", re.ASCII)
SECURITY = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_TRANSPORT_SECURITY = "max-age=31536000"


@dataclass(frozen=True)
class Sent:
    """A request that got a cached reply, for logs and metrics: there is no Flask request then.

    Attributes:
        client: the client's address.
        timing_ms, status, bytes: those of the response.
    """

    request_id: str
    trace_id: str | None
    client: str
    timing_ms: dict[str, float]
    status: int
    bytes: int


def install(app: Flask, budget_ms: int) -> None:
    """Give each request an id, a timer and a deadline, and each response the headers for them."""

    def start() -> None:
        request_id = own_id(request.headers.get("X-Request-Id", ""))
        trace_id = parse_trace_parent(request.headers.get("traceparent", ""))
        made = begin(Context(request_id, trace_id))
        made.ending.enter_context(scope(trace_id or request_id, budget_ms))

    app.before_request(start)
    app.after_request(_finish)
    app.teardown_request(_end)


def own_id(given: str) -> str:
    """The id of a request: the client's, if it is harmless and not a key (logs and MongoDB show it), else a new one."""
    return given if _SAFE_ID.fullmatch(given) and masked(given) == given else uuid.uuid4().hex


def own_part(timing_ms: Mapping[str, float], request_id: str) -> bytes:
    """The end of a JSON reply: the request's own timing and id, and the brackets that close `meta` and the reply."""
    return json.dumps({"timing_ms": timing_ms, "request_id": request_id}).encode()[1:] + b"}"


def wants_present(cache_control: str) -> bool:
    """Whether a request's `Cache-Control` asks for MongoDB's own word (RFC 9111, 5.2.1.4), whatever is known here."""
    return "no-cache" in cache_control.lower()


def route() -> str:
    """The route rule that matches this request, or `none`."""
    return request.url_rule.rule if request.url_rule else "none"


def slug() -> str:
    """The slug of the declared query that this request is about, or `none`; never the client's text."""
    parts = route().split("/")
    asked = parts[3] if parts[1:3] == ["v1", "queries"] and len(parts) > 3 else ""
    return declared(asked)


def declared(slug: str) -> str:
    """The slug of a declared query; `none` of any other text."""
    return slug if slug in BY_SLUG else "none"


def parse_trace_parent(text: str) -> str | None:
    """The trace id of a `traceparent` header, or None if the header is invalid.

    https://www.w3.org/TR/trace-context/#traceparent-header: a version above 00 may have more fields; ff is invalid.
    """
    found = _TRACE_PARENT.fullmatch(text)
    if not found:
        return None
    version, trace, parent, more = found.groups()
    if version == "ff" or (version == "00" and more) or not trace.strip("0") or not parent.strip("0"):
        return None
    return str(trace)


def _finish(response: Response) -> Response:
    response.headers["Server-Timing"] = context().timer.header()
    response.headers["X-Request-Id"] = context().request_id
    for name, value in SECURITY.items():
        response.headers.setdefault(name, value)
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = _TRANSPORT_SECURITY
    if "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-cache" if response.status_code < 400 else "no-store"
    return response


def _end(_error: BaseException | None) -> None:
    if "context" in g:
        context().ending.close()
