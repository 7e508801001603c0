"""`python -m bench.peers.serve MODULE FOLDER`: one peer as a Flask application, under the same server as this service.

Processes and threads are those of the same settings: WORKERS and THREADS.
"""

import os
import sys
import threading
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

from flask import Flask, Response, request

from bench.peers.asked import Refused, parse
from bench.peers.questions import EXPLORE
from bench.peers.rows import read_labels
from service.server import run
from service.settings import ServerSettings


def create_app(module: str, folder: Path) -> Flask:
    """Make the application in a worker. The peer's library is imported there: many start threads, lost in a fork."""
    labels = read_labels(folder)
    answer = import_module(f"bench.peers.{module}").open_peer(folder, labels)
    app = Flask(module)
    app.extensions |= {"connection": SimpleNamespace(warm=lambda: None), "stopping": threading.Event()}

    def explore() -> Response:
        try:
            asked = parse(request.args.to_dict(flat=False), labels)
        except Refused as error:
            return Response(f"{error} has no usable value.", 422)
        return Response(answer(asked), mimetype="application/json")

    app.add_url_rule(EXPLORE, view_func=explore)
    app.add_url_rule("/readyz", view_func=lambda: str(os.getpid()))
    return app


if __name__ == "__main__":
    settings = ServerSettings.from_environment()
    run(settings, ("127.0.0.1", settings.port), settings.threads, partial(create_app, sys.argv[1], Path(sys.argv[2])))
