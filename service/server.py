"""Serves the application with Granian: a parent that supervises, and workers that answer.

Granian reads requests in Rust, so a client that sends or reads slowly occupies a connection but no thread. See
docs/decisions/http-server.md for measurements.
"""

import errno
import fcntl
import logging
import multiprocessing
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from flask import Flask
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.net import SocketSpec  # type: ignore[attr-defined]  # imported there under another name
from granian.server.mp import MPServer

from catalog.errors import UserError
from service.around import logs
from service.settings import WAITING, ServerSettings, ServiceSettings, refuse_open_door
from service.worker import GRACE_S, STOPS, Lifeline, ignore_stops, load, service
from store.embedded.server import EmbeddedServer
from store.settings import Settings

METRICS = "PROMETHEUS_MULTIPROC_DIR"
BACKLOG = 1024
CONNECTIONS = 4096
"""The most open connections of one worker; more wait until one of them ends."""

HEAD_S = 20
"""The time a client has to send the head of a request; then the connection is closed, as is an idle one."""

MAX_HEAD_BYTES = 32 << 10
PATIENCE_S = 2.0
SPARE_THREADS = 4
"""Threads for refusals, health and metrics, even if all others wait."""

RENEWAL_S = 1.5
"""The time that new workers have to start before the old ones stop, when the keys are reloaded."""

log = logs.log


class Server(MPServer):
    """Granian with one socket for all workers: any free worker takes the next connection.

    On Linux, Granian gives each worker its own socket, and the kernel distributes connections blindly. The override
    does what Granian does on other systems.
    """

    def _init_shared_socket(self) -> None:
        holder: Any = SocketSpec(self.bind_addr, self.bind_port, self.backlog).build()
        self._ssp, self._shd, self._sfd = None, holder, holder.get_fd()
        self._sso = socket.socket(fileno=self._sfd)


def serve(listening: ServerSettings, settings: Settings, prepare: Callable[[], None]) -> None:
    """Hold the embedded MongoDB, call `prepare`, and serve until a signal.

    Raises:
        UserError: a setting is invalid, the address is taken, or others could reach it without a key.
        StoreUnavailable: the embedded server cannot be started.
    """
    logs.configuration()
    address = _address(listening)
    listening = replace(listening, port=address[1])
    behaviour = ServiceSettings.from_environment()
    refuse_open_door([address], behaviour.keys)
    with ExitStack() as stack:
        lock = stack.enter_context(_alone(settings.data_dir, listening))
        os.environ[METRICS] = str(Path(lock.name).parent)
        if not settings.uri:
            stack.callback(EmbeddedServer(settings.data_dir).close)
        prepare()
        _refuse_taken(address, listening)
        threads = max(listening.threads, behaviour.places + WAITING) + listening.listeners + SPARE_THREADS
        run(listening, address, threads, service, lock.fileno())


def run(
    listening: ServerSettings, address: tuple[str, int], threads: int, make: Callable[[], Flask], *ours: int
) -> None:
    """Serve the application that `make` creates in each worker. Workers close the descriptors `ours`."""
    multiprocessing.set_start_method("fork", force=True)  # the lifeline depends on it
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    lifeline = Lifeline.make(*ours)
    logging.getLogger("_granian").addFilter(lambda record: not record.msg.startswith("Configuration allows spawning"))
    server = Server(
        "service", *address,
        interface=Interfaces.WSGI, http=HTTPModes.http1, websockets=False,
        workers=listening.workers, workers_kill_timeout=GRACE_S,
        respawn_failed_workers=True, respawn_interval=RENEWAL_S,
        blocking_threads=threads,
        backlog=BACKLOG, backpressure=CONNECTIONS,
        http1_settings=HTTP1Settings(header_read_timeout=HEAD_S * 1000, max_buffer_size=MAX_HEAD_BYTES),
        log_level=LogLevels.warning, log_dictconfig=logs.configuration(),
        ssl_cert=listening.certificate, ssl_key=listening.key, ssl_protocol_min=SSLProtocols.tls12,
    )  # fmt: skip

    def stop(*_: object) -> None:
        if os.getpid() != lifeline.parent:  # a worker that was just forked and has not started anything
            os._exit(0)
        if not server.interrupt_signal:
            lifeline.cut()
        server.signal_handler_interrupt()  # type: ignore[no-untyped-call]

    def renew(*_: object) -> None:
        try:
            ServiceSettings.from_environment()
        except UserError as error:
            log.error("the workers keep the old keys: %s", error)  # noqa: TRY400  the message says it all
        else:
            server.signal_handler_reload()  # type: ignore[no-untyped-call]

    def started() -> None:
        for each in STOPS:  # SIGHUP, too: a closing terminal sends it
            signal.signal(each, stop)
        signal.signal(signal.SIGUSR1, renew)
        threading.Thread(target=_say_where, args=(address, listening.url), daemon=True).start()

    server.on_startup(started)
    try:
        server.serve(target_loader=partial(load, lifeline, make), wrap_loader=False)
    finally:
        ignore_stops()


def _address(listening: ServerSettings) -> tuple[str, int]:
    """The numeric address to listen on."""
    try:
        found = socket.getaddrinfo(listening.host, listening.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UserError(f"HOST: {listening.host!r} is not a known name or address ({error.strerror}).") from error
    family, _, _, _, (host, port, *_) = found[0]
    if not port:
        with socket.socket(family) as probe:
            probe.bind((host, 0))
            port = probe.getsockname()[1]
    return str(host), int(port)


@contextmanager
def _alone(data_dir: Path, listening: ServerSettings) -> Iterator[TextIO]:
    """A folder for the metrics of one port's workers, ours as long as we lock the file in it.

    The lock is the kernel's, so it is released however a process ends; files left by another process are removed.
    """
    folder = data_dir.resolve() / "service" / str(listening.port)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (folder / "lock").open("a")
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}). Set DATA_DIR.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(_taken(listening, "by this service")) from None
        for counts in folder.glob("*.db"):
            counts.unlink()
        yield lock


def _refuse_taken(address: tuple[str, int], listening: ServerSettings) -> None:
    """Make sure that the address is free, perhaps after a moment: the workers of a killed service need one to end."""
    deadline = time.monotonic() + PATIENCE_S
    while error := _bind_error(address):
        if error.errno != errno.EADDRINUSE:
            raise UserError(f"Cannot listen on {listening.url} ({error.strerror}). Set HOST and PORT.") from error
        if time.monotonic() > deadline:
            raise UserError(_taken(listening, "by another program")) from error
        time.sleep(0.1)


def _bind_error(address: tuple[str, int]) -> OSError | None:
    with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            return error
    return None


def _taken(listening: ServerSettings, by: str) -> str:
    other = listening.port + 1 if listening.port < 65_535 else 8_000
    return f"Port {listening.port} is already in use {by}. Open {listening.url}, or choose another: PORT={other}."


def _say_where(address: tuple[str, int], url: str) -> None:
    """Log the address as soon as a worker listens."""
    while True:
        with suppress(OSError), socket.create_connection(address):
            break
        time.sleep(0.05)
    log.info("the service is at %s", url)
