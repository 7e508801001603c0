"""The segments of one database that this machine holds: found by whoever asks, built by one process in the background.

`DATA_DIR/columns/<epoch>/` has a file for each year. A segment names the version that each of its months shows, and a
reader takes only those that are the directory's. So nothing has to be thrown away in time to stay right, and while a
month changes the others of its year are still answered from the segment.
"""

import fcntl
import logging
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from catalog.calendar import Period
from pipelines.derived.columns import Columns
from pipelines.resident.files import Unreadable, read, write
from pipelines.resident.segment import NAMES, Segment, TooLarge, build
from pipelines.state.version import EMPTY, Counts, Directory, Version

log = logging.getLogger(__name__)
SUFFIX = ".columns"
KEPT_DATABASES = 2
"""So many databases may have columns in one folder; those used longest ago are removed when another one comes."""

ROW_BYTES = 2 + 4 + len(NAMES)
"""A row takes at least so many."""

Months = Mapping[Period, int]
ReadMonths = Callable[[Months], Columns]
"""Reads the rows of some months."""

Mark = tuple[int, int]
VERSION_BITS = 44


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
    """Finds segments, and builds those that are missing.

    Several threads and processes may ask what is resident; one thread of each looks and fills.

    Attributes:
        folder: where the files are.
        max_bytes: how many bytes the segments of a database may have; the newest years have precedence.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._held: tuple[str, Mapping[int, Segment]] = ("", {})
        self._marks: Mapping[int, Mark] = {}
        self._refused: dict[tuple[str, int], Months] = {}
        self._found: tuple[Version, Mapping[int, Segment], Resident] = (EMPTY, {}, NONE)

    def resident(self, directory: Directory) -> Resident:
        """What can be answered from the segments held at present, as of a directory."""
        version, segments, found = self._found
        epoch, held = self._held
        if version == directory.version and segments is held and not directory.incomplete:
            return found
        if epoch != directory.version.epoch:
            return NONE
        usable = {year: each for year, each in held.items() if _has_no_others(each, directory)}
        shown = {
            month
            for month, built in fresh_months(directory).items()
            if month.start.year in usable and usable[month.start.year].months.get(month) == built
        }
        found = Resident(usable, frozenset(shown))
        if not directory.incomplete:
            self._found = (directory.version, held, found)
        return found

    def is_settled(self, directory: Directory) -> bool:
        """Whether nothing is left to be built: every fresh month is here, or there is no room for its year."""
        return all(self._is_settled(directory, year, months) for year, months in _by_year(directory))

    def is_full(self, directory: Directory) -> bool:
        """Whether every fresh month is here."""
        return len(self.resident(directory).months) == len(fresh_months(directory))

    @property
    def nbytes(self) -> int:
        """The size of what is held."""
        return sum(segment.nbytes for segment in self._held[1].values())

    def look(self, directory: Directory) -> None:
        """Map the files of segments that are not here as they should be, and let go of what there is no room for."""
        epoch = directory.version.epoch
        held = self._held_of(epoch)
        kept: dict[int, Segment] = {}
        marks: dict[int, Mark] = {}
        left = self.max_bytes
        for year, months in _by_year(directory):
            segment, mark = held.get(year), self._marks.get(year)
            if not _is_current(segment, months, directory):
                with suppress(OSError, Unreadable):
                    path = self._path(epoch, year)
                    found = _mark_of(path)
                    if found != mark or segment is None:
                        segment, mark = read(path, epoch), found
            if segment is not None and segment.nbytes <= left:
                kept[year], left = segment, left - segment.nbytes
                if mark:
                    marks[year] = mark
        self._marks = marks
        if list(map(id, kept.values())) != list(map(id, held.values())) or epoch != self._held[0]:
            self._held = (epoch, kept)

    def fill(self, directory: Directory, read_months: ReadMonths) -> None:
        """Build what is missing, unless another process is at it; the newest years first.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        self.look(directory)
        if self.is_settled(directory):
            return
        epoch = directory.version.epoch
        with self._locked(epoch) as is_locked:
            if not is_locked:
                return
            self.look(directory)  # another process may have built it until now
            left = self.max_bytes
            for year, months in _by_year(directory):
                if not self._is_settled(directory, year, months):
                    self._build(directory, year, months, left, read_months)
                segment = self._held_of(epoch).get(year)
                if segment is not None and segment.nbytes > left:  # a newer one has taken the room
                    self._refuse(epoch, year, months)
                elif segment is not None:
                    left -= segment.nbytes
            self.look(directory)

    def _build(self, directory: Directory, year: int, months: Months, left: int, read_months: ReadMonths) -> None:
        epoch = directory.version.epoch
        if sum(directory.rows[month] for month in months) * ROW_BYTES > left:
            self._refuse(epoch, year, months)
            return
        try:
            segment = build(year, months, read_months(months))
        except TooLarge as error:
            log.warning("%s", error)
            self._refused[epoch, year] = months
            return
        if segment.nbytes > left:
            self._refuse(epoch, year, months)
            return
        path = self._path(epoch, year)
        write(path, segment, epoch)
        held = {**self._held_of(epoch), year: read(path, epoch)}
        self._marks = {**self._marks, year: _mark_of(path)}
        self._held = (epoch, dict(sorted(held.items(), reverse=True)))

    def _refuse(self, epoch: str, year: int, months: Months) -> None:
        log.warning("no room for the columns of %s: COLUMNS_MAX_MB is too small", year)
        self._refused[epoch, year] = months
        self._path(epoch, year).unlink(missing_ok=True)

    def _is_settled(self, directory: Directory, year: int, months: Months) -> bool:
        epoch = directory.version.epoch
        is_here = _is_current(self._held_of(epoch).get(year), months, directory)
        return is_here or self._refused.get((epoch, year)) == months

    def _held_of(self, epoch: str) -> Mapping[int, Segment]:
        return self._held[1] if self._held[0] == epoch else {}

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


def _mark_of(path: Path) -> Mark:
    """Tells a file from the one that takes its place."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


def _is_current(segment: Segment | None, months: Months, directory: Directory) -> bool:
    """Whether a segment shows these fresh months of its year, and no month that the directory does not know."""
    return segment is not None and segment.months.items() >= months.items() and _has_no_others(segment, directory)


def _has_no_others(segment: Segment, directory: Directory) -> bool:
    """Whether the directory knows all its months: rows of a month that is newer would count as a gap's."""
    return segment.months.keys() <= directory.months.keys()


def fresh_months(directory: Directory) -> dict[Period, int]:
    """The months that are not stale, each with a number that stands for its rows.

    It is the version that its page shows, and a checksum of what was counted then: a database that was restored from
    a backup, and changed since, may have had the same version with other rows before.
    """
    return {
        month: _checksum(directory.counts.get(month)) << VERSION_BITS | state.changed
        for month, state in directory.months.items()
        if not state.stale
    }


def _checksum(counts: Counts | None) -> int:
    packed = counts.packed if counts else {}
    return zlib.crc32(b"".join(packed[name] for name in sorted(packed)))


def _by_year(directory: Directory) -> list[tuple[int, dict[Period, int]]]:
    """The fresh months of each year, the newest first."""
    found: dict[int, dict[Period, int]] = {}
    for month, built in fresh_months(directory).items():
        found.setdefault(month.start.year, {})[month] = built
    return sorted(found.items(), reverse=True)
