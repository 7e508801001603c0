"""Limits the requests of a process for which MongoDB works at the same time; excess requests are refused at once.

If all places are taken, some requests wait for one, and the last to arrive gets it first. So even at ten times the
capacity, no answered request has waited long, whereas in a queue each would wait for all before it. The few concurrent
requests of a page are all answered either way.

A busy process has no time to refuse politely what it could not answer anyway, so `gate.py` refuses it unread, except
requests that were answered before and are most likely cached, and those that need no place.
"""

import threading
from collections import deque
from collections.abc import Mapping

from flask import Flask, Response, has_request_context, request

from pipelines.answer.cache import Cache
from service.around.context import context
from service.around.paths import policy
from service.around.problems import Overloaded
from service.settings import WAITING

WAIT_MS = 50
MAX_ANSWERED = 10_000


class Places:
    """The places: this many requests work at once, WAITING more wait for a moment, all others are refused."""

    def __init__(self, places: int) -> None:
        self._places = self._free = places
        self._waiting: deque[_Turn] = deque()
        self._lock = threading.Lock()
        self._answered: Cache[str, bool] = Cache(MAX_ANSWERED, lambda _: 1)

    def take(self) -> None:
        """Take a place until the end of the current request; taking it again has no effect.

        Raises:
            Overloaded: none is free or becomes free within WAIT_MS.
        """
        if not has_request_context() or policy(request.path).is_monitor or context().has_place:
            return
        if not self._enter():
            context().is_shed = True
            raise Overloaded
        context().has_place = True
        context().ending.callback(self._leave)

    @property
    def most(self) -> int:
        """The number of concurrent requests that need a place and are worth starting."""
        return self._places + WAITING

    @property
    def least(self) -> int:
        """The same number under overload."""
        return max(1, self._places // 2)

    def may_need(self, target: str) -> bool:
        """Whether a request for this target most likely needs a place."""
        return policy(target).is_work and target not in self._answered

    def note(self, response: Response) -> Response:
        """Remember an answered target; an `after_request` function."""
        if response.status_code in (200, 304) and context().answers:
            self._answered.put(target(request.environ), True)
        return response

    def _enter(self) -> bool:
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            turn = _Turn()
            self._waiting.append(turn)
            if len(self._waiting) > WAITING:
                self._waiting.popleft().over.set()
        turn.over.wait(WAIT_MS / 1000)
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
        return turn.has_place

    def _leave(self) -> None:
        with self._lock:
            if self._waiting:
                turn = self._waiting.pop()
                turn.has_place = True
                turn.over.set()
            else:
                self._free += 1


class Admission:
    """Decides how many requests that need a place are started, from the times of their starts and ends.

    Overload lasts from the first excess request until there has been nothing to do for as long as the last request
    took. Meanwhile as few as possible are started, so that none takes much longer than usual; in short bursts, all are.
    """

    def __init__(self, most: int, least: int) -> None:
        self._most, self._least = most, least
        self._at_work = 0
        self._idle_since = self._worked_s = 0.0
        self._is_overloaded = False

    def admit(self, now: float) -> bool:
        """Whether to start one more request at this time (`monotonic`)."""
        if not self._at_work and now - self._idle_since > self._worked_s:
            self._is_overloaded = False
        if self._at_work >= (self._least if self._is_overloaded else self._most):
            self._is_overloaded = True
            return False
        self._at_work += 1
        return True

    def end(self, begun: float, now: float) -> None:
        """Record that a request started at `begun` has ended."""
        self._at_work -= 1
        self._idle_since, self._worked_s = now, now - begun


class _Turn:
    """A waiting request.

    Attributes:
        over: set at the end of the wait.
        has_place: whether it got a place.
    """

    def __init__(self) -> None:
        self.over = threading.Event()
        self.has_place = False


def target(environ: Mapping[str, str]) -> str:
    """The target of a WSGI request: its path and parameters."""
    query = environ.get("QUERY_STRING")
    return f"{environ['PATH_INFO']}?{query}" if query else environ["PATH_INFO"]


def install(app: Flask, places: Places) -> None:
    """Let the places remember answered targets."""
    app.after_request(places.note)
