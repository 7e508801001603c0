"""The newest data version that any process of a service has shown, so that none shows an older one afterwards."""

import fcntl
import mmap
import threading
import zlib
from pathlib import Path
from struct import Struct

from pipelines.state.version import Version

_WORD = Struct("=Q")
_NUMBER_BITS = 44


class Floor:
    """One number in a file that the processes of a service share; may be used by several threads.

    Eight bytes are read and written in one piece, so reading needs no lock. A killed process leaves none behind either:
    the kernel releases it.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+b")
        if path.stat().st_size < _WORD.size:
            self._file.truncate(_WORD.size)
        self._memory = mmap.mmap(self._file.fileno(), _WORD.size)
        self._lock = threading.Lock()

    def note(self, version: Version) -> None:
        """A process has seen this version."""
        word = _word(version)
        if self._read() == word:
            return
        with self._lock:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                shown = self._read()
                if not _is_same_database(shown, word) or shown < word:
                    _WORD.pack_into(self._memory, 0, word)
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def is_above(self, version: Version) -> bool:
        """Whether some process has seen a newer version of this database."""
        shown, word = self._read(), _word(version)
        return shown > word and _is_same_database(shown, word)

    def _read(self) -> int:
        found: int
        (found,) = _WORD.unpack_from(self._memory)
        return found


def _word(version: Version) -> int:
    """The version as a number: a mark of the database, then the version's own number."""
    mark = zlib.crc32(version.epoch.encode()) >> 12
    return mark << _NUMBER_BITS | version.number


def _is_same_database(one: int, other: int) -> bool:
    return one >> _NUMBER_BITS == other >> _NUMBER_BITS
