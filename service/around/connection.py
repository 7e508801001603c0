"""The process's only connection to MongoDB, created after the fork of a worker."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from flask import current_app

from catalog.errors import AnalyticsError
from pipelines.answer.answerer import Answerer
from pipelines.resident.shelf import Shelf
from pipelines.state.floor import Floor
from service.around.context import note_answer
from store.client import Store
from store.settings import Settings

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder that the workers of one service share; `service.server` makes it."""

POOL_SIZE = 8
PATIENCE_MS = 2_000


class Connection:
    """Creates the store on first use.

    Attributes:
        columns: the folder of the columns.
        admit: called before MongoDB works for a request; raises if the process is overloaded.
    """

    def __init__(self, settings: Settings, columns_bytes: int = 0) -> None:
        """Take the settings, and how many bytes of columns may be kept; 0 keeps none."""
        self._settings = settings
        self._columns_bytes = columns_bytes
        self.columns = settings.data_dir / "columns"
        self.admit: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._answerer: Answerer | None = None

    @property
    def answerer(self) -> Answerer:
        """The answerer, with the caches of this process."""
        store = self.store
        with self._lock:
            if self._answerer is None:
                self._answerer = Answerer(store, watch=True, tell=note_answer, shelf=self._shelf(), floor=self._floor())
            return self._answerer

    @property
    def store(self) -> Store:
        """The store.

        Raises:
            StoreUnavailable: the embedded server cannot be started.
        """
        with self._lock:
            if self._store is None:
                self._store = Store(
                    self._settings, pool_size=POOL_SIZE, patience_ms=PATIENCE_MS, admit=self.admit, comment="service"
                )
            return self._store

    def _shelf(self) -> Shelf | None:
        return Shelf(self.columns, self._columns_bytes) if self._columns_bytes else None

    def _floor(self) -> Floor | None:
        """That of the workers of this service, if there are several."""
        folder = os.environ.get(FOLDER)
        return Floor(Path(folder) / "newest") if folder else None

    def warm(self) -> None:
        """Connect and read what every question needs, so that the first ones need not wait; errors are ignored."""
        with suppress(AnalyticsError):
            self.answerer.keep_columns()
            self.answerer.known.now()

    def close(self) -> None:
        """Close the connection; for tests."""
        with self._lock:
            if self._answerer:
                self._answerer.close()
            if self._store:
                self._store.close()
            self._store = self._answerer = None


def current_answerer() -> Answerer:
    """The answerer of the current application."""
    connection: Connection = current_app.extensions["connection"]
    return connection.answerer


def current_store() -> Store:
    """The store of the current application."""
    connection: Connection = current_app.extensions["connection"]
    return connection.store
