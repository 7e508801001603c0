"""What a worker does besides answering: create the application, stop when told to, end with its parent."""

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
"""The time that a stopping worker has to finish its requests."""

NUDGE_S = 5.0
"""How long a worker waits for the parent's signal before it sends itself one."""

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
log = logging.getLogger(__name__)


def ignore_stops() -> None:
    """Ignore further signals during the shutdown; Python removes its own handlers before the end."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)


@dataclass(frozen=True)
class Lifeline:
    """A pipe that nobody writes to: all workers see end of file when the parent stops or is killed.

    Attributes:
        read, write: its ends. Workers close the write end, which belongs to the parent.
        others: further descriptors that belong to the parent only.
    """

    read: int
    write: int
    parent: int = field(default_factory=os.getpid)
    others: tuple[int, ...] = ()

    @classmethod
    def make(cls, *others: int) -> "Lifeline":
        """Create one, in the parent."""
        return cls(*os.pipe(), others=others)

    def cut(self) -> None:
        """Tell the workers that the parent stops."""
        os.close(self.write)

    def follow(self, stopping: threading.Event) -> None:
        """In a worker: set `stopping` when the parent stops or was killed, and make sure that this process ends.

        A stopping parent sends its own signal, perhaps a little later; a killed one does not.
        """
        os.read(self.read, 1)
        stopping.set()
        deadline = time.monotonic() + NUDGE_S
        while os.getppid() == self.parent and time.monotonic() < deadline:
            time.sleep(0.05)
        # To the main thread: a signal delivered to one of Granian's threads would not wake Python's.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        time.sleep(GRACE_S)
        os._exit(1)


def service() -> Flask:
    """The service's application. It is not imported in the parent: numpy starts threads, which a fork would lose."""
    from service.app import create_app

    return create_app()


def load(lifeline: Lifeline, make: Callable[[], Flask]) -> Application:
    """Create the application in a worker that was just forked; it connects in the background.

    With Python's default thresholds, a full garbage collection visited all cached answers every twenty dashboards: 50
    to 90 ms each.
    """
    os.setsid()  # Ctrl-C and the terminal's end are for the parent, which then tells us
    for number in (*STOPS, signal.SIGUSR1):  # not the parent's handlers; Granian sets its own later
        signal.signal(number, signal.SIG_DFL)
    for descriptor in (lifeline.write, *lifeline.others):
        os.close(descriptor)
    logging.captureWarnings(True)
    app = make()
    threading.Thread(target=lifeline.follow, args=(app.extensions["stopping"],), name="lifeline", daemon=True).start()
    threading.Thread(target=app.extensions["connection"].warm, name="warm", daemon=True).start()
    # By then all requests are answered. Waiting for threads, such as the watcher's, takes seconds and logs tracebacks.
    Finalize(None, os._exit, args=(0,), exitpriority=0)
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    log.info("a worker has started")
    return in_one_piece(believing_a_near_proxy(app))


def in_one_piece(app: Application) -> Application:
    """Hand over a reply of known length at once: Granian sends a list from memory, however slow the client is.

    For any other reply, one of our threads waits until the client has received it.
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
    """Trust `X-Forwarded-Proto` from a proxy on this machine: it decides about Strict-Transport-Security."""

    def call(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("HTTP_X_FORWARDED_PROTO") == "https" and environ["REMOTE_ADDR"] in ("127.0.0.1", "::1", ""):
            environ["wsgi.url_scheme"] = "https"
        return app(environ, start_response)

    return call
