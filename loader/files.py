"""Look at a whole file before anything is written, then read it in chunks of whole records.

The survey refuses what is wrong with the file as such: then nothing has been written. What is wrong with
a single row is found later and goes to quarantine.
"""

import codecs
import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import FileRefused
from loader.header import Header, read_header

CHUNK_BYTES = 2 << 20
CHUNK_ROWS = 20_000
"""Two documents of each row stay well below what one transaction can hold (30 MB passed, 40 MB did not)."""

LONGEST_LINE = 1 << 20
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
csv.field_size_limit(LONGEST_LINE)


@dataclass(frozen=True)
class Survey:
    """What the first pass over a file found.

    Attributes:
        path: the file.
        sha256: of its bytes.
        size: how many bytes.
        header: where each column stands.
        start: the byte at which the first record after the header begins.
        start_line: that record's line, from 1.
        newline: what ends a line; `\\r` only in files that have no `\\n` at all.
    """

    path: Path
    sha256: str
    size: int
    header: Header
    start: int
    start_line: int
    newline: bytes


@dataclass(frozen=True)
class Chunk:
    """Some whole records of a file.

    Attributes:
        lines: the number of each record's first line.
        raw: each record's text without its line end.
        fields: each record's fields where quotes had to be undone; None where a plain split at commas does.
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
        FileRefused: it cannot be loaded at all; says where and what to do.
    """
    digest = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8")()
    size = 0
    head = b""
    quoted = newline = False
    unended = 0
    try:
        with path.open("rb") as file:
            while block := file.read(CHUNK_BYTES):
                if not size and block.startswith(_UTF16):
                    raise FileRefused(str(path), "byte 0", "this is UTF-16", "Save it as UTF-8")
                digest.update(block)
                _check_utf8(path, decoder, block, size)
                quoted = quoted or b'"' in block
                newline = newline or b"\n" in block
                head = head or block
                size += len(block)
                unended = _check_line_length(path, block, unended, size)
    except OSError as error:
        raise FileRefused(
            str(path), "", f"cannot be read ({error.strerror})", "Check the path and its rights"
        ) from error
    _check_utf8(path, decoder, b"", size, final=True)
    if not head.removeprefix(codecs.BOM_UTF8).strip():
        raise FileRefused(str(path), "", "the file is empty", "Give a CSV with a header and rows")
    ending = b"\n" if newline else b"\r"
    start, start_line, header = _header(path, head, ending)
    if quoted:
        _check_quotes(path)
    found = Survey(path, digest.hexdigest(), size, header, start, start_line, ending)
    if next(read_chunks(found), None) is None:
        raise FileRefused(str(path), "", "there is a header but no row", "Give a CSV with rows")
    return found


def read_chunks(found: Survey, start: int | None = None, start_line: int | None = None) -> Iterator[Chunk]:
    """The file's records from byte `start` on (by default from the first), in order. Blank lines are passed over."""
    position = found.start if start is None else start
    line = found.start_line if start_line is None else start_line
    with found.path.open("rb") as file:
        while position < found.size:
            file.seek(position)
            block = file.read(CHUNK_BYTES)
            if position + len(block) < found.size:
                block = _cut(block, found.newline)
            if b'"' in block:
                file.seek(position)
                chunk = _read_quoted(file, position, line, len(block), found.newline)
            else:
                chunk = _read_plain(block, position, line)
            position, line = chunk.end, chunk.end_line
            if chunk.lines:
                yield chunk


def _cut(block: bytes, newline: bytes) -> bytes:
    """The block up to its last line end, and to CHUNK_ROWS lines at the most."""
    end = block.rfind(newline) + 1
    return block[:end] if end else block


def _read_plain(block: bytes, position: int, line: int) -> Chunk:
    """Records without quotes: a line each."""
    raw = block.split(b"\n") if b"\n" in block or b"\r" not in block else block.split(b"\r")
    if b"\r" in block and b"\n" in block:
        raw = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    end = position + len(block)
    if raw[-1] == b"":
        raw.pop()
    if len(raw) > CHUNK_ROWS:
        return _first_rows(block, position, line)
    lines = list(range(line, line + len(raw)))
    end_line = line + len(raw)
    if b"" in raw:
        kept = [(number, text) for number, text in zip(lines, raw, strict=True) if text]
        lines, raw = [number for number, _ in kept], [text for _, text in kept]
    return Chunk(lines, raw, None, end, end_line)


def _first_rows(block: bytes, position: int, line: int) -> Chunk:
    """The first CHUNK_ROWS lines of a block of very short lines."""
    kept = b"".join(block.splitlines(keepends=True)[:CHUNK_ROWS])
    return _read_plain(kept, position, line)


def _read_quoted(file: io.BufferedReader, position: int, line: int, length: int, newline: bytes) -> Chunk:
    """Records with quotes, through the csv module, from `position` until `length` bytes are used up."""
    taken: list[bytes] = []
    used = 0

    def feed() -> Iterator[str]:
        nonlocal used
        for text in _lines(file, newline):
            taken.append(text)
            used += len(text)
            yield text.decode("utf-8")

    lines: list[int] = []
    raw: list[bytes] = []
    fields: list[list[str]] = []
    before = 0
    for record in csv.reader(feed(), strict=True):
        if record:
            lines.append(line + before)
            raw.append(b"".join(taken[before:]).rstrip(b"\r\n"))
            fields.append(record)
        before = len(taken)
        if used >= length or len(lines) >= CHUNK_ROWS:
            break
    return Chunk(lines, raw, fields, position + used, line + before)


def _lines(file: io.BufferedReader, newline: bytes) -> Iterator[bytes]:
    if newline == b"\n":
        yield from file
        return
    rest = b""
    while block := file.read(CHUNK_BYTES):
        *whole, rest = (rest + block).split(newline)
        for line in whole:
            yield line + newline
    if rest:
        yield rest


def _check_utf8(
    path: Path, decoder: codecs.IncrementalDecoder, block: bytes, offset: int, *, final: bool = False
) -> None:
    pending = len(decoder.getstate()[0])
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError as error:
        byte = offset - pending + error.start
        raise FileRefused(str(path), f"byte {byte}", "this is not UTF-8", "Save the file as UTF-8") from error


def _check_line_length(path: Path, block: bytes, unended: int, size: int) -> int:
    """How many bytes the block's last line has so far."""
    first = min((at for at in (block.find(b"\n"), block.find(b"\r")) if at >= 0), default=len(block))
    if unended + first > LONGEST_LINE:
        place = f"byte {size - len(block) - unended}"
        raise FileRefused(str(path), place, f"a line is longer than {LONGEST_LINE:,} bytes", "Check that this is a CSV")
    last = max(block.rfind(b"\n"), block.rfind(b"\r"))
    return unended + len(block) if last < 0 else len(block) - last - 1


def _check_quotes(path: Path) -> None:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        begin = 1
        try:
            for _ in reader:
                begin = reader.line_num + 1
        except csv.Error as error:
            problem = (
                "a quote is never closed"
                if "end of data" in str(error) or "limit" in str(error)
                else ("text follows a closing quote")
            )
            raise FileRefused(
                str(path), f"line {begin}", problem, "Write a quote within a field as two quotes, and close each field"
            ) from error


def _header(path: Path, head: bytes, newline: bytes) -> tuple[int, int, Header]:
    """Skip blank lines to the header: the byte and the line that follow it, and what it says."""
    start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    for number, text in enumerate(head[start:].split(newline), 1):
        start += len(text) + len(newline)
        if text.strip():
            return start, number + 1, read_header(str(path), number, text.decode("utf-8", "replace"))
    raise FileRefused(str(path), "line 1", "there is no header", "Begin the file with the column names")
