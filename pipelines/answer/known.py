"""The directory as this process knows it: read again only where something has changed."""

import logging
import threading
import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from catalog.calendar import Period
from catalog.collections import STATUS
from pipelines.derived.presence import missing_periods
from pipelines.state.directory import VERSIONS, parse_version, read_directory
from pipelines.state.floor import Floor
from pipelines.state.version import EMPTY, Directory, Version
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

    def __init__(self, store: Store, *, watch: bool, floor: Floor | None = None) -> None:
        self._store = store
        self.watcher = store.watch(STATUS.name, VERSIONS) if watch else None
        self.last: Directory | None = None
        self._floor = floor
        self._looked = (EMPTY, 0.0)
        self._lock = threading.Lock()

    def close(self) -> None:
        """End the watcher."""
        if self.watcher:
            self.watcher.close()

    @property
    def moment(self) -> datetime:
        """When the watcher last heard that nothing has changed; the present moment without one."""
        silent_s = time.monotonic() - self.watcher.heard if self.watcher else 0.0
        return datetime.now(UTC) - timedelta(seconds=silent_s)

    def now(self, *, ask_anew: bool = False) -> Directory:
        """The directory as it is now; nothing is read where the watcher says that it has not changed.

        Never an older one than any process of this service has shown before.

        Attributes:
            ask_anew: whether MongoDB is asked all the same.

        Raises:
            StoreUnavailable: MongoDB cannot be reached.
        """
        last = self.last
        if not ask_anew and last and self.vouches_for(last.version):
            return last
        with self._store.snapshot(is_small=True) as snapshot:  # also a kept answer may need it
            return self.as_of(snapshot)

    def vouches_for(self, version: Version) -> bool:
        """Whether the watcher says that this is the version, and no process of this service has shown a newer one.

        Raises:
            NewerLayout: the database is of a layout that this program does not know.
        """
        told = self.watcher.current() if self.watcher else None
        if not told or parse_version(told) != version:
            return False
        return not self._floor or not self._floor.is_above(version)

    def as_of(self, snapshot: Snapshot) -> Directory:
        """The directory as of a session's snapshot."""
        found = read_directory(snapshot, self.last, is_named=True)
        with self._lock:
            self.last = found
        if self._floor:
            self._floor.note(found.version)
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
