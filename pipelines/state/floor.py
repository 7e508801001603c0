"""The newest data version that any process of a service has shown, so that none shows an older one afterwards."""

import fcntl
import mmap
import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.state.version import Version

_BYTES = 8
_NUMBER_BITS = 44


class Floor:
    """One number in a file that the processes of a service share; may be used by several threads.

    Eight bytes are read and written in one piece (`struct` would write zeros first), so reading needs no lock. A killed
    process leaves no lock behind: the kernel releases it.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Take the file; without one, it is this process's own."""
        self._file = path.open("a+b") if path else None
        if self._file and os.fstat(self._file.fileno()).st_size < _BYTES:
            self._file.truncate(_BYTES)
        self._word = memoryview(mmap.mmap(self._file.fileno() if self._file else -1, _BYTES)).cast("Q")
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the file; what was noted stays."""
        if self._file:
            self._file.close()

    def note(self, version: Version) -> None:
        """A process has seen this version."""
        word = _word(version)
        if self._word[0] == word:
            return
        with self._lock, self._locked():
            shown = self._word[0]
            if not _is_same_database(shown, word) or shown < word:
                self._word[0] = word

    def is_above(self, version: Version) -> bool:
        """Whether some process has seen a newer version of this database."""
        shown, word = self._word[0], _word(version)
        return shown > word and _is_same_database(shown, word)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if not self._file:
            yield
            return
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)


def _word(version: Version) -> int:
    """The version as a number: a mark of the database, then the version's own number."""
    mark = zlib.crc32(version.epoch.encode()) >> 12
    return mark << _NUMBER_BITS | version.number


def _is_same_database(one: int, other: int) -> bool:
    return one >> _NUMBER_BITS == other >> _NUMBER_BITS
