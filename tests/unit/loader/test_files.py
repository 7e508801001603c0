"""The survey refuses a file that is invalid as a whole, saying where; the reader gives the same rows in any layout."""

import codecs
from pathlib import Path

import pytest

from catalog.errors import FileRefused
from catalog.purchases import PURCHASES
from loader.reading import files
from loader.reading.files import CHUNK_BYTES, LONGEST_LINE, read_chunks, survey

HEADER = ",".join(PURCHASES.header).encode()
ROW = b"1000,2018-01-01T00:04:00.000000,Female,39,Single,Oklahoma,Platinum,Unemployment,Card,0,1557.5"
OTHER = b"1001,2018-01-01T00:05:00.000000,Male,,Married,Texas,Basic,workers,PayPal,1,"


def without(column: str) -> bytes:
    """The header without a column."""
    return ",".join(name for name in PURCHASES.header if name != column).encode()


def refused(path: Path, content: bytes) -> FileRefused:
    """The survey's refusal of a file with this content."""
    path.write_bytes(content)
    with pytest.raises(FileRefused) as caught:
        survey(path)
    error = caught.value
    assert str(error).startswith(str(path))
    assert "\n" not in str(error)
    assert error.place in str(error)
    assert error.remedy, "each refusal says what to do"
    assert error.exit_code == 3
    return error


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of the test's file."""
    return tmp_path / "purchases.csv"


@pytest.mark.parametrize(
    ("content", "place", "problem"),
    [
        pytest.param(b"", "", "empty", id="empty"),
        pytest.param(b"\r\n\n  \n", "", "empty", id="only blank lines"),
        pytest.param(codecs.BOM_UTF8, "", "empty", id="only a byte order mark"),
        pytest.param(HEADER, "", "no row", id="header without a line end"),
        pytest.param(HEADER + b"\r\n", "", "no row", id="header only"),
        pytest.param(HEADER + b"\n\n\r\n", "", "no row", id="header and blank lines"),
        pytest.param(without("Age") + b"\n" + ROW, "line 1", "missing column Age", id="missing column"),
        pytest.param(HEADER + b",Age\n" + ROW, "line 1", "column Age appears 2 times", id="repeated column"),
        pytest.param(HEADER + b",Referal\n" + ROW, "line 1", "column Referral appears 2 times", id="both spellings"),
        pytest.param(HEADER + b",Shoe_size\n" + ROW, "line 1", "'Shoe_size'", id="unknown column"),
        pytest.param(
            HEADER.replace(b"Gender", b"Gendr") + b"\n" + ROW, "line 1", "did you mean Gender?", id="misspelt column"
        ),
        pytest.param(ROW + b"\n" + OTHER, "line 1", "'1000'", id="no header"),
        pytest.param(HEADER.replace(b",", b";") + b"\n" + ROW, "line 1", "semicolons", id="semicolons"),
        pytest.param(HEADER.replace(b",", b"\t") + b"\n" + ROW, "line 1", "tabs", id="tabs"),
        pytest.param(b"\n\n" + without("Age") + b"\n" + ROW, "line 3", "missing column Age", id="header on line 3"),
        pytest.param(HEADER.decode().encode("utf-16"), "byte 0", "UTF-16", id="UTF-16 little endian"),
        pytest.param(
            codecs.BOM_UTF16_BE + HEADER.decode().encode("utf-16-be"), "byte 0", "UTF-16", id="UTF-16 big endian"
        ),
        pytest.param(HEADER + b'\n"' + ROW + b"\n" + OTHER, "line 2", "never closed", id="unterminated quote"),
        pytest.param(
            HEADER + b"\n" + OTHER + b"\n" + ROW.replace(b"Female", b'"Female') + b"\n",
            "line 3", "never closed", id="unterminated quote, line 3",
        ),
        pytest.param(
            HEADER + b"\n" + ROW.replace(b"Female", b'"Fem"ale') + b"\n",
            "line 2", "follows a closing quote", id="text after a closing quote",
        ),
        pytest.param(
            HEADER.replace(b"Age", b'"Age') + b"\n" + ROW, "line 1", "quote", id="unterminated quote in the header"
        ),
    ],
)  # fmt: skip
def test_a_file_at_fault_is_refused_with_its_place(path: Path, content: bytes, place: str, problem: str) -> None:
    """Each fault of a whole file is refused in one line that names file, place and remedy."""
    error = refused(path, content)
    assert error.place == place
    assert problem in error.problem


@pytest.mark.parametrize(
    ("head", "broken", "at"),
    [
        pytest.param(HEADER + b"\n", b"\xff", 0, id="no UTF-8 byte"),
        pytest.param(HEADER + b"\n", b"Caf\xe9,", 3, id="Latin-1"),
        pytest.param(HEADER + b"\n", b"\xed\xa0\x80", 0, id="surrogate"),
        pytest.param(HEADER + b"\n", b"\xc3", 0, id="cut at the end of the file"),
        pytest.param(HEADER + b"\n" + b"x" * 200 + b"\n", b"\xc0\xaf", 0, id="over-long form"),
    ],
)
def test_what_is_not_utf8_is_refused_with_its_byte(path: Path, head: bytes, broken: bytes, at: int) -> None:
    """The byte that is not UTF-8 is named by its offset in the file."""
    error = refused(path, head + broken)
    assert error.place == f"byte {len(head) + at}"
    assert "not valid UTF-8" in error.problem


@pytest.mark.parametrize("shift", [-2, -1, 0, 1], ids=["before", "astride by one", "at", "after"])
def test_the_byte_is_right_about_the_border_of_a_block(path: Path, shift: int) -> None:
    """A broken sequence across two blocks is located by its first byte."""
    lines = HEADER + b"\n" + (b"x" * 99 + b"\n") * (CHUNK_BYTES // 100 + 1)
    at = CHUNK_BYTES + shift
    assert refused(path, lines[:at] + b"\xe2\x82x" + lines[at:]).place == f"byte {at}"


@pytest.mark.parametrize("shift", [-2, -1, 0], ids=["two bytes before", "one byte before", "at"])
def test_a_good_character_across_two_blocks_is_accepted(path: Path, shift: int) -> None:
    """A character whose bytes are in two blocks is valid."""
    lines = HEADER + b"\n" + (b"x" * 99 + b"\n") * (CHUNK_BYTES // 100 + 1)
    at = CHUNK_BYTES + shift
    path.write_bytes(lines[:at] + "€".encode() + lines[at:])
    assert survey(path).size == len(lines) + 3


@pytest.mark.parametrize(
    ("before", "length", "after"),
    [
        pytest.param(b"", 3 * LONGEST_LINE, b"", id="the only line"),
        pytest.param(HEADER + b"\n", LONGEST_LINE + 1, b"", id="the last line"),
        pytest.param(HEADER + b"\n", LONGEST_LINE + 1, b"\n" + ROW + b"\n", id="between others, in one block"),
        pytest.param(HEADER + b"\n" + (ROW + b"\n") * 20_000, LONGEST_LINE + 1, b"\n" + ROW, id="across two blocks"),
    ],
)
def test_an_over_long_line_is_refused(path: Path, before: bytes, length: int, after: bytes) -> None:
    """A line above the limit is refused anywhere in the file, and located by its first byte."""
    error = refused(path, before + b"x" * length + after)
    assert error.place == f"byte {len(before)}"
    assert "longer than" in error.problem


def test_a_line_at_the_limit_is_no_fault_of_the_file(path: Path) -> None:
    """A long line within the limit is a row for quarantine, not a reason to refuse the file."""
    path.write_bytes(HEADER + b"\n" + b"x" * LONGEST_LINE + b"\n" + ROW + b"\n")
    assert [line for chunk in read_chunks(survey(path)) for line in chunk.lines] == [2, 3]


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A path without a file is refused like an invalid file, without a traceback."""
    with pytest.raises(FileRefused, match="cannot be read"):
        survey(tmp_path / "absent.csv")
    with pytest.raises(FileRefused, match="cannot be read"):
        survey(tmp_path)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(HEADER.lower(), id="small letters"),
        pytest.param(HEADER.upper(), id="capitals"),
        pytest.param(HEADER.replace(b"Referral", b"Referal"), id="old spelling"),
        pytest.param(HEADER.replace(b",", b" , "), id="spaces around"),
        pytest.param(HEADER.replace(b"Age", b'"Age"'), id="quoted name"),
        pytest.param(codecs.BOM_UTF8 + HEADER, id="byte order mark"),
    ],
)
def test_a_header_is_known_in_each_spelling(path: Path, header: bytes) -> None:
    """Letter case, spaces, quotes and the old spelling do not matter."""
    path.write_bytes(header + b"\n" + ROW + b"\n")
    found = survey(path)
    assert found.header.names == PURCHASES.header
    assert found.header.positions == tuple(range(len(PURCHASES.header)))
    assert found.start == len(header) + 1


def test_a_reordered_header_says_where_each_column_stands(path: Path) -> None:
    """The positions are those of the file."""
    names = PURCHASES.header[::-1]
    path.write_bytes(",".join(names).encode() + b"\n" + b",".join(ROW.split(b",")[::-1]) + b"\n")
    assert survey(path).header.positions == tuple(range(len(PURCHASES.header) - 1, -1, -1))


def rows(path: Path, start: int | None = None, line: int | None = None) -> list[tuple[int, bytes]]:
    """Line and text of each record."""
    found = survey(path)
    return [pair for chunk in read_chunks(found, start, line) for pair in zip(chunk.lines, chunk.raw, strict=True)]


RECORDS = [
    ROW.replace(b"1000", str(1000 + number).encode()) if number % 3 else OTHER.replace(b"1001", str(number).encode())
    for number in range(60)
]


@pytest.mark.parametrize("chunk_rows", [1, 7, 20_000])
@pytest.mark.parametrize("chunk_bytes", [150, 1000, 1 << 20])
@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"], ids=["CRLF", "LF", "CR"])
@pytest.mark.parametrize("quote", [False, True], ids=["plain", "quoted"])
def test_chunks_of_any_size_hold_the_same_records_and_can_be_taken_up_anywhere(
    path: Path, monkeypatch: pytest.MonkeyPatch, chunk_rows: int, chunk_bytes: int, end: bytes, quote: bool
) -> None:
    """With any chunk size: each record once, in order, with its line; resuming at any chunk's end gives the rest."""
    monkeypatch.setattr(files, "CHUNK_ROWS", chunk_rows)
    monkeypatch.setattr(files, "CHUNK_BYTES", chunk_bytes)
    records = [b'"' + record.replace(b",", b'","') + b'"' for record in RECORDS] if quote else RECORDS
    path.write_bytes(HEADER + end + end.join(records) + end)
    expected = list(enumerate(records, 2))
    assert rows(path) == expected
    done = 0
    for chunk in read_chunks(survey(path)):
        assert len(chunk.lines) <= chunk_rows
        done += len(chunk.lines)
        assert rows(path, chunk.end, chunk.end_line) == expected[done:]


@pytest.mark.parametrize("quote", [False, True], ids=["plain", "quoted"])
def test_line_ends_may_be_mixed(path: Path, quote: bool) -> None:
    """All three line ends may occur in one file."""
    records = [record.replace(b"Single", b'"Single"') for record in RECORDS[:4]] if quote else RECORDS[:4]
    path.write_bytes(HEADER + b"\r\n" + records[0] + b"\n" + records[1] + b"\r" + records[2] + b"\r\n" + records[3])
    assert rows(path) == list(enumerate(records, 2))


def test_a_record_is_never_cut_where_line_ends_are_mixed(path: Path) -> None:
    """A header that ends in LF above rows that end in CR, longer than one chunk: every record stays whole."""
    row = ROW.replace(b"Oklahoma", b" " * 60 + b"Oklahoma")  # so that bytes, not rows, end the chunk
    path.write_bytes(HEADER + b"\n" + (row + b"\r") * (2 * CHUNK_BYTES // len(row)))
    assert {record for _, record in rows(path)} == {row}


def test_the_fingerprint_is_of_the_bytes(path: Path) -> None:
    """Two files have the same fingerprint exactly if their bytes are equal."""
    path.write_bytes(HEADER + b"\n" + ROW + b"\n")
    first = survey(path)
    path.write_bytes(HEADER + b"\r\n" + ROW + b"\r\n")
    assert survey(path).sha256 != first.sha256
    path.write_bytes(HEADER + b"\n" + ROW + b"\n")
    assert survey(path) == first
