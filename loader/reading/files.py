"""Check a whole file before anything is written, then read it in chunks of complete records.

The survey refuses a file that is invalid as a whole, so that nothing is written. Faults of a single row are
found later, and the row goes to quarantine.
"""

import codecs
import csv
import gzip
import hashlib
import io
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from catalog.errors import FileRefused
from loader.reading.header import Header, read_header

CHUNK_BYTES = 2 << 20
CHUNK_ROWS = 20_000
"""Two documents of each row stay well below what one transaction can hold (30 MB passed, 40 MB did not)."""

LONGEST_LINE = 1 << 20
_GZIP = b"\x1f\x8b"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_ZIP = b"PK\x03\x04"
csv.field_size_limit(LONGEST_LINE)


@dataclass(frozen=True)
class Survey:
    """The result of the first pass over a file.

    Attributes:
        path: the file.
        sha256: of its (uncompressed) content.
        size: the number of bytes of its content.
        header: the position of each column.
        start: the byte at which the first record after the header begins.
        start_line: that record's line, from 1.
    """

    path: Path
    sha256: str
    size: int
    header: Header
    start: int
    start_line: int


@dataclass(frozen=True)
class Chunk:
    """Some complete records of a file.

    Attributes:
        lines: the number of each record's first line.
        raw: each record's text without its line end.
        fields: each record's fields if there are quotes; None if splitting at commas is enough.
        end: the byte after the chunk.
        end_line: the line after the chunk.
    """

    lines: list[int]
    raw: list[bytes]
    fields: list[list[str]] | None
    end: int
    end_line: int


def survey(path: Path) -> Survey:
    """Check the whole file: encoding, quotes and header.

    Raises:
        FileRefused: it cannot be loaded at all; the message says where, and what to do.
    """
    digest = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8")()
    size = unended = 0
    head = b""
    quoted = False
    with _refusing(path), open_content(path) as file:
        while block := file.read(CHUNK_BYTES):
            if not size:
                _check_text(path, block)
            digest.update(block)
            _check_utf8(path, decoder, block, size)
            unended = _check_line_length(path, block, unended, size)
            quoted = quoted or b'"' in block
            head = head or block
            size += len(block)
    _check_utf8(path, decoder, b"", size, final=True)
    if not head.removeprefix(codecs.BOM_UTF8).strip():
        raise FileRefused(str(path), "", "the file is empty", "Give a CSV with a header and rows")
    start, start_line, header = _header(path, head)
    if quoted:
        _check_quotes(path)
    found = Survey(path, digest.hexdigest(), size, header, start, start_line)
    if next(read_chunks(found), None) is None:
        raise FileRefused(str(path), "", "the file has a header but no rows", "Give a CSV with rows")
    return found


def open_content(path: Path) -> BinaryIO:
    """The file's bytes, decompressed if it is a gzip file, whatever its name."""
    with path.open("rb") as file:
        magic = file.read(len(_GZIP))
    return cast(BinaryIO, gzip.open(path)) if magic == _GZIP else path.open("rb")


def read_chunks(found: Survey, start: int | None = None, start_line: int | None = None) -> Iterator[Chunk]:
    """The file's records from byte `start` on (by default from the first), in order. Blank lines are skipped."""
    position = found.start if start is None else start
    line = found.start_line if start_line is None else start_line
    with open_content(found.path) as file:
        file.seek(position)
        lines = _Lines(file)
        while block := lines.peek():
            read = _read_quoted if b'"' in block else _read_plain
            chunk = read(lines, len(block), position, line)
            position, line = chunk.end, chunk.end_line
            if chunk.lines:
                yield chunk


class _Lines:
    """A file line by line, with lookahead. A line ends with LF, CRLF or CR."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._ahead = b""
        self._ended = False
        self._queue: deque[bytes] = deque()

    def peek(self) -> bytes:
        """The next whole lines, about CHUNK_BYTES and at least one; empty at the end."""
        if self._queue:
            self._ahead = b"".join(self._queue) + self._ahead
            self._queue.clear()
        while not self._ended:
            if len(self._ahead) >= CHUNK_BYTES:
                end = max(self._ahead.rfind(b"\n"), self._ahead.rfind(b"\r", 0, len(self._ahead) - 1)) + 1
                if end:
                    return self._ahead[:end]
            self._fill()
        return self._ahead

    def take(self, length: int) -> bytes:
        """Consume bytes that were peeked at."""
        taken, self._ahead = self._ahead[:length], self._ahead[length:]
        return taken

    def give_back(self, block: bytes) -> None:
        """Return bytes that were taken and not used."""
        self._ahead = block + self._ahead

    def line(self) -> bytes:
        """The next line with its end; empty at the end of the file."""
        if not self._queue:
            block = self.take(len(self.peek()))
            self._queue.extend(block.splitlines(keepends=True))
        return self._queue.popleft() if self._queue else b""

    def _fill(self) -> None:
        block = self._file.read(CHUNK_BYTES)
        self._ahead += block
        self._ended = not block


def _read_plain(source: _Lines, length: int, position: int, line: int) -> Chunk:
    """Records without quotes: a line each."""
    block = source.take(length)
    raw = block.splitlines()
    if len(raw) > CHUNK_ROWS:
        kept = b"".join(block.splitlines(keepends=True)[:CHUNK_ROWS])
        source.give_back(block[len(kept) :])
        block, raw = kept, raw[:CHUNK_ROWS]
    end, end_line = position + len(block), line + len(raw)
    lines = list(range(line, end_line))
    if b"" in raw:
        lines = [number for number, text in zip(lines, raw, strict=True) if text]
        raw = [text for text in raw if text]
    return Chunk(lines, raw, None, end, end_line)


def _read_quoted(source: _Lines, length: int, position: int, line: int) -> Chunk:
    """Records with quotes, read with the csv module, until `length` bytes are used and a record has ended."""
    taken: list[bytes] = []
    used = before = 0
    lines: list[int] = []
    raw: list[bytes] = []
    fields: list[list[str]] = []

    def feed() -> Iterator[str]:
        nonlocal used
        while text := source.line():
            taken.append(text)
            used += len(text)
            yield text.decode("utf-8")

    for record in csv.reader(feed(), strict=True):
        if record:
            lines.append(line + before)
            raw.append(b"".join(taken[before:]).rstrip(b"\r\n"))
            fields.append(record)
        before = len(taken)
        if used >= length or len(lines) >= CHUNK_ROWS:
            break
    return Chunk(lines, raw, fields, position + used, line + before)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Refuse a file that cannot be read completely."""
    try:
        yield
    except (gzip.BadGzipFile, zlib.error) as error:
        raise FileRefused(str(path), "", f"the gzip data are corrupt ({error})", "Compress the file again") from error
    except EOFError as error:
        raise FileRefused(str(path), "", "the gzip data are truncated", "Copy the whole file again") from error
    except OSError as error:
        problem = f"cannot be read ({error.strerror or error})"
        raise FileRefused(str(path), "", problem, "Check the path and its permissions") from error


def _check_text(path: Path, block: bytes) -> None:
    """Refuse files that are not text by their first bytes: most are not UTF-8 either, but this message says more."""
    if block.startswith(_ZIP):
        remedy = "Extract it, or save the sheet as CSV"
        raise FileRefused(str(path), "byte 0", "the file is a ZIP archive, perhaps an Excel workbook", remedy)
    if block.startswith(_UTF16):
        raise FileRefused(str(path), "byte 0", "the file is encoded in UTF-16", "Save it as UTF-8")
    nul = block.find(b"\0", 0, 100)  # this early it is in the header, which is longer
    if nul >= 0:
        raise FileRefused(
            str(path), f"byte {nul}", "the file is encoded in UTF-16, or is not a text file", "Save it as CSV in UTF-8"
        )


def _check_utf8(
    path: Path, decoder: codecs.IncrementalDecoder, block: bytes, offset: int, *, final: bool = False
) -> None:
    pending = len(decoder.getstate()[0])
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError as error:
        byte = offset - pending + error.start
        raise FileRefused(str(path), f"byte {byte}", "the file is not valid UTF-8", "Save it as UTF-8") from error


def _check_line_length(path: Path, block: bytes, unended: int, size: int) -> int:
    """Refuse an overlong line; returns the number of bytes of the block's last line so far."""
    lengths = [len(line) for line in block.splitlines()]
    lengths[0] += unended
    if max(lengths) > LONGEST_LINE:
        at = size - unended + sum(map(len, block.splitlines(keepends=True)[: lengths.index(max(lengths))]))
        at += unended if lengths.index(max(lengths)) else 0
        problem = f"a line is longer than {LONGEST_LINE:,} bytes"
        raise FileRefused(str(path), f"byte {at}", problem, "Check that the file is a CSV")
    return 0 if block.endswith((b"\n", b"\r")) else lengths[-1]


def _check_quotes(path: Path) -> None:
    with open_content(path) as content, io.TextIOWrapper(content, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        begin = 1
        try:
            for record in reader:
                if reader.line_num > begin and sum(map(len, record)) > LONGEST_LINE:
                    problem = f"a record is longer than {LONGEST_LINE:,} characters"
                    raise FileRefused(str(path), f"line {begin}", problem, "Look for a quote that is not closed")
                begin = reader.line_num + 1
        except csv.Error as error:
            is_open = "end of data" in str(error) or "limit" in str(error)
            problem = "a quote is never closed" if is_open else "text follows a closing quote"
            remedy = "Double every quote inside a quoted field, and close every quoted field"
            raise FileRefused(str(path), f"line {begin}", problem, remedy) from error


def _header(path: Path, head: bytes) -> tuple[int, int, Header]:
    """Skip blank lines to the header; returns the byte and the line that follow it, and the header."""
    start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    for number, text in enumerate(head[start:].splitlines(keepends=True), 1):
        start += len(text)
        if text.strip():
            said = text.rstrip(b"\r\n").decode("utf-8", "replace")
            return start, number + 1, read_header(str(path), number, said)
    raise FileRefused(str(path), "line 1", "the header is missing", "Start the file with the column names")
