"""Refuses questions before they reach Flask, if there are more than this process can answer.

A refusal by Flask takes time from the requests that are answered; one from here costs next to nothing. Health, metrics
and requests that were answered before pass, as they need no place.
"""

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from flask import Flask

from service.around.problems import RETRY_OVERLOAD_AFTER_SECONDS, Overloaded
from service.around.requests import SECURITY
from service.fast.admission import Admission, Places, target

log = logging.getLogger(__name__)
REPORT_S = 1.0
_BODY_NAMES = ("HTTP_TRANSFER_ENCODING", "CONTENT_LENGTH")
Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


class Gate:
    """WSGI middleware that lets in requests worth starting; thread-safe."""

    def __init__(self, app: Application, places: Places, count: Callable[[], None]) -> None:
        """`count` is called for each refusal."""
        self._app, self._places, self._count = app, places, count
        self._admission = Admission(places.most, places.least)
        self._lock = threading.Lock()
        self._refused = 0

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Let the application answer, or refuse."""
        if environ["REQUEST_METHOD"] != "GET" or any(map(environ.get, _BODY_NAMES)):  # most are refused by Flask
            return self._app(environ, start_response)
        if not self._places.may_need(target(environ)):
            return self._app(environ, start_response)
        begun = time.monotonic()
        with self._lock:
            is_admitted = self._admission.admit(begun)
        if not is_admitted:
            return self.refuse(start_response)
        try:
            return self._app(environ, start_response)
        finally:
            with self._lock:
                self._admission.end(begun, time.monotonic())

    def refuse(self, start_response: StartResponse) -> Iterable[bytes]:
        """Answer 503, without Flask."""
        self._count()
        with self._lock:
            self._refused += 1
            is_first = self._refused == 1
        if is_first:  # at most one log line per second, for all of them
            timer = threading.Timer(REPORT_S, self._report)
            timer.daemon = True
            timer.start()
        request_id = uuid.uuid4().hex
        body = _BODY.replace(_NO_ID, request_id.encode())
        start_response(_STATUS, [*_HEADERS, ("X-Request-Id", request_id)])
        return [body]

    def _report(self) -> None:
        with self._lock:
            refused, self._refused = self._refused, 0
        fields = {"status": HTTPStatus.SERVICE_UNAVAILABLE.value, "requests": refused}
        log.warning("requests were refused because too many came at once", extra={"fields": fields})


def install(app: Flask, places: Places) -> Gate:
    """Put the gate in front of the application."""
    count = lambda: app.extensions["metrics"].count_unread()  # noqa: E731  metrics are installed later
    gate = Gate(app.wsgi_app, places, count)
    app.wsgi_app = gate  # type: ignore[method-assign]
    return gate


_NO_ID = b"0" * 32
_STATUS = f"{HTTPStatus.SERVICE_UNAVAILABLE.value} {HTTPStatus.SERVICE_UNAVAILABLE.phrase}"
_BODY = json.dumps(
    {
        "type": "about:blank", "title": HTTPStatus.SERVICE_UNAVAILABLE.phrase,
        "status": HTTPStatus.SERVICE_UNAVAILABLE.value, "detail": str(Overloaded()),
        "request_id": _NO_ID.decode(), "timing_ms": {"total": 0.0},
    }
).encode()  # fmt: skip
_HEADERS = [
    ("Content-Type", "application/problem+json"),
    ("Content-Length", str(len(_BODY))),
    ("Cache-Control", "no-store"),
    ("Retry-After", str(RETRY_OVERLOAD_AFTER_SECONDS)),
    ("Server-Timing", "total;dur=0.000"),
    *SECURITY.items(),
]
