"""Gunicorn's threaded worker, with a bound on how long a request waits for a thread, and problem details of its own.

Gunicorn queues every connection for its threads, however many there are. Where this process has no time left even to
refuse politely, the queue would grow to minutes; so what has waited too long is refused before it is read, which costs
next to nothing. Health and metrics are let through: they are told apart by a look at the first bytes.
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
from gunicorn.util import close_graceful, write_nonblock
from gunicorn.workers.gthread import ThreadWorker

from service.overload import RETRY_AFTER_SECONDS
from service.requests import SECURITY

STATUS: dict[type[Exception], HTTPStatus] = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.InvalidHTTPVersion: HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
}
"""What each fault of a request means; 400 for those that are not named."""

MONITORS = (b"GET /healthz ", b"GET /readyz ", b"GET /metrics ")
PATIENCE_S = 0.05
LINGER_S = 0.5
REPORT_S = 1.0


class Worker(ThreadWorker):
    """Refuses what has waited too long for a thread, and says with a problem document why a request is no request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._under_way = 0  # touched by the main thread alone
        self._lock = threading.Lock()
        self._refused = 0
        self._reported = time.monotonic()

    def enqueue_req(self, conn: Any) -> None:
        """Give a connection to the threads, and note when it begins to wait, if no thread is free."""
        conn.waits_since = time.monotonic() if self._under_way >= self.cfg.threads else None
        self._under_way += 1
        super().enqueue_req(conn)

    def finish_request(self, conn: Any, fs: "Future[Any]") -> None:
        """Count a thread as free again."""
        self._under_way -= 1
        super().finish_request(conn, fs)

    def handle(self, conn: Any) -> Any:
        """Answer a request, or refuse it unread where it had to wait for this.

        A connection that ends is closed here: gunicorn waits for its client in the loop that accepts others.
        """
        has_waited_s = time.monotonic() - conn.waits_since if conn.waits_since else 0.0
        if has_waited_s > PATIENCE_S and self._is_refused(conn):
            return False
        is_kept = super().handle(conn)
        if is_kept is False:
            close_graceful(conn.sock, LINGER_S)
        return is_kept

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

    def _is_refused(self, conn: Any) -> bool:
        """Refuse a connection, unless it is of a monitor, or has sent nothing yet."""
        conn.sock.setblocking(False)
        try:
            first = b"" if self.cfg.is_ssl else conn.sock.recv(max(map(len, MONITORS)), socket.MSG_PEEK)
            if not first or first.startswith(MONITORS):  # nothing can be seen of TLS: it is let through as well
                return False
            conn.sock.recv(1 << 16)  # what is left unread would reset the connection before the answer is seen
            detail = "The service has too much to do at the moment. Try again."
            conn.sock.send(response(HTTPStatus.SERVICE_UNAVAILABLE, detail, uuid.uuid4().hex))
            conn.sock.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return False
        except OSError:
            self.log.debug("the client has gone")
        conn.sock.close()
        self.wsgi.extensions["metrics"].count_unread()
        with self._lock:
            self._refused += 1
        return True


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
