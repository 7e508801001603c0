"""Server-sent events for new data versions."""

import json
import threading
import time
from collections.abc import Iterator

from flask import Flask, Response, current_app
from flask_smorest import Blueprint

from catalog.errors import AnalyticsError, StoreUnavailable
from pipelines.state.directory import parse_version
from service.around.connection import current_answerer
from service.settings import ServerSettings
from store.watch import Watcher

blueprint = Blueprint("live", __name__, url_prefix="/v1/live", description="Changes of the data")

PING_S = 1
"""A client that has left is noticed at the next write, so one is sent this often."""

LONGEST_S = 300
"""A stream ends after this time, and the browser opens a new one."""


def install(app: Flask) -> None:
    """Limit the number of listeners, so that most threads are left for questions."""
    app.extensions["listeners"] = threading.BoundedSemaphore(ServerSettings.from_environment().listeners)


@blueprint.route("")
@blueprint.response(200, content_type="text/event-stream", description="One event for each new data version")
@blueprint.alt_response(503, "SERVICE_UNAVAILABLE")
def live() -> Response:
    """Changes of the data version, as server-sent events.

    The event `version` carries `{"data_version": 7}`: the current version at once, then each new one.
    """
    watcher, places = current_answerer().known.watcher, current_app.extensions["listeners"]
    if watcher is None or not places.acquire(blocking=False):
        raise StoreUnavailable("Too many clients are listening", "Try again later, or poll /readyz")
    response = Response(_events(watcher, current_app.extensions["stopping"]), mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.call_on_close(places.release)
    return response


def _events(watcher: Watcher, stopping: threading.Event) -> Iterator[str]:
    end = time.monotonic() + LONGEST_S
    seen, told = watcher.changes, -1
    while time.monotonic() < end and not stopping.is_set():
        status = watcher.current()
        try:
            number = parse_version(status).number if status else told
        except AnalyticsError:  # another request reports it
            return
        if number != told:
            told = number
            yield f"event: version\ndata: {json.dumps({'data_version': number})}\n\n"
        else:
            yield ": still here\n\n"
        seen = watcher.wait(seen, PING_S)
