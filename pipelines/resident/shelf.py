"""The segments of one database that this machine holds: found by whoever asks, built by one process in the background.

`DATA_DIR/columns/<epoch>/` has a file for each year. A segment names the version that each of its months shows, and a
reader takes only those that are the directory's. So nothing has to be thrown away in time to stay right, and while a
month changes the others of its year are still answered from the segment.
"""

import fcntl
import logging
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from catalog.calendar import Period
from pipelines.derived.columns import Columns
from pipelines.resident.files import Unreadable, read, write
from pipelines.resident.segment import Segment, TooLarge, build
from pipelines.state.version import EMPTY, Directory, Version

log = logging.getLogger(__name__)
SUFFIX = ".columns"
KEPT_DATABASES = 2
"""So many databases may have columns in one folder; those used longest ago are removed when another one comes."""

Months = Mapping[Period, int]
ReadMonths = Callable[[Months], Columns]
"""Reads the rows of some months as they are in these versions."""


@dataclass(frozen=True)
class Resident:
    """What can be answered from columns as of one directory.

    Attributes:
        segments: by year.
        months: the months that they show as they are.
    """

    segments: Mapping[int, Segment] = field(default_factory=dict)
    months: frozenset[Period] = frozenset()


NONE = Resident()


class Shelf:
    """Finds segments, and builds those that are missing; may be used by several threads and processes.

    Attributes:
        folder: where the files are.
        max_bytes: how many bytes the segments of a database may have; the newest years have precedence.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._epoch = ""
        self._segments: Mapping[int, Segment] = {}
        self._found: tuple[Version, Mapping[int, Segment], Resident] = (EMPTY, {}, NONE)
        self._lock = threading.Lock()

    def resident(self, directory: Directory) -> Resident:
        """What can be answered from the segments held at present, as of a directory."""
        version, segments, found = self._found
        if version == directory.version and segments is self._segments and not directory.incomplete:
            return found
        if self._epoch != directory.version.epoch:
            return NONE
        segments = self._segments
        shown = {
            month
            for month, built in fresh_months(directory).items()
            if (segment := segments.get(month.start.year)) and segment.months.get(month) == built
        }
        found = Resident(segments, frozenset(shown))
        if not directory.incomplete:
            self._found = (directory.version, segments, found)
        return found

    def is_full(self, directory: Directory) -> bool:
        """Whether every fresh month is here."""
        return len(self.resident(directory).months) == len(fresh_months(directory))

    @property
    def nbytes(self) -> int:
        """The size of what is held."""
        return sum(segment.nbytes for segment in self._segments.values())

    def look(self, directory: Directory) -> None:
        """Map the files of segments that are not here as they should be."""
        epoch = directory.version.epoch
        for year, months in _by_year(directory).items():
            if self._is_here(epoch, year, months):
                continue
            with suppress(OSError, Unreadable):
                self._hold(epoch, read(self._path(epoch, year), epoch))

    def fill(self, directory: Directory, read_months: ReadMonths) -> None:
        """Build what is missing, unless another process is at it; the newest years first.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        epoch = directory.version.epoch
        if not epoch:
            return
        self.look(directory)
        by_year = sorted(_by_year(directory).items(), reverse=True)
        if all(self._is_here(epoch, year, months) for year, months in by_year):
            return
        with self._locked(epoch) as is_locked:
            left = self.max_bytes
            for year, months in by_year if is_locked else ():
                if not self._is_here(epoch, year, months):
                    self._build(epoch, year, months, left, read_months)
                left -= self._segments[year].nbytes if year in self._segments else 0

    def _build(self, epoch: str, year: int, months: Months, left: int, read_months: ReadMonths) -> None:
        try:
            segment = build(year, months, read_months(months))
        except TooLarge as error:
            log.warning("%s", error)
            return
        if segment.nbytes > left:
            log.warning("no room for the columns of %s: COLUMNS_MAX_MB is too small", year)
            return
        path = self._path(epoch, year)
        write(path, segment, epoch)
        self._hold(epoch, read(path, epoch))

    def _is_here(self, epoch: str, year: int, months: Months) -> bool:
        held = self._segments.get(year)
        return self._epoch == epoch and held is not None and held.months.items() >= months.items()

    def _hold(self, epoch: str, segment: Segment) -> None:
        with self._lock:
            others = self._segments if self._epoch == epoch else {}
            self._segments = {**others, segment.year: segment}
            self._epoch = epoch

    def _path(self, epoch: str, year: int) -> Path:
        return self.folder / epoch / f"{year}{SUFFIX}"

    @contextmanager
    def _locked(self, epoch: str) -> Iterator[bool]:
        """Whether this process alone may write; what killed writers and former databases left is removed."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = self.folder / epoch
        folder.mkdir(exist_ok=True, mode=0o700)
        with (self.folder / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            for left in folder.glob(f".*{SUFFIX}.*"):
                left.unlink(missing_ok=True)
            folder.touch()
            databases = sorted((each for each in self.folder.iterdir() if each.is_dir()), key=_used)
            for former in databases[:-KEPT_DATABASES]:
                shutil.rmtree(former, ignore_errors=True)
            yield True


def _used(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


def fresh_months(directory: Directory) -> dict[Period, int]:
    """The months that are not stale, each with the version that its page shows."""
    return {month: state.changed for month, state in directory.months.items() if not state.stale}


def _by_year(directory: Directory) -> dict[int, dict[Period, int]]:
    found: dict[int, dict[Period, int]] = {}
    for month, built in fresh_months(directory).items():
        found.setdefault(month.start.year, {})[month] = built
    return found
