"""Gunicorn's threaded worker, whose answers to what is no HTTP request are problem details, too."""

import json
import uuid
from http import HTTPStatus
from socket import socket
from typing import Any

from gunicorn.http import errors
from gunicorn.util import write_nonblock
from gunicorn.workers.gthread import ThreadWorker

from service.requests import SECURITY

STATUS: dict[type[Exception], HTTPStatus] = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.InvalidHTTPVersion: HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
}
"""What each fault of a request means; 400 for those that are not named."""


class Worker(ThreadWorker):
    """Says with a problem document why a request could not be read."""

    def handle_error(self, req: Any, client: socket, addr: Any, exc: BaseException) -> None:
        """Answer a request that never reached the application, and end its connection."""
        if not isinstance(exc, errors.ParseException):
            super().handle_error(req, client, addr, exc)
            return
        status = STATUS.get(type(exc), HTTPStatus.BAD_REQUEST)
        request_id = uuid.uuid4().hex
        fields = {"request_id": request_id, "status": status.value, "client": addr[0] if addr else None}
        self.log.warning("a request could not be read: %s", type(exc).__name__, extra={"fields": fields})
        try:
            write_nonblock(client, _response(status, request_id))
        except OSError:
            self.log.debug("the client has gone")


def _response(status: HTTPStatus, request_id: str) -> bytes:
    detail = f"This is no request that can be read: {status.description or status.phrase}."
    problem = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    body = json.dumps(problem | {"request_id": request_id, "timing_ms": {"total": 0.0}}).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nX-Request-Id: {request_id}\r\n"
        "Server-Timing: total;dur=0.000\r\n"
    )
    head += "".join(f"{name}: {value}\r\n" for name, value in SECURITY.items())
    return head.encode("ascii") + b"\r\n" + body
