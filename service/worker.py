"""What a worker does besides answering: it makes the application, hears when it is to stop, ends with its parent."""

import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from multiprocessing.util import Finalize
from typing import Any

from flask import Flask

GARBAGE_THRESHOLD = 50_000
GRACE_S = 30
"""How long a worker that has to stop may take to finish the requests it has begun."""

NUDGE_S = 5.0
"""So long the parent's own signal has before a worker gives itself another."""

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
log = logging.getLogger(__name__)


def ignore_stops() -> None:
    """Let no second signal disturb an end that has begun; Python takes its own handlers away before it is over."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)


@dataclass(frozen=True)
class Lifeline:
    """A pipe that nobody writes to: all workers see its end when the parent stops or is killed.

    Attributes:
        read, write: the ends. Workers close the other one, which is the parent's.
        others: more descriptors that are the parent's alone.
    """

    read: int
    write: int
    parent: int = field(default_factory=os.getpid)
    others: tuple[int, ...] = ()

    @classmethod
    def make(cls, *others: int) -> "Lifeline":
        """Make one, in the parent."""
        return cls(*os.pipe(), others=others)

    def cut(self) -> None:
        """Tell the workers that the parent stops."""
        os.close(self.write)

    def follow(self, stopping: threading.Event) -> None:
        """In a worker: set `stopping` when the parent stops or was killed, and see to it that this process ends.

        A parent that stops gives a signal of its own, perhaps a little later; a killed one does not.
        """
        os.read(self.read, 1)
        stopping.set()
        deadline = time.monotonic() + NUDGE_S
        while os.getppid() == self.parent and time.monotonic() < deadline:
            time.sleep(0.05)
        # To the main thread: what one of Granian's threads takes would not wake Python's.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        time.sleep(GRACE_S)
        os._exit(1)


def service() -> Flask:
    """The service's own application. Not imported in the parent: numpy starts threads, and a fork has none of them."""
    from service.app import create_app

    return create_app()


def load(lifeline: Lifeline, make: Callable[[], Flask]) -> Application:
    """Make the application in a worker's own process, just forked, and let it connect while it begins to listen.

    With Python's thresholds a full collection of garbage went through all kept answers every twenty dashboards: 50 to
    90 ms each.
    """
    os.setsid()  # a terminal's Ctrl-C and its end are for the parent, which then tells us
    for number in (*STOPS, signal.SIGUSR1):  # what the parent does at these is not for us; Granian sets its own later
        signal.signal(number, signal.SIG_DFL)
    for descriptor in (lifeline.write, *lifeline.others):
        os.close(descriptor)
    logging.captureWarnings(True)
    app = make()
    threading.Thread(target=lifeline.follow, args=(app.extensions["stopping"],), name="lifeline", daemon=True).start()
    threading.Thread(target=app.extensions["connection"].warm, name="warm", daemon=True).start()
    # All is answered then. What threads still wait for, such as news from MongoDB, would take seconds and tracebacks.
    Finalize(None, os._exit, args=(0,), exitpriority=0)
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    log.info("a worker has started")
    return in_one_piece(believing_a_near_proxy(app))


def in_one_piece(app: Application) -> Application:
    """Hand over a reply of a known length whole: Granian sends a list from memory, whatever time its client takes.

    For anything else a thread of ours waits until the client has taken it.
    """

    def call(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        is_known = False

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal is_known
            is_known = any(name == "Content-Length" for name, _ in headers)
            return start_response(status, headers, exc_info)

        body = app(environ, start)
        if not is_known and body != ():  # what Flask gives for a 304
            return body
        try:
            return [b"".join(body)]
        finally:
            if hasattr(body, "close"):
                body.close()

    return call


def believing_a_near_proxy(app: Application) -> Application:
    """Take `X-Forwarded-Proto` from a proxy on this machine: it decides about Strict-Transport-Security."""

    def call(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("HTTP_X_FORWARDED_PROTO") == "https" and environ["REMOTE_ADDR"] in ("127.0.0.1", "::1", ""):
            environ["wsgi.url_scheme"] = "https"
        return app(environ, start_response)

    return call
