"""The corpus: malformed and odd files, each with its expected result, in one table.

A file is the base with one change. The base has three valid rows, ids 1 to 3 on lines 2 to 4; a changed field is one
of the row with id 2, on line 3, so each case also shows that its neighbours are not affected.
"""

import codecs
import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.support.malformed.reader import COLUMNS, Row

TODAY = datetime.now(UTC).date()
TOMORROW, DAY_AFTER = TODAY + timedelta(days=1), TODAY + timedelta(days=2)
ZONE = "America/New_York"
"""The store's time zone while the corpus is read: not UTC, so that a missing conversion shows."""

HEADER = ",".join(COLUMNS)
REST = ("Female", "39", "Single", "Oklahoma", "Platinum", "Unemployment", "Card", "0", "1557.5")
FIRST, SECOND, THIRD = (",".join((str(number), f"2018-01-01T0{number}:04:00.000000", *REST)) for number in (1, 2, 3))
MORNING = datetime.fromisoformat("2018-01-01T00:04")
ROWS = {
    1 + number: Row(
        number, MORNING + timedelta(hours=number), "Female", 39, "Single", "Oklahoma", "Platinum", "Unemployment",
        "Card", "Non-referral", Decimal("1557.50"),
    )
    for number in (1, 2, 3)
}  # fmt: skip
"""The contents of the base, by line."""

FIELD_OF = dict(zip(COLUMNS, Row._fields, strict=True))


@dataclass(frozen=True)
class Bad:
    """A row in quarantine: its line, the malformed column, the reason, a phrase of the message, and its exact text."""

    line: int
    column: str
    reason: str
    phrase: str
    raw: str


@dataclass(frozen=True)
class Case:
    """A file and its expected result.

    Attributes:
        name: what is odd about it.
        content: its bytes; None if there is no such file.
        place, phrase: parts of the message that refuses the whole file; None if it is read.
        kept: its valid rows by line, as they are stored.
        bad: its rows in quarantine.
        present: the number of rows that are already present.
        conflicts: those of `bad` that only a load can find, since they differ from a stored row.
    """

    name: str
    content: bytes | None
    place: str | None = None
    phrase: str = ""
    kept: Mapping[int, Row] = field(default_factory=dict)
    bad: tuple[Bad, ...] = ()
    present: int = 0
    conflicts: tuple[Bad, ...] = ()

    @property
    def is_refused(self) -> bool:
        """Whether the whole file is refused."""
        return self.place is not None


def text(*rows: str, end: str = "\n", header: str = HEADER, final: bool = True) -> bytes:
    """A file of the rows."""
    return (end.join((header, *rows)) + (end if final else "")).encode()


BASE = text(FIRST, SECOND, THIRD)


def reverse(row: str) -> str:
    """The row with its fields in reverse order."""
    return ",".join(row.split(",")[::-1])


def changed(column: str, value: str) -> str:
    """The second row with another value in a column, as text."""
    fields = SECOND.split(",")
    fields[COLUMNS.index(column)] = value
    return ",".join(fields)


def refused(name: str, content: bytes | None, place: str, phrase: str) -> Case:
    """A case whose whole file is refused at `place`."""
    return Case(name, content, place, phrase)


def accepted(name: str, content: bytes, lines: tuple[int, int, int] = (2, 3, 4)) -> Case:
    """A case whose file has the contents of the base, with its rows on these lines."""
    return Case(name, content, kept=dict(zip(lines, ROWS.values(), strict=True)))


def reads(column: str, value: str, stored: Any, name: str = "") -> Case:
    """A case whose field in the second row is accepted and stored as `stored` (a date in its ISO form)."""
    if column == "Transaction_date":
        stored = datetime.fromisoformat(str(stored))
    row = ROWS[3]._replace(**{FIELD_OF[column]: stored})
    content = text(FIRST, changed(column, value), THIRD)
    return Case(f"{column}: {name or ascii(value)}", content, kept=ROWS | {3: row})


def rejects(column: str, value: str, reason: str, phrase: str, name: str = "") -> Case:
    """A case whose field puts the second row into quarantine."""
    return rejects_row(f"{column}: {name or ascii(value)}", changed(column, value), column, reason, phrase)


def rejects_row(name: str, raw: str, column: str, reason: str, phrase: str, height: int = 1) -> Case:
    """A case whose second row, `height` lines long, goes to quarantine; the third row follows below it."""
    kept = {2: ROWS[2], 3 + height: ROWS[4]}
    return Case(name, text(FIRST, raw, THIRD), kept=kept, bad=(Bad(3, column, reason, phrase, raw),))


ZIP = b"PK\x03\x04\x14\x00\x06\x00\x08\x00" + bytes(range(256))
PACKED = gzip.compress(BASE, mtime=0)
FLIPPED = PACKED[:40] + bytes([PACKED[40] ^ 0xFF]) + PACKED[41:]
LATIN = BASE.replace(b"Oklahoma", b"Qu\xe9bec", 1)
AMOUNT = "not a plain decimal number"
BAD_DATE = "expected 2018-01-31T23:59:00 or 1/31/2018"
BROKEN_ROW = changed("Amount_spent", "NaN")
BROKEN = Bad(3, "Amount_spent", "amount_malformed", AMOUNT, BROKEN_ROW)

# fmt: off
CASES = (
    # Refused as a whole, before anything is written.
    refused("a missing file", None, "", "cannot be read (No such file"),
    refused("empty", b"", "", "the file is empty"),
    refused("only a byte order mark", codecs.BOM_UTF8, "", "the file is empty"),
    refused("only blank lines", b"\r\n\n \t \r", "", "the file is empty"),
    refused("only a header", text(), "", "a header but no rows"),
    refused("a header and blank lines", text("", "", ""), "", "a header but no rows"),
    refused("no header", text(SECOND, THIRD, header=FIRST), "line 1", "unknown column '1'"),
    refused("a column is missing", text(header=HEADER.replace(",Age", "")), "line 1", "missing column Age"),
    refused("three columns are missing", text(header=",".join(COLUMNS[3:])), "line 1",
            "missing columns Transaction_ID, Transaction_date, Gender"),
    refused("a column is misspelt", BASE.replace(b"Gender", b"Gendre"), "line 1", "did you mean Gender?"),
    refused("a column is repeated", BASE.replace(b"Age", b"Gender"), "line 1", "column Gender appears 2 times"),
    refused("a column in both spellings", BASE.replace(b"Age", b"Referal"), "line 1", "Referral appears 2 times"),
    refused("a column too many", text(FIRST, header=HEADER + ",Shoe_size"), "line 1", "unknown column 'Shoe_size'"),
    refused("a comma after the header", text(FIRST, header=HEADER + ","), "line 1", "unknown column ''"),
    refused("a hidden character in the header", BASE.replace(b"Age", "A\u200bge".encode()), "line 1", "mean Age?"),
    refused("a header of half a megabyte", b"x" * 500_000 + b"\n", "line 1", "unknown column"),
    refused("semicolons", BASE.replace(b",", b";"), "line 1", "separated by semicolons"),
    refused("tabs", BASE.replace(b",", b"\t"), "line 1", "separated by tabs"),
    refused("bars", BASE.replace(b",", b"|"), "line 1", "separated by bars"),
    refused("not UTF-8", LATIN, f"byte {LATIN.index(0xE9)}", "not valid UTF-8"),
    refused("not UTF-8, quoted", LATIN.replace(b"Qu\xe9bec", b'"\xe9"'), f"byte {LATIN.index(0xE9) - 1}", "UTF-8"),
    refused("a character cut at the end", BASE + b"\xe2\x82", f"byte {len(BASE)}", "not valid UTF-8"),
    refused("a surrogate", BASE + b"\xed\xa0\x80\n", f"byte {len(BASE)}", "not valid UTF-8"),
    refused("UTF-16 little endian", codecs.BOM_UTF16_LE + BASE.decode().encode("utf-16-le"), "byte 0", "UTF-16"),
    refused("UTF-16 big endian", codecs.BOM_UTF16_BE + BASE.decode().encode("utf-16-be"), "byte 0", "UTF-16"),
    refused("UTF-16 little endian, no mark", BASE.decode().encode("utf-16-le"), "byte 1", "UTF-16"),
    refused("UTF-16 big endian, no mark", BASE.decode().encode("utf-16-be"), "byte 0", "UTF-16"),
    refused("a picture", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(64), "byte 8", "not a text file"),
    refused("a program", b"\x7fELF\x02\x01\x01" + bytes(200), "byte 7", "not a text file"),
    refused("a workbook", ZIP, "byte 0", "a ZIP archive, perhaps an Excel workbook"),
    refused("a quote is never closed", text(FIRST, changed("Gender", '"Female'), THIRD), "line 3", "never closed"),
    refused("a quote is never closed, last row", text(FIRST, SECOND, changed("Amount_spent", '"5')), "line 4",
            "never closed"),
    refused("text after a closing quote", text(FIRST, changed("Gender", '"Fem"ale'), THIRD), "line 3",
            "text follows a closing quote"),
    refused("space after a closing quote", text(FIRST, changed("Gender", '"Female" '), THIRD), "line 3",
            "text follows a closing quote"),
    refused("a broken quote after quoted lines", text(changed("Gender", '"\n\n"'), changed("Age", '"3"9')), "line 5",
            "text follows a closing quote"),
    refused("a broken quote in the header", BASE.replace(b"Age", b'"Age'), "line 1", "malformed quoted name"),
    refused("a line above a megabyte", text(FIRST, "x" * (2**20 + 1)), f"byte {len(text(FIRST))}",
            "longer than 1,048,576 bytes"),
    refused("a quoted record above a megabyte", text(FIRST, ",".join(['"' + "x\n" * 2**18 + '"'] * 3)),
            "line 3", "longer than 1,048,576 characters"),
    refused("gzip, flipped byte", FLIPPED, "", "the gzip data are corrupt"),
    refused("gzip, wrong checksum", PACKED[:-8] + bytes(4) + PACKED[-4:], "", "the gzip data are corrupt"),
    refused("gzip, cut", PACKED[: len(PACKED) // 2], "", "the gzip data are truncated"),
    refused("gzip, cut in its checksum", PACKED[:-3], "", "the gzip data are truncated"),
    refused("gzip, two bytes of it", PACKED[:2], "", "the gzip data are truncated"),
    refused("gzip, then garbage", PACKED + b"garbage", "", "the gzip data are corrupt"),
    refused("gzip of nothing", gzip.compress(b""), "", "the file is empty"),
    refused("gzip of gzip", gzip.compress(PACKED, mtime=0), "byte 3", "not a text file"),

    # Accepted: the layout of a file does not matter.
    accepted("the base", BASE),
    accepted("a byte order mark", codecs.BOM_UTF8 + BASE),
    accepted("CRLF", text(FIRST, SECOND, THIRD, end="\r\n")),
    accepted("CR", text(FIRST, SECOND, THIRD, end="\r")),
    accepted("mixed line ends", f"{HEADER}\r\n{FIRST}\n{SECOND}\r{THIRD}".encode()),
    accepted("LF then CR is a blank line", f"{HEADER}\n\r{FIRST}\n\r{SECOND}\n\r{THIRD}".encode(), (3, 5, 7)),
    accepted("no final line end", text(FIRST, SECOND, THIRD, final=False)),
    accepted("no final line end, CR", text(FIRST, SECOND, THIRD, end="\r", final=False)),
    accepted("blank lines", text("", FIRST, "", "", SECOND, THIRD, ""), (3, 6, 7)),
    accepted("blank lines, CRLF", text("", FIRST, "", "", SECOND, THIRD, end="\r\n"), (3, 6, 7)),
    accepted("blank lines, CR", text("", FIRST, "", "", SECOND, THIRD, end="\r"), (3, 6, 7)),
    accepted("blank lines above the header", b"\n\r\n" + BASE, (4, 5, 6)),
    accepted("the columns in reverse", text(*map(reverse, (FIRST, SECOND, THIRD)), header=reverse(HEADER))),
    accepted("the columns in reverse, one field quoted",
             text(*map(reverse, (FIRST, SECOND, changed("Transaction_ID", '"3"').replace("02:04", "03:04"))),
                  header=reverse(HEADER))),
    accepted("a header in small letters", BASE.replace(HEADER.encode(), HEADER.lower().encode())),
    accepted("a header in capitals", BASE.replace(HEADER.encode(), HEADER.upper().encode())),
    accepted("spaces about the header's names", BASE.replace(HEADER.encode(), HEADER.replace(",", " , ").encode())),
    accepted("the old spelling Referal", BASE.replace(b"Referral", b"Referal")),
    accepted("a quoted header", BASE.replace(HEADER.encode(), f'"{HEADER}"'.replace(",", '","').encode())),
    accepted("every field quoted", f'"{BASE.decode().strip()}"'.replace(",", '","').replace("\n", '"\n"').encode()),
    accepted("columns of a mended quarantine", text(FIRST + ",7", SECOND + ",=1+1", THIRD + ",\u202e",
             header=HEADER + ",Quarantine_line")),
    accepted("gzip", PACKED),
    accepted("gzip in two members", gzip.compress(BASE[:200]) + gzip.compress(BASE[200:])),
    accepted("gzip, then zeros", PACKED + bytes(512)),
    Case("the same row twice", text(FIRST, FIRST, SECOND, THIRD), present=1,
         kept={2: ROWS[2], 4: ROWS[3], 5: ROWS[4]}),
    Case("the same row in another form", text(FIRST, SECOND, SECOND.replace("1557.5", "1557.50").upper(), THIRD),
         present=1, kept={2: ROWS[2], 3: ROWS[3], 5: ROWS[4]}),
    Case("the same id with other content", text(FIRST, SECOND, changed("Age", "40"), THIRD), present=1,
         kept={2: ROWS[2], 3: ROWS[3], 5: ROWS[4]},
         conflicts=(Bad(4, "Transaction_ID", "id_conflict", "exists with different content", changed("Age", "40")),)),

    # Accepted: fields in another form.
    reads("Transaction_ID", "0", 0), reads("Transaction_ID", "0042", 42),
    reads("Transaction_ID", "9223372036854775807", 2**63 - 1, "the largest"),
    reads("Transaction_date", "7/4/2018", "2018-07-04T00:00:00"),
    reads("Transaction_date", "07/04/2018", "2018-07-04T00:00:00"),
    reads("Transaction_date", "2018-07-04", "2018-07-04T00:00:00"),
    reads("Transaction_date", "2018-07-04 13:45", "2018-07-04T13:45:00"),
    reads("Transaction_date", "2018-07-04T13:45:09.5", "2018-07-04T13:45:09.500000"),
    reads("Transaction_date", "2018-07-04T13:45:09.123000", "2018-07-04T13:45:09.123000"),
    reads("Transaction_date", "2018-07-04T12:00:00Z", "2018-07-04T08:00:00", "an offset in summer"),
    reads("Transaction_date", "2018-01-04T12:00:00Z", "2018-01-04T07:00:00", "an offset in winter"),
    reads("Transaction_date", "2018-01-01T02:00:00+05:30", "2017-12-31T15:30:00", "into the year before"),
    reads("Transaction_date", "2018-07-04T12:00:00-0400", "2018-07-04T12:00:00", "an offset without a colon"),
    reads("Transaction_date", "2018-03-11T02:30:00", "2018-03-11T02:30:00", "a wall clock's skipped hour"),
    reads("Transaction_date", "1970-01-01T00:00:00", "1970-01-01T00:00:00", "the earliest"),
    reads("Transaction_date", "2024-02-29", "2024-02-29T00:00:00", "a leap day"),
    reads("Transaction_date", f"{TOMORROW}T23:59:59.999", f"{TOMORROW}T23:59:59.999",
          "the latest"),
    reads("Gender", "UNKNOWN", "Unknown"), reads("Marital_status", "unknown", "Unknown"),
    reads("State_names", " Unknown", "Unknown"), reads("Segment", "unKnown", "Unknown"),
    reads("Referral", "Unknown", "Unknown"),
    reads("Gender", "", "Unknown"), reads("Gender", " male\t", "Male"), reads("Gender", '"Male"', "Male"),
    reads("Age", "", None), reads("Age", "27.0", 27), reads("Age", "0", 0), reads("Age", "120", 120),
    reads("Age", "007", 7), reads("Age", " 27 ", 27),
    reads("Marital_status", "mARRIED", "Married"),
    reads("State_names", "north carolina", "North Carolina"), reads("State_names", "   ", "Unknown"),
    reads("State_names", '""', "Unknown"),
    reads("Segment", "Missing", "Missing"), reads("Segment", "missing", "Missing"), reads("Segment", "", "Unknown"),
    reads("Employees_status", "SELF-EMPLOYED", "Self-Employed"), reads("Employees_status", "workers", "Workers"),
    reads("Payment_method", "paypal", "PayPal"),
    reads("Referral", "1", "Referral"), reads("Referral", "1.0", "Referral"), reads("Referral", "", "Unknown"),
    reads("Amount_spent", "", None), reads("Amount_spent", "0", Decimal(0)), reads("Amount_spent", "-0", Decimal(0)),
    reads("Amount_spent", "1.5", Decimal("1.50")), reads("Amount_spent", "1.50", Decimal("1.50")),
    reads("Amount_spent", "1.500000", Decimal("1.50")), reads("Amount_spent", "0.29", Decimal("0.29")),
    reads("Amount_spent", "4.35", Decimal("4.35")), reads("Amount_spent", "0000001.10", Decimal("1.10")),
    reads("Amount_spent", "1000000000.00", Decimal(10**9), "the cap"),
    reads("Amount_spent", "999999999.99", Decimal("999999999.99"), "a cent below the cap"),

    # Quarantined: the row as a whole.
    rejects_row("a field is missing", SECOND.rpartition(",")[0], "", "field_count", "10 fields, expected 11"),
    rejects_row("a field too many", SECOND + ",", "", "field_count", "12 fields, expected 11"),
    rejects_row("a line of spaces", "   ", "", "field_count", "1 fields"),
    rejects_row("a line of an empty quoted field", '""', "", "field_count", "1 fields"),
    rejects_row("the header again", HEADER, "Transaction_ID", "id_malformed", "not a non-negative whole number"),
    rejects_row("two lines joined", SECOND + THIRD, "", "field_count", "21 fields"),
    rejects_row("a line of semicolons", SECOND.replace(",", ";"), "", "field_count", "1 fields"),
    rejects_row("a control character at the end", "\x1a", "", "field_count", "1 fields"),
    rejects_row("a byte order mark within", "\ufeff" + SECOND, "Transaction_ID", "hidden_character", "U+FEFF"),
    rejects_row("two faults: the first is named", changed("Age", "x").replace("1557.5", "y"), "Age", "age_malformed",
                "not a whole number"),
    rejects_row("a quoted comma", changed("State_names", '"Carolina, North"'), "State_names", "state_unknown",
                "unknown state 'Carolina, North'"),
    rejects_row("a quoted quote", changed("State_names", '"North ""C"" Carolina"'), "State_names", "state_unknown",
                "did you mean North Carolina?"),
    rejects_row("a quote within a field", changed("State_names", 'North "C" Carolina'), "State_names",
                "state_unknown", "did you mean North Carolina?"),
    rejects_row("a quoted line end", changed("State_names", '"North\nCarolina"'), "State_names", "hidden_character",
                "U+000A", height=2),
    rejects_row("quoted line ends of each kind", changed("State_names", '"North\r\n\n\rCarolina"'), "State_names",
                "hidden_character", "U+000D", height=4),
    rejects_row("a quote that swallows a row", changed("Gender", f'"Female\n{FIRST}\n"'), "Gender",
                "hidden_character", "U+000A", height=3),

    Case("a byte order mark after the header", text("\ufeff" + SECOND, THIRD), kept={3: ROWS[4]},
         bad=(Bad(2, "Transaction_ID", "hidden_character", "U+FEFF", "\ufeff" + SECOND),)),

    # Quarantined: the line is correct, whatever precedes it.
    Case("after quoted line ends and blank lines", text(changed("Gender", '"\n\n"'), "", FIRST, "", BROKEN_ROW, THIRD),
         kept={6: ROWS[2], 9: ROWS[4]},
         bad=(Bad(2, "Gender", "hidden_character", "U+000A", changed("Gender", '"\n\n"')),
              Bad(8, "Amount_spent", "amount_malformed", AMOUNT, BROKEN_ROW))),
    Case("after CR line ends and blank lines", text(FIRST, "", BROKEN_ROW, THIRD, end="\r"),
         kept={2: ROWS[2], 5: ROWS[4]}, bad=(Bad(4, "Amount_spent", "amount_malformed", AMOUNT, BROKEN_ROW),)),
    Case("after mixed line ends", f"{HEADER}\r{FIRST}\r\n\r\r\n{BROKEN_ROW}\n{THIRD}".encode(),
         kept={2: ROWS[2], 6: ROWS[4]}, bad=(Bad(5, "Amount_spent", "amount_malformed", AMOUNT, BROKEN_ROW),)),
    Case("a mark, CRLF and blank lines above the header",
         codecs.BOM_UTF8 + b"\r\n\r\n" + text(FIRST, BROKEN_ROW, THIRD, end="\r\n"),
         kept={4: ROWS[2], 6: ROWS[4]}, bad=(Bad(5, "Amount_spent", "amount_malformed", AMOUNT, BROKEN_ROW),)),
    Case("the text is kept as it is", text(FIRST, f" {BROKEN_ROW}\t ", THIRD), kept={2: ROWS[2], 4: ROWS[4]},
         bad=(Bad(3, "Amount_spent", "amount_malformed", AMOUNT, f" {BROKEN_ROW}\t "),)),
    Case("every row is refused", text(BROKEN_ROW, BROKEN_ROW),
         bad=tuple(Bad(line, "Amount_spent", "amount_malformed", AMOUNT, BROKEN_ROW) for line in (2, 3))),
    Case("in a gzip file", gzip.compress(text(FIRST, BROKEN_ROW, THIRD), mtime=0), kept={2: ROWS[2], 4: ROWS[4]},
         bad=(BROKEN,)),

    # Quarantined: ids.
    rejects("Transaction_ID", "", "id_missing", "the transaction id is missing"),
    rejects("Transaction_ID", "  ", "id_missing", "the transaction id is missing"),
    rejects("Transaction_ID", "abc", "id_malformed", "not a non-negative whole number"),
    rejects("Transaction_ID", "-1", "id_malformed", "not a non-negative whole number"),
    rejects("Transaction_ID", "2.0", "id_malformed", "not a non-negative whole number"),
    rejects("Transaction_ID", "1e3", "id_malformed", "not a non-negative whole number"),
    rejects("Transaction_ID", "1_000", "id_malformed", "not a non-negative whole number"),
    rejects("Transaction_ID", "0x10", "id_malformed", "not a non-negative whole number"),
    rejects("Transaction_ID", "#2", "id_malformed", "not a non-negative whole number"),
    rejects("Transaction_ID", "\u0661", "id_malformed", "not a non-negative whole number"),
    rejects("Transaction_ID", '{"$gt":""}'.replace('"', ""), "id_malformed", "not a non-negative whole number"),
    rejects("Transaction_ID", "9223372036854775808", "id_too_large", "larger than 9223372036854775807", "over int64"),

    # Quarantined: dates.
    rejects("Transaction_date", "", "date_missing", "the date is missing"),
    rejects("Transaction_date", "2024-02-30", "date_impossible", "2024-02-30 does not exist"),
    rejects("Transaction_date", "2023-02-29T10:00:00", "date_impossible", "2023-02-29T10:00:00 does not exist"),
    rejects("Transaction_date", "13/1/2018", "date_impossible", "2018-13-01 does not exist"),
    rejects("Transaction_date", "2018-01-01T24:00:00", "date_impossible", "does not exist"),
    rejects("Transaction_date", "2018-01-01T23:59:60", "date_impossible", "does not exist"),
    rejects("Transaction_date", "2018-01-01T12:00:00+24:00", "date_impossible", "does not exist"),
    rejects("Transaction_date", "2018-01-01T12:00:00+01:60", "date_malformed", BAD_DATE),
    rejects("Transaction_date", "0000-01-01T00:00:00", "date_impossible", "does not exist"),
    rejects("Transaction_date", "1969-12-31T23:59:59", "date_out_of_range", "1969-12-31 is before 1970"),
    rejects("Transaction_date", "1970-01-01T00:30:00Z", "date_out_of_range", "1969-12-31 is before 1970"),
    rejects("Transaction_date", str(DAY_AFTER), "date_out_of_range", "after tomorrow", "the day after tomorrow"),
    rejects("Transaction_date", f"{DAY_AFTER}T00:00:00", "date_out_of_range", "after tomorrow", "just after tomorrow"),
    rejects("Transaction_date", "9999-12-31T23:59:59", "date_out_of_range", "after tomorrow"),
    rejects("Transaction_date", "20180101", "date_malformed", BAD_DATE),
    rejects("Transaction_date", "2018-W01-1", "date_malformed", BAD_DATE),
    rejects("Transaction_date", "1/1/18", "date_malformed", BAD_DATE),
    rejects("Transaction_date", "1.1.2018", "date_malformed", BAD_DATE),
    rejects("Transaction_date", "1/31/2018 10:00", "date_malformed", BAD_DATE),
    rejects("Transaction_date", "1514764800", "date_malformed", BAD_DATE),
    rejects("Transaction_date", "\uff12\uff10\uff11\uff18-01-01", "date_malformed", BAD_DATE),
    rejects("Transaction_date", "2018-01-01T00:00:00.000001", "date_too_fine", "more precise than a millisecond"),

    # Quarantined: ages.
    rejects("Age", "-1", "age_out_of_range", "not between 0 and 120"),
    rejects("Age", "121", "age_out_of_range", "not between 0 and 120"),
    rejects("Age", "27.5", "age_malformed", "not a whole number"),
    rejects("Age", "NaN", "age_malformed", "not a whole number"),
    rejects("Age", "thirty", "age_malformed", "not a whole number"),
    rejects("Age", "\u0662\u0667", "age_malformed", "not a whole number"),

    # Quarantined: amounts.
    *(rejects("Amount_spent", value, "amount_malformed", AMOUNT) for value in (
        "NaN", "Infinity", "-inf", "1e3", "1_000", "+5", "5.", ".5", "$5", '"1,000.00"', "(5.00)", "0x10", "5 USD",
        "1 000", "1.2.3", "--5", "\uff15.\uff10\uff10", "\u0665", "null", "=1+1", "'5", "\u22125",
    )),
    rejects("Amount_spent", "1.555", "amount_too_fine", "more than two decimal places"),
    rejects("Amount_spent", "0.001", "amount_too_fine", "more than two decimal places"),
    rejects("Amount_spent", "-0.01", "amount_negative", "the amount is negative"),
    rejects("Amount_spent", "-5", "amount_negative", "the amount is negative"),
    rejects("Amount_spent", "1000000000.01", "amount_too_large", "larger than 1,000,000,000", "a cent over the cap"),
    rejects("Amount_spent", "9" * 20, "amount_too_large", "larger than 1,000,000,000 dollars", "over int64"),

    # Quarantined: unknown names, with the nearest one as a hint, and unknown referrals.
    rejects("Gender", "Femal", "gender_unknown", "did you mean Female?"),
    rejects("Gender", "Unknow", "gender_unknown", "did you mean Unknown?"),
    rejects("Gender", "NA", "gender_unknown", "unknown gender 'NA'"),
    rejects("Marital_status", "Maried", "marital_status_unknown", "did you mean Married?"),
    rejects("State_names", "Ohioo", "state_unknown", "did you mean Ohio?"),
    rejects("State_names", "Texas\u00a0", "state_unknown", "did you mean Texas?", "a no-break space"),
    rejects("Segment", "Platnum", "segment_unknown", "did you mean Platinum?"),
    rejects("Segment", "null", "segment_unknown", "unknown customer segment 'null'"),
    rejects("Employees_status", "Worker", "employment_status_unknown", "did you mean Workers?"),
    rejects("Payment_method", "Pay Pal", "payment_method_unknown", "did you mean PayPal?"),
    rejects("Referral", "2", "referral_unknown", "neither 0 nor 1"),
    rejects("Referral", "yes", "referral_unknown", "neither 0 nor 1"),

    # Quarantined: hidden characters and overlong fields.
    rejects("State_names", "Te\x00xas", "hidden_character", "U+0000", "NUL"),
    rejects("State_names", "Texas\x00", "hidden_character", "U+0000", "NUL at the end"),
    rejects("State_names", "Te\x1bxas", "hidden_character", "U+001B", "escape"),
    rejects("State_names", "Te\x7fxas", "hidden_character", "U+007F", "delete"),
    rejects("State_names", "Texas\x0b", "hidden_character", "U+000B", "vertical tab"),
    rejects("State_names", "Texas\x85", "hidden_character", "U+0085", "next line"),
    rejects("State_names", "Texas\u2028", "hidden_character", "U+2028", "line separator"),
    rejects("State_names", "\u202eTexas", "hidden_character", "U+202E", "right-to-left override"),
    rejects("State_names", "Te\u2066xas", "hidden_character", "U+2066", "isolate"),
    rejects("State_names", "Te\u200bxas", "hidden_character", "U+200B", "zero-width space"),
    rejects("Amount_spent", "5\x00", "hidden_character", "U+0000", "NUL"),
    rejects("Age", "\u200f39", "hidden_character", "U+200F", "right-to-left mark"),
    rejects("State_names", "x" * 201, "over_long", "201 characters, at most 200 are allowed", "201 characters"),
    rejects("State_names", "x" * 200, "state_unknown", "unknown state", "200 characters"),
    rejects("Amount_spent", "0" * 201, "over_long", "201 characters", "201 zeros"),

    # Quarantined: operators are text.
    rejects("State_names", "$ne", "state_unknown", "unknown state '$ne'"),
    rejects("State_names", "a.b", "state_unknown", "unknown state 'a.b'"),
    rejects("State_names", "{$gt:1}", "state_unknown", "unknown state '{$gt:1}'"),
    rejects_row("State_names: an operator in JSON", changed("State_names", '"{""$gt"":""""}"'), "State_names",
                "state_unknown", """unknown state '{"$gt":""}'"""),
    rejects("Segment", "$where", "segment_unknown", "unknown customer segment '$where'"),
    rejects("Referral", "$ne", "referral_unknown", "neither 0 nor 1"),
)
# fmt: on
