"""Gunicorn's settings: `gunicorn wsgi:app` reads this file. PORT, WORKERS and THREADS come from the environment."""

import os
from typing import Any

from store.embedded import EmbeddedServer
from store.settings import Settings

bind = f"127.0.0.1:{os.environ.get('PORT', '8000')}"
worker_class = "gthread"
workers = int(os.environ.get("WORKERS", "2"))
threads = int(os.environ.get("THREADS", "4"))
timeout = 60
graceful_timeout = 30
keepalive = 75
control_socket_disable = True


def on_starting(server: Any) -> None:
    """Hold the embedded MongoDB for as long as the service runs; workers come and go."""
    settings = Settings.from_environment()
    server.embedded = None if settings.uri else EmbeddedServer(settings.data_dir)


def when_ready(server: Any) -> None:
    """Say where the service is."""
    server.log.info("the service is at http://%s/", bind)
