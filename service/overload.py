"""A bound on how many requests of a process have MongoDB work at once; what is above it is refused at once.

Gunicorn queues what its threads cannot take, without a bound. So there are more threads than places: while the places
are taken and a few requests wait for one, other threads are free to give kept answers, and to refuse the rest.
"""

import threading

from flask import g, has_request_context, request

from catalog.errors import AnalyticsError
from service.requests import ending

WAIT_MS = 50
WAITING = 4
"""So many times as many as work may wait: a page asks its questions all at once, and each takes some milliseconds."""

RETRY_AFTER_SECONDS = 1
ALWAYS = frozenset({"/readyz", "/metrics"})
"""Monitors are told how things stand also, and above all, under overload."""


class Overloaded(AnalyticsError):
    """More is asked at once than this process takes on; over HTTP a 503."""

    def __init__(self) -> None:
        super().__init__("The service has too much to do at the moment. Try again.")


class Places:
    """So many requests work at once, WAITING times as many wait for a moment, the others are refused."""

    def __init__(self, places: int) -> None:
        self._working = threading.BoundedSemaphore(places)
        self._waiting = threading.BoundedSemaphore(WAITING * places)

    def take(self) -> None:
        """Take a place for what remains of this request; taking it again changes nothing.

        Raises:
            Overloaded: none is free, nor becomes so within WAIT_MS.
        """
        if not has_request_context() or request.path in ALWAYS or g.get("has_place"):
            return
        if not self._working.acquire(blocking=False) and not self._wait():
            g.is_shed = True
            raise Overloaded
        g.has_place = True
        ending().callback(self._working.release)

    def _wait(self) -> bool:
        if not self._waiting.acquire(blocking=False):
            return False
        try:
            return self._working.acquire(timeout=WAIT_MS / 1000)
        finally:
            self._waiting.release()
