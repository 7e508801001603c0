"""Cleaning: the fast path agrees with the exact path, and the layout of a file does not matter."""

import codecs
import csv
import io
from collections import Counter, namedtuple
from dataclasses import replace
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from catalog.dimensions import day_number
from catalog.purchases import PURCHASES
from loader.reading.clean import NULL, Clean, Cleaner
from loader.reading.files import Chunk, read_chunks, survey
from loader.reading.header import Header

VOCABULARY = PURCHASES.vocabulary
Record = namedtuple("Record", [column.name for column in PURCHASES.columns])
LATEST = day_number(date(2026, 1, 2))
IN_ORDER = Header(PURCHASES.header, tuple(range(len(PURCHASES.header))))
GOOD = ("1000", "2018-01-01T00:04:00.000000", "Female", "39", "Single", "Oklahoma",
        "Platinum", "Unemployment", "Card", "0", "1557.5")  # fmt: skip

PLAUSIBLE = {
    "Transaction_ID": ["1", "007", " 1000 ", "123456789012345678", "1234567890123456789", "9223372036854775807"],
    "Transaction_date": [
        "2018-01-01T00:04:00.000000", "2025-01-30T23:59:00", "2018-01-01", "1/31/2018", "2018-01-01 00:04",
        "2018-01-01T00:04:00.123", "2018-01-01T00:04:00.123000", "2018-01-01T00:04:00Z", "1970-01-01T00:00:00",
        "2026-01-02T23:59:59.999", "2024-02-29T12:00:00", " 2018-01-01T00:04:00 ", "2018-06-01T00:04:00+05:30",
    ],
    "Gender": ["", "Female", "male", "MALE "],
    "Age": ["", "39", "0", "120", "27.0", " 18"],
    "Marital_status": ["", "Single", "married"],
    "State_names": ["", "Oklahoma", "north carolina", " Texas "],
    "Segment": ["", "Missing", "basic", "Platinum"],
    "Employees_status": ["", "Employees", "workers", "SELF-EMPLOYED"],
    "Payment_method": ["", "Card", "paypal", "Other"],
    "Referral": ["", "0", "1", "1.0"],
    "Amount_spent": ["", "0", "1557.5", "1.50", "27.0", " 5 ", "0.29", "1.15", "99999999.99", "100000000.01",
                     "1000000000", "4.350", "2051.36", "8.70"],
}  # fmt: skip
IMPOSSIBLE = {
    "Transaction_ID": ["", "-1", "1.0", "1e3", "9223372036854775808", "\uff11", "1_0"],
    "Transaction_date": [
        "", "2024-02-30T00:00:00", "2023-02-29", "1969-12-31T23:59:59", "2026-01-03T00:00:00", "2018-01-01T24:00:00",
        "2018-01-01T23:59:60", "2018-13-01T00:00:00", "0000-01-01T00:00:00", "9999-12-31T00:00:00", "20180101",
        "2018-01-01T00:04:00.000001", "2018-01-01T00:04:00.0000000", "31/1/2018", "NaT", "now",
    ],
    "Gender": ["Unknow", "F", "NA", "\u202eFemale"],
    "Age": ["-1", "121", "27.5", "NaN", "9" * 40, "1e1"],
    "Marital_status": ["Divorced", "null"],
    "State_names": ["Texs", "Te\x00xas", "x" * 201, "Te\x7fxas"],
    "Segment": ["Bronze", "nan"],
    "Employees_status": ["Retired", "None"],
    "Payment_method": ["Cash", "Pay\u200bPal"],
    "Referral": ["2", "yes", "\u0661"],
    "Amount_spent": ["NaN", "Infinity", "1e3", "1_000", "+5", "5.", "$5", "(5.00)", "0x10", "-1", "1.555",
                     "1000000000.01", "\uff15", "99999999999999999999"],
}  # fmt: skip


def text(fields: tuple[str, ...]) -> bytes:
    """A row as a line of the file."""
    return ",".join(fields).encode()


mostly_good = [[*PLAUSIBLE[column] * 20, *IMPOSSIBLE[column]] for column in PURCHASES.header]
anything = st.text(st.characters(exclude_characters='\r\n"', exclude_categories=["Cs"]), max_size=8)


def spoil(row: tuple[str, ...], at: int, field: str) -> tuple[str, ...]:
    """The row with another text in one field."""
    return (*row[:at], field, *row[at + 1 :])


a_row = st.tuples(*map(st.sampled_from, mostly_good)).map(text)
a_spoilt_row = st.builds(spoil, st.just(GOOD), st.integers(0, len(PURCHASES.header) - 1), anything).map(text)
a_torn_row = st.text(st.sampled_from("1,a. \ufeff"), min_size=1, max_size=14).map(str.encode)
some_rows = st.lists(st.one_of(a_row, a_row, a_row, a_spoilt_row, a_torn_row), min_size=1, max_size=10)
amounts = [text((*GOOD[:-1], f"{cents // 100}.{cents % 100:02}")) for cents in range(0, 10**10, 10**10 // 997)]
seconds = [text((GOOD[0], f"20{year:02}-{month:02}-{day:02}T{hour:02}:59:59", *GOOD[2:]))
           for year, month, day, hour in zip(range(100), [1, 2, 3, 12] * 25, [28, 29, 30, 31] * 25, [0, 23] * 50,
                                             strict=True)]  # fmt: skip


@given(some_rows)
@example([text((f"\ufeff{GOOD[0]}", *GOOD[1:]))])
@example([text(("#1", *GOOD[1:])), text(GOOD)])
@example([text((GOOD[0], "2018-01-01", *GOOD[2:])), text((GOOD[0], "1/1/2018", *GOOD[2:]))])
@example(amounts)
@example(seconds)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_fast_path_says_what_the_exact_path_says(rows: list[bytes]) -> None:
    """For any rows, reading all at once gives the same values and refusals as reading each exactly."""
    lines = [10 * number for number in range(len(rows))]
    split = [row.decode().split(",") for row in rows]
    plain = Chunk(lines, rows, None, 0, 0)
    fast = Cleaner(IN_ORDER, VOCABULARY, ZoneInfo("America/New_York"), LATEST).clean(plain)
    cleaner = Cleaner(IN_ORDER, VOCABULARY, ZoneInfo("America/New_York"), LATEST)
    exact = cleaner.clean(replace(plain, fields=split))

    assert fast.refused == exact.refused
    assert fast.lines.tolist() == exact.lines.tolist()
    assert fast.raw == exact.raw == [rows[line // 10] for line in fast.lines.tolist()]
    kept = records(fast)
    assert kept == records(exact) == [Record(*cleaner.clean_record(split[line // 10])) for line in fast.lines.tolist()]
    assert len(rows) == len(kept) + len(fast.refused)
    for refused in fast.refused:
        with pytest.raises(Exception, match=r"\w"):
            cleaner.clean_record(split[refused.line // 10])


def records(clean: Clean) -> list[Record]:
    """The clean rows as records."""
    return [Record(*row) for row in zip(*(clean.columns[name].tolist() for name in Record._fields), strict=True)]


def clean_text(rows: list[tuple[str, ...]]) -> Clean:
    """The rows cleaned at once."""
    chunk = Chunk(list(range(2, 2 + len(rows))), [text(row) for row in rows], None, 0, 0)
    return Cleaner(IN_ORDER, VOCABULARY, ZoneInfo("UTC"), LATEST).clean(chunk)


@pytest.mark.parametrize(
    ("column", "value"), [pytest.param(c, v, id=f"{c} {v[:20]!a}") for c, values in PLAUSIBLE.items() for v in values]
)
def test_a_plausible_field_keeps_its_row(column: str, value: str) -> None:
    """Missing is data, and each accepted form is read."""
    row = tuple(value if name == column else field for name, field in zip(PURCHASES.header, GOOD, strict=True))
    assert len(clean_text([row]).lines) == 1


@pytest.mark.parametrize(
    ("column", "value"), [pytest.param(c, v, id=f"{c} {v[:20]!a}") for c, values in IMPOSSIBLE.items() for v in values]
)
def test_an_impossible_field_refuses_its_row_and_no_other(column: str, value: str) -> None:
    """Malformed is an error: the row is refused with its column and its text, and its neighbours are kept."""
    row = tuple(value if name == column else field for name, field in zip(PURCHASES.header, GOOD, strict=True))
    clean = clean_text([GOOD, row, GOOD])
    assert clean.lines.tolist() == [2, 4]
    (refused,) = clean.refused
    assert (refused.line, refused.column, refused.value, refused.raw) == (3, column, value, text(row).decode())
    assert refused.reason
    assert refused.message


@pytest.mark.parametrize(
    ("row", "said"),
    [((*GOOD, ""), "12 fields, expected"), (GOOD[:-1], "10 fields, expected"), (("x",), "1 fields, expected")],
)
def test_a_row_with_another_number_of_fields_is_refused(row: tuple[str, ...], said: str) -> None:
    """A row that is too long or too short is neither padded nor cut."""
    clean = clean_text([GOOD, row])
    assert clean.lines.tolist() == [2]
    assert clean.refused[0].reason == "field_count"
    assert said in clean.refused[0].message


def test_a_row_is_read_to_its_codes() -> None:
    """The values of one row, by hand."""
    clean = clean_text([GOOD, ("7", "1/31/2018", *[""] * 9)])
    states, segments = VOCABULARY["state"], VOCABULARY["segment"]
    statuses, methods = VOCABULARY["employment_status"], VOCABULARY["payment_method"]
    assert records(clean) == [
        Record(1000, 1514765040000, 1, 39, 2, states.index("Oklahoma"), segments.index("Platinum"),
               statuses.index("Unemployment"), methods.index("Card"), 1, 155750),
        Record(7, 1517356800000, 0, NULL, 0, 0, 0, 0, 0, 0, NULL),
    ]  # fmt: skip
    assert clean.day.tolist() == [day_number(date(2018, 1, 1)), day_number(date(2018, 1, 31))]
    assert clean.hour.tolist() == [0, 0]
    assert clean.missing() == dict.fromkeys(PURCHASES.header[2:], 1)


def test_many_refused_rows_take_nothing_from_the_others() -> None:
    """Rows read are rows kept plus rows refused, and each reason is counted."""
    bad = (*GOOD[:-1], "NaN")
    clean = clean_text([GOOD, bad] * 500)
    assert len(clean.lines) == len(clean.raw) == len(clean.refused) == 500
    assert Counter(refused.reason for refused in clean.refused) == {"amount_malformed": 500}
    assert all(len(column) == 500 for column in clean.columns.values())


TABLE = [
    GOOD,
    ("1001", "2018-01-01T00:05:00.000000", "", "", "Married", "North Carolina", "Missing", "workers", "PayPal", "", ""),
    ("1002", "2024-02-30T00:00:00", *GOOD[2:]),
    ("1003", "1/31/2018", *GOOD[2:-1], "27.0"),
    ("1004", *GOOD[1:4], "Single", "Texs", *GOOD[6:]),
    ("1005", *GOOD[1:]),
]


def layout(
    rows: list[tuple[str, ...]], end: str = "\r\n", *, blank: str = "", quote: bool = False, final: bool = True,
    order: tuple[int, ...] = tuple(range(len(PURCHASES.header))),
) -> bytes:  # fmt: skip
    """The rows as a file; with `blank`, a blank line after each."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=end + blank, quoting=csv.QUOTE_ALL if quote else csv.QUOTE_MINIMAL)
    writer.writerows([[row[at] for at in order] for row in [PURCHASES.header, *rows]])
    content = out.getvalue()
    return (content if final else content.removesuffix(end + blank)).encode()


def read(path: Path, content: bytes) -> tuple[list[tuple[int, Record]], list[tuple[int, str, str, str]]]:
    """The clean and refused rows of a file with this content, each with its line."""
    path.write_bytes(content)
    found = survey(path)
    cleaner = Cleaner(found.header, VOCABULARY, ZoneInfo("UTC"), LATEST)
    cleaned = [cleaner.clean(chunk) for chunk in read_chunks(found)]
    kept = [pair for each in cleaned for pair in zip(each.lines.tolist(), records(each), strict=True)]
    return kept, [(r.line, r.column, r.value, r.reason) for each in cleaned for r in each.refused]


@pytest.mark.parametrize(
    ("content", "step"),
    [
        pytest.param(layout(TABLE, "\r\n"), 1, id="CRLF"),
        pytest.param(layout(TABLE, "\n"), 1, id="LF"),
        pytest.param(layout(TABLE, "\r"), 1, id="CR"),
        pytest.param(layout(TABLE, "\r\n", final=False), 1, id="CRLF, no final line end"),
        pytest.param(layout(TABLE, "\n", final=False), 1, id="LF, no final line end"),
        pytest.param(layout(TABLE, "\r", final=False), 1, id="CR, no final line end"),
        pytest.param(codecs.BOM_UTF8 + layout(TABLE), 1, id="byte order mark"),
        pytest.param(codecs.BOM_UTF8 + layout(TABLE, "\n", quote=True), 1, id="byte order mark and quotes"),
        pytest.param(layout(TABLE, "\r\n", blank="\r\n"), 2, id="blank lines, CRLF"),
        pytest.param(layout(TABLE, "\n", blank="\n"), 2, id="blank lines, LF"),
        pytest.param(layout(TABLE, "\r", blank="\r"), 2, id="blank lines, CR"),
        pytest.param(layout(TABLE, "\n", blank="\n", quote=True), 2, id="blank lines and quotes"),
        pytest.param(layout(TABLE, order=tuple(range(10, -1, -1))), 1, id="columns reversed"),
        pytest.param(layout(TABLE, order=(1, 0, *range(2, 11))), 1, id="the date first"),
        pytest.param(layout(TABLE, order=(1, 0, *range(2, 11)), quote=True), 1, id="the date first, quoted"),
        pytest.param(layout(TABLE, "\r\n", quote=True), 1, id="all quoted, CRLF"),
        pytest.param(layout(TABLE, "\n", quote=True), 1, id="all quoted, LF"),
        pytest.param(layout(TABLE, "\r", quote=True), 1, id="all quoted, CR"),
        pytest.param(layout(TABLE, quote=True, final=False), 1, id="all quoted, no final line end"),
        pytest.param(layout(TABLE).replace(b"Single", b'"Single"', 1), 1, id="one quoted field"),
    ],
)
def test_the_layout_of_a_file_does_not_change_its_rows(tmp_path: Path, content: bytes, step: int) -> None:
    """Line ends, a byte order mark, blank lines, column order and quotes do not change rows and refusals."""
    kept, refused = read(tmp_path / "purchases.csv", content)
    exact = Cleaner(IN_ORDER, VOCABULARY, ZoneInfo("UTC"), LATEST)
    line = [1 + step * number for number in range(1, len(TABLE) + 1)]
    assert kept == [(line[row], Record(*exact.clean_record(list(TABLE[row])))) for row in (0, 1, 3, 5)]
    assert refused == [
        (line[2], "Transaction_date", "2024-02-30T00:00:00", "date_impossible"),
        (line[4], "State_names", "Texs", "state_unknown"),
    ]


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"], ids=["CRLF", "LF", "CR"])
def test_quoted_commas_and_line_ends_stay_in_their_field(tmp_path: Path, end: str) -> None:
    """A quoted comma, quote or line end belongs to its field, and later lines are still numbered correctly."""
    rows = [
        GOOD,
        (*GOOD[:5], "Carolina, North", *GOOD[6:]),
        (*GOOD[:5], f"North{end}Caro{end}lina", *GOOD[6:]),
        (*GOOD[:5], 'North "C" Carolina', *GOOD[6:]),
        ("1001", *GOOD[1:]),
    ]
    kept, refused = read(tmp_path / "purchases.csv", layout(rows, end))
    assert [(line, record.transaction_id) for line, record in kept] == [(2, 1000), (8, 1001)]
    assert refused == [
        (3, "State_names", "Carolina, North", "state_unknown"),
        (4, "State_names", f"North{end}Caro{end}lina", "hidden_character"),
        (7, "State_names", 'North "C" Carolina', "state_unknown"),
    ]


def test_a_byte_order_mark_within_the_file_is_a_hidden_character(tmp_path: Path) -> None:
    """Joining two files leaves a mark before a row: that row is refused on both paths."""
    rows = layout([GOOD, ("1001", *GOOD[1:])]).splitlines(keepends=True)
    for content in (rows[0] + codecs.BOM_UTF8 + rows[1] + rows[2], rows[0] + rows[1] + codecs.BOM_UTF8 + rows[2]):
        kept, refused = read(tmp_path / "purchases.csv", content)
        assert len(kept) == 1
        assert [(column, reason) for _, column, _, reason in refused] == [("Transaction_ID", "hidden_character")]
