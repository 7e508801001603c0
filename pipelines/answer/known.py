"""The directory as this process knows it: read again only where something has changed."""

import logging
import threading
import time
from collections.abc import Collection

from catalog.calendar import Period
from catalog.collections import STATUS
from pipelines.derived.presence import missing_periods
from pipelines.state.directory import VERSIONS, parse_version, read_directory
from pipelines.state.version import EMPTY, Directory
from store.client import Snapshot, Store

log = logging.getLogger(__name__)
LOOK_S = 10.0
"""What monitors learn of the presence of rollups and pages is at most so old; looking takes 10 ms."""


class Known:
    """Keeps the directory that was read last; may be used by several threads.

    Attributes:
        last: that directory, with what was found to be incomplete since; None before the first.
        watcher: what hears of new versions, where there is one.
    """

    def __init__(self, store: Store, *, watch: bool) -> None:
        self._store = store
        self.watcher = store.watch(STATUS.name, VERSIONS) if watch else None
        self.last: Directory | None = None
        self._looked = (EMPTY, 0.0)
        self._lock = threading.Lock()

    def close(self) -> None:
        """End the watcher."""
        if self.watcher:
            self.watcher.close()

    def now(self) -> Directory:
        """The directory as it is now; nothing is read where the watcher says that it has not changed.

        Raises:
            StoreUnavailable: MongoDB cannot be reached.
        """
        told = self.watcher.current() if self.watcher else None
        last = self.last
        if told and last and parse_version(told) == last.version:
            return last
        with self._store.snapshot(is_small=True) as snapshot:  # also a kept answer may need it
            return self.as_of(snapshot)

    def as_of(self, snapshot: Snapshot) -> Directory:
        """The directory as of a session's snapshot."""
        found = read_directory(snapshot, self.last, is_named=True)
        with self._lock:
            self.last = found
        return found

    def inspect(self, snapshot: Snapshot) -> Directory:
        """The same, after a look whether all that was built is there; one look in LOOK_S for each version."""
        directory = self.as_of(snapshot)
        seen, at = self._looked
        if seen == directory.version and time.monotonic() - at < LOOK_S:
            return directory
        missing = missing_periods(snapshot, directory)
        self._looked = directory.version, time.monotonic()
        return self.distrust(directory, missing) if missing else directory

    def distrust(self, directory: Directory, periods: Collection[Period]) -> Directory:
        """The directory without what was built of some periods, which is not used until it is built anew."""
        names = ", ".join(sorted(period.name for period in periods))
        log.warning("rollups or pages of %s are incomplete; `python -m pipelines verify --repair` mends it", names)
        with self._lock:
            last = self.last
            self.last = (last if last and last.version == directory.version else directory).without(periods)
            return self.last
