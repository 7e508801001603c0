"""Gunicorn's settings: `gunicorn wsgi:app` reads this file.

HOST, PORT, WORKERS, THREADS, LOG_LEVEL and LOG_FORMAT come from the environment or `.env`: see `service.settings`.
"""

import gc
import os
import shutil
import socket
import sys
import tempfile
import threading
from typing import Any

from catalog.errors import UserError
from service.around.logs import ServerLogger
from service.settings import ServerSettings, ServiceSettings, refuse_open_door
from service.worker import Worker
from store.embedded.server import EmbeddedServer
from store.settings import Settings

DEFER_S = 5
GARBAGE_THRESHOLD = 50_000
METRICS = "PROMETHEUS_MULTIPROC_DIR"
try:
    _server = ServerSettings.from_environment()
except UserError as fault:
    sys.exit(str(fault))
bind = _server.bind
worker_class = Worker
workers = _server.workers
threads = _server.threads
timeout = 60
graceful_timeout = 30
keepalive = 75
limit_request_line = 8190
control_socket_disable = True
forwarder_headers = ""  # else SCRIPT_NAME, sent as a header, would move the paths
logger_class = ServerLogger
loglevel = _server.log_level


def on_starting(server: Any) -> None:
    """Check the settings, hold the embedded MongoDB for as long as the service runs, make the folder of the metrics."""
    try:
        settings = Settings.from_environment()
        refuse_open_door(server.cfg.address, ServiceSettings.from_environment().keys)
    except UserError as error:
        sys.exit(str(error))
    server.embedded = None if settings.uri else EmbeddedServer(settings.data_dir)
    server.metrics = os.environ[METRICS] = tempfile.mkdtemp(prefix="metrics-")  # ours alone: its mode is 0700


def when_ready(server: Any) -> None:
    """Say where the service is. Linux gives a connection to a worker when its request has come, and not before."""
    if hasattr(socket, "TCP_DEFER_ACCEPT"):
        for listener in server.LISTENERS:
            if listener.sock.family in (socket.AF_INET, socket.AF_INET6):
                listener.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, DEFER_S)
    server.log.info("the service is at http://%s/", server.cfg.bind if isinstance(server.cfg.bind, str) else bind)


def post_worker_init(worker: Any) -> None:
    """Let the worker connect to MongoDB while it begins to listen, and seldom look for cycles among what it keeps.

    With Python's thresholds a full collection went through all kept answers every twenty dashboards: 50 to 90 ms each.
    """
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    threading.Thread(target=worker.wsgi.extensions["connection"].warm, name="warm", daemon=True).start()


def child_exit(server: Any, worker: Any) -> None:
    """Forget what was true only of a worker that is gone; what it counted stays."""
    from prometheus_client.multiprocess import mark_process_dead  # it reads METRICS when it is imported

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    """Remove the folder of the metrics."""
    shutil.rmtree(server.metrics, ignore_errors=True)
