"""The process's one connection to MongoDB, made after the fork of a worker."""

import threading
from collections.abc import Callable
from contextlib import suppress

from flask import current_app

from catalog.errors import AnalyticsError
from pipelines.answer.answerer import Executor
from service.around.requests import note_answer
from store.client import Store
from store.settings import Settings

POOL_SIZE = 8
PATIENCE_MS = 2_000


class Connection:
    """Makes the store when it is first asked for."""

    def __init__(self, settings: Settings, admit: Callable[[], None]) -> None:
        self._settings = settings
        self._admit = admit
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._executor: Executor | None = None

    @property
    def executor(self) -> Executor:
        """What answers questions; it keeps the caches of this process."""
        store = self.store
        with self._lock:
            if self._executor is None:
                self._executor = Executor(store, watch=True, tell=note_answer)
            return self._executor

    @property
    def store(self) -> Store:
        """The store.

        Raises:
            StoreUnavailable: no embedded server can be had.
        """
        with self._lock:
            if self._store is None:
                self._store = Store(
                    self._settings, pool_size=POOL_SIZE, patience_ms=PATIENCE_MS, admit=self._admit, comment="service"
                )
            return self._store

    def warm(self) -> None:
        """Connect and read what every question needs, so that the first ones need not wait; no matter if it fails."""
        with suppress(AnalyticsError):
            executor = self.executor
            with self.store.snapshot() as snapshot:
                executor.directory(snapshot)

    def close(self) -> None:
        """Close the connection; a test's last word."""
        with self._lock:
            if self._executor:
                self._executor.close()
            if self._store:
                self._store.close()
            self._store = self._executor = None


def current_executor() -> Executor:
    """The executor of the current application."""
    connection: Connection = current_app.extensions["connection"]
    return connection.executor


def current_store() -> Store:
    """The store of the current application."""
    connection: Connection = current_app.extensions["connection"]
    return connection.store
