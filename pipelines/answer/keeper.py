"""Keeps the resident columns of this machine as the database is, in the background."""

import logging
import threading

from catalog.errors import AnalyticsError
from pipelines.answer.known import Known
from pipelines.derived.columns import Columns
from pipelines.derived.pages import read_whole_pages
from pipelines.plan.whole import NotWhole
from pipelines.resident.shelf import Months, Shelf
from pipelines.state.version import EMPTY, Directory, Version
from store.client import Store

log = logging.getLogger(__name__)
SETTLE_S = 0.2
"""So long after a change nothing is built: another one often follows."""

LOOK_S = 0.5
"""How often is looked for what another process builds."""

TROUBLE_S = 10.0
"""How long is waited after an error, such as a full disk."""


class Keeper:
    """Builds what is missing from pages, or maps what another process has built, whenever the version changes."""

    def __init__(self, store: Store, known: Known, shelf: Shelf) -> None:
        self._store, self._known, self._shelf = store, known, shelf
        self._told = EMPTY
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="columns", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        had_trouble = False
        while not self._stop.is_set():
            watcher = self._known.watcher
            seen = watcher.changes if watcher else 0
            try:
                settled = self._fill()
                had_trouble = False
            except (AnalyticsError, OSError) as error:
                if not had_trouble:
                    log.warning("the resident columns cannot be brought up to date: %s", error)
                had_trouble = True
                self._stop.wait(TROUBLE_S)
                continue
            if settled and watcher:
                while watcher.changes <= seen and self._is_last(settled) and not self._stop.is_set():
                    watcher.wait(seen, LOOK_S)
                self._stop.wait(SETTLE_S)
            else:
                self._stop.wait(LOOK_S)

    def _fill(self) -> Version | None:
        """Build what is missing; gives the version for which nothing is left to be built."""
        directory = self._known.now()
        try:
            self._shelf.fill(directory, lambda months: self._read(directory, months))
        except NotWhole as error:
            if self._known.now(ask_anew=True).version == directory.version:  # or else a refresh came between
                self._known.distrust(directory, error.periods)
            return None
        if not self._shelf.is_settled(directory):
            return None
        if directory.version != self._told:
            self._told = directory.version
            months, size = len(self._shelf.resident(directory).months), self._shelf.nbytes >> 20
            log.info("%d months are in memory as columns, %d MB", months, size)
        return directory.version

    def _is_last(self, version: Version) -> bool:
        return self._known.last is not None and self._known.last.version == version

    def _read(self, directory: Directory, months: Months) -> Columns:
        states = {month: directory.months[month] for month in months}
        expected = {month: (state.rows, state.changed) for month, state in states.items()}
        with self._store.snapshot(is_small=True) as snapshot:
            return read_whole_pages(snapshot, expected)
