"""Gunicorn's threaded worker, with a bound on what its threads begin, and problem details of its own.

Gunicorn queues every connection for its threads, however many there are. Where too many come the queue would grow to
minutes, and each refusal by the application takes time from those that are answered. So what is not worth beginning,
and what has waited too long for a thread, is refused before it is read, which costs next to nothing. Health and metrics
are let through: they are told apart by a look at the first bytes.
"""

import json
import socket
import threading
import time
import uuid
from concurrent.futures import Future
from http import HTTPStatus
from typing import Any

from gunicorn.http import errors
from gunicorn.util import close, close_graceful, write_nonblock
from gunicorn.workers.gthread import ThreadWorker

from service.around.requests import SECURITY
from service.fast.admission import RETRY_AFTER_SECONDS, Admission, Overloaded

STATUS: dict[type[Exception], HTTPStatus] = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.InvalidHTTPVersion: HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
}
"""What each fault of a request means; 400 for those that are not named."""

MONITORS = (b"GET /healthz ", b"GET /readyz ", b"GET /metrics ")
BODY_HEADERS = frozenset({"CONTENT-LENGTH", "TRANSFER-ENCODING"})
PATIENCE_S = 0.05
BURST = 64
LINGER_S = 0.5
REPORT_S = 1.0


class Worker(ThreadWorker):
    """Refuses unread what is not worth beginning, and says with a problem document why a request is no request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._begun = self._under_way = 0  # touched by the main thread alone, like the next one
        self._admission: Admission | None = None
        self._lock = threading.Lock()
        self._refused = 0
        self._reported = time.monotonic()

    def accept(self, listener: socket.socket) -> None:
        """Accept all that has come, up to a bound: gunicorn's loop does a good deal between one and the next."""
        for _ in range(BURST):
            before = self._begun
            super().accept(listener)
            if self._begun == before:
                return

    def enqueue_req(self, conn: Any) -> None:
        """Give a connection to the threads, unless too many are at work, and note whether it has to wait for one."""
        self._begun += 1
        conn.is_whole = False
        conn.works_since = None
        now = time.monotonic()
        target = self._target(conn)
        places = self.wsgi.extensions["places"]
        if target and places.may_need(target):
            self._admission = self._admission or Admission(places.most, places.least)
            if not self._admission.admit(now):
                self.nr_conns -= 1
                self._refuse(conn)
                return
            conn.works_since = now
        conn.waits_since = now if self._under_way >= self.cfg.threads else None
        self._under_way += 1
        super().enqueue_req(conn)

    def finish_request(self, conn: Any, fs: "Future[Any]") -> None:
        """Count a thread as free again."""
        self._under_way -= 1
        if self._admission and conn.works_since is not None:
            self._admission.end(conn.works_since, time.monotonic())
        super().finish_request(conn, fs)

    def handle(self, conn: Any) -> Any:
        """Answer a request, or refuse it unread where it had to wait for this.

        A connection that ends is closed here: gunicorn waits for its client in the loop that accepts others.
        """
        has_waited_s = time.monotonic() - conn.waits_since if conn.waits_since else 0.0
        if has_waited_s > PATIENCE_S and self._target(conn):
            self._refuse(conn)
            return False
        is_kept = super().handle(conn)
        if is_kept is False:
            if conn.is_whole:
                close(conn.sock)
            else:
                close_graceful(conn.sock, LINGER_S)
        return is_kept

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Note whether anything of this request may still come after its answer."""
        conn.is_whole = not any(name in BODY_HEADERS for name, _ in req.headers)
        return super().handle_request(req, conn)

    def notify(self) -> None:
        """Tell gunicorn that we are alive, and the log how many were refused since it was told last."""
        super().notify()
        now = time.monotonic()
        if self._refused and now - self._reported > REPORT_S:
            with self._lock:
                refused, self._refused, self._reported = self._refused, 0, now
            fields = {"status": HTTPStatus.SERVICE_UNAVAILABLE.value, "requests": refused}
            self.log.warning("requests were refused before they were read", extra={"fields": fields})

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """Answer a request that never reached the application, and end its connection."""
        if not isinstance(exc, errors.ParseException):
            super().handle_error(req, client, addr, exc)
            return
        status = STATUS.get(type(exc), HTTPStatus.BAD_REQUEST)
        request_id = uuid.uuid4().hex
        fields = {"request_id": request_id, "status": status.value, "client": addr[0] if addr else None}
        self.log.warning("a request could not be read: %s", type(exc).__name__, extra={"fields": fields})
        detail = f"This is no request that can be read: {status.description or status.phrase}."
        try:
            write_nonblock(client, response(status, detail, request_id))
        except OSError:
            self.log.debug("the client has gone")

    def _target(self, conn: Any) -> bytes:
        """What a connection asks for, where that can be seen without reading it and no monitor asks; else nothing."""
        if self.cfg.is_ssl:
            return b""
        try:
            first: bytes = conn.sock.recv(self.cfg.limit_request_line, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except OSError:
            return b""
        words = first.split(b" ", 2)
        return b"" if len(words) < 2 or first.startswith(MONITORS) else words[1]

    def _refuse(self, conn: Any) -> None:
        """Refuse a connection's request unread."""
        try:
            conn.sock.recv(1 << 16, socket.MSG_DONTWAIT)  # what is left unread would reset the connection too early
            conn.sock.send(_refusal(uuid.uuid4().hex), socket.MSG_DONTWAIT)
        except OSError:
            self.log.debug("the client has gone")
        conn.sock.close()
        self.wsgi.extensions["metrics"].count_unread()
        with self._lock:
            self._refused += 1


def response(status: HTTPStatus, detail: str, request_id: str) -> bytes:
    """A problem document as a whole response, after which the connection ends."""
    problem = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    body = json.dumps(problem | {"request_id": request_id, "timing_ms": {"total": 0.0}}).encode()
    headers = {
        "Connection": "close",
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Request-Id": request_id,
        "Server-Timing": "total;dur=0.000",
        **SECURITY,
    }
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}\r\n".encode("ascii") + body


_NO_ID = "0" * 32
_HEAD, _MIDDLE, _END = response(HTTPStatus.SERVICE_UNAVAILABLE, str(Overloaded()), _NO_ID).split(_NO_ID.encode())


def _refusal(request_id: str) -> bytes:
    """The response to a request that nobody has read; made in advance, as it has to cost next to nothing."""
    given = request_id.encode()
    return _HEAD + given + _MIDDLE + given + _END
