"""A bound on how many requests of a process have MongoDB work at once; what is above it is refused at once.

While the places are taken some requests wait for one, and the one that came last is the first to get it: of ten times
too many none has waited long then that is answered, where a queue in order would make each wait for all before it.
A few at once, as a page sends them, are all answered either way.

A full process has no time to refuse politely what it could not answer anyway, so `gate.py` refuses it before it is
read; but not what was answered before and is most likely kept, and not what needs no place.
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
    """So many requests work at once, WAITING more wait for a moment, the others are refused."""

    def __init__(self, places: int) -> None:
        self._places = self._free = places
        self._waiting: deque[_Turn] = deque()
        self._lock = threading.Lock()
        self._answered: Cache[str, bool] = Cache(MAX_ANSWERED, lambda _: 1)

    def take(self) -> None:
        """Take a place for what remains of this request; taking it again changes nothing.

        Raises:
            Overloaded: none is free, nor becomes so within WAIT_MS.
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
        """How many requests that need a place are worth beginning at once."""
        return self._places + WAITING

    @property
    def least(self) -> int:
        """How many are, while far more come than can be answered."""
        return max(1, self._places // 2)

    def may_need(self, target: str) -> bool:
        """Whether a request for this address needs a place, most likely."""
        return policy(target).is_work and target not in self._answered

    def note(self, response: Response) -> Response:
        """Remember what was answered; an `after_request` function."""
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
    """How many requests that need a place are begun, told by the times of their beginnings and ends.

    From the first one that is too many until there was nothing to do for as long as the last one took, more come than
    can be answered. In that time as few as can be are begun, and so none of them takes much longer than usual; where
    they do come by the dozen, but have an end, all are begun.
    """

    def __init__(self, most: int, least: int) -> None:
        self._most, self._least = most, least
        self._at_work = 0
        self._idle_since = self._worked_s = 0.0
        self._is_overloaded = False

    def admit(self, now: float) -> bool:
        """Whether one more is begun now, at this time of `monotonic`."""
        if not self._at_work and now - self._idle_since > self._worked_s:
            self._is_overloaded = False
        if self._at_work >= (self._least if self._is_overloaded else self._most):
            self._is_overloaded = True
            return False
        self._at_work += 1
        return True

    def end(self, begun: float, now: float) -> None:
        """One that was begun then has ended now."""
        self._at_work -= 1
        self._idle_since, self._worked_s = now, now - begun


class _Turn:
    """A request that waits.

    Attributes:
        over: set when it need not wait any longer.
        has_place: whether that is because it has got a place.
    """

    def __init__(self) -> None:
        self.over = threading.Event()
        self.has_place = False


def target(environ: Mapping[str, str]) -> str:
    """What a WSGI request asks for: its path and its parameters."""
    query = environ.get("QUERY_STRING")
    return f"{environ['PATH_INFO']}?{query}" if query else environ["PATH_INFO"]


def install(app: Flask, places: Places) -> None:
    """Tell the places what is answered."""
    app.after_request(places.note)
