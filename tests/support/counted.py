"""Counts the requests that reach Flask."""

import time
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from service.app import create_app
from service.fast.kept import KeptReplies
from service.settings import ServiceSettings
from store.client import Store

PATH = "/v1/queries/top-states?from=2019-02-03&segment=gold&limit=20"


class Counted:
    """An application that counts how often Flask was asked."""

    def __init__(self, store: Store, behaviour: ServiceSettings | None = None, columns: Path | None = None) -> None:
        """Make the application; with a folder for columns, it keeps these there."""
        self.flask: Flask = create_app(store.settings, behaviour or ServiceSettings())
        self.has_columns = columns is not None
        if columns:
            connection = self.flask.extensions["connection"]
            connection.columns = columns
            connection.answerer.keep_columns()
        self.asked = 0
        outer: Any = self.flask.wsgi_app
        while not isinstance(outer, KeptReplies) and hasattr(outer, "_app"):
            outer = outer._app
        self.is_kept = isinstance(outer, KeptReplies)
        if self.is_kept:
            inner = outer._app

            def counted(environ: Any, start_response: Any) -> Any:
                self.asked += 1
                return inner(environ, start_response)

            outer._app = counted

    def get(self, path: str = PATH, **headers: str) -> TestResponse:
        """GET with headers, `_` for `-`."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.flask.test_client().get(path, headers=given)

    def wait(self) -> None:
        """Wait until the change stream reports the version; before that, nothing is cached."""
        answerer = self.flask.extensions["connection"].answerer
        for _ in range(200):
            if answerer.known.watcher.current() and (not self.has_columns or answerer.has_columns):
                return
            time.sleep(0.05)
        raise AssertionError("the change stream tells nothing")
