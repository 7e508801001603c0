"""An independent reader of purchases: the contents of a file, according to the contract alone.

The loader is compared with it, so it deliberately shares neither code nor declarations with the product. Do not make
it import the product. It has no chunks, no shortcuts and no reasons: a file is unreadable, or each record is kept with
its values or refused with its first malformed column.
"""

import csv
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

COLUMNS = (
    "Transaction_ID", "Transaction_date", "Gender", "Age", "Marital_status", "State_names",
    "Segment", "Employees_status", "Payment_method", "Referral", "Amount_spent",
)  # fmt: skip
STATES = """
Alabama,Alaska,Arizona,Arkansas,California,Colorado,Connecticut,Delaware,Florida,Georgia,Hawaii,Idaho,Illinois,Indiana,
Iowa,Kansas,Kentucky,Louisiana,Maine,Maryland,Massachusetts,Michigan,Minnesota,Mississippi,Missouri,Montana,Nebraska,
Nevada,New Hampshire,New Jersey,New Mexico,New York,North Carolina,North Dakota,Ohio,Oklahoma,Oregon,Pennsylvania,
Rhode Island,South Carolina,South Dakota,Tennessee,Texas,Utah,Vermont,Virginia,Washington,West Virginia,Wisconsin,
Wyoming"""
NAMES = {
    "Gender": ("Female", "Male"),
    "Marital_status": ("Married", "Single"),
    "State_names": STATES.replace("\n", "").split(","),
    "Segment": ("Basic", "Gold", "Missing", "Platinum", "Silver"),
    "Employees_status": ("Employees", "Self-Employed", "Unemployment", "Workers"),
    "Payment_method": ("Card", "Other", "PayPal"),
}
REFERRALS = {
    "": "Unknown", "unknown": "Unknown", "0": "Non-referral", "0.0": "Non-referral", "1": "Referral", "1.0": "Referral",
}  # fmt: skip
LONGEST_RECORD = 2**20
LONGEST_FIELD = 200
HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of control and format characters, surrogates, line and paragraph separators."""


class Row(NamedTuple):
    """A purchase as it should be stored: names in full, `Unknown` for a missing one; None for a missing number."""

    transaction_id: int
    moment: datetime
    gender: str
    age: int | None
    marital_status: str
    state: str
    segment: str
    employment_status: str
    payment_method: str
    referral: str
    amount: Decimal | None


@dataclass
class Reading:
    """The contents of a file.

    Attributes:
        kept: the valid records, by line.
        refused: the others, by line: the malformed column (empty if the whole record is) and its text.
    """

    kept: dict[int, Row] = field(default_factory=dict)
    refused: dict[int, tuple[str, str]] = field(default_factory=dict)


class Unreadable(Exception):
    """The file as a whole is invalid."""


def read(content: bytes, latest: date, zone: str = "UTC") -> Reading:
    """Read a file for a store in the time zone `zone`; days after `latest` are refused.

    Raises:
        Unreadable: the file as a whole is invalid.
    """
    text = _text(_unpacked(content))
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text)
    head = next((number for number, line in enumerate(lines) if line.strip(" \t\r\n\v\f")), None)
    if head is None:
        raise Unreadable("empty")
    width, where = _header(lines[head].rstrip("\r\n"))
    found = Reading()
    for line, raw, record in _records(lines, head + 1):
        if len(raw) > LONGEST_RECORD:
            raise Unreadable(f"line {line} is too long")
        try:
            found.kept[line] = _row(record, width, where, latest, ZoneInfo(zone))
        except _AtFault as fault:
            found.refused[line] = (str(fault), raw.rstrip("\r\n"))
    if not found.kept and not found.refused:
        raise Unreadable("no row")
    return found


class _AtFault(Exception):
    """A record is refused; the text is the column's name."""


def _unpacked(content: bytes) -> bytes:
    """The content of a gzip file: one or more members, possibly followed by zeros."""
    out = b""
    packed = content.startswith(b"\x1f\x8b")
    while packed and content.strip(b"\0"):
        member = zlib.decompressobj(wbits=31)
        try:
            out += member.decompress(content.lstrip(b"\0") if out else content)
        except zlib.error as error:
            raise Unreadable(str(error)) from error
        if not member.eof:
            raise Unreadable("gzip ends too early")
        content = member.unused_data
    return out if packed else content


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise Unreadable(str(error)) from error


def _header(line: str) -> tuple[int, list[int]]:
    """The number of fields of a record, and the position of each column."""
    try:
        (names,) = csv.reader([line], strict=True)
    except csv.Error as error:
        raise Unreadable(str(error)) from error
    names = [re.sub("^referal$", "referral", name.strip().casefold()) for name in names]
    ours = [name for name in names if not name.startswith("quarantine_")]
    if sorted(ours) != sorted(name.casefold() for name in COLUMNS):
        raise Unreadable(f"the columns are {names}")
    return len(names), [names.index(name.casefold()) for name in COLUMNS]


def _records(lines: list[str], start: int) -> Iterator[tuple[int, str, list[str]]]:
    """Each record with the number of its first line and its text."""
    reader = csv.reader(lines[start:], strict=True)
    done = 0
    try:
        for record in reader:
            if record:
                yield start + done + 1, "".join(lines[start + done : start + reader.line_num]), record
            done = reader.line_num
    except csv.Error as error:
        raise Unreadable(str(error)) from error


def _row(record: list[str], width: int, where: list[int], latest: date, zone: ZoneInfo) -> Row:
    if len(record) != width:
        raise _AtFault("")
    values: list[object] = []
    for column, at in zip(COLUMNS, where, strict=True):
        try:
            text = _seen(record[at].strip(" \t"))
            values.append(_moment(text, latest, zone) if column == "Transaction_date" else _READERS[column](text))
        except (ValueError, KeyError, OverflowError) as error:
            raise _AtFault(column) from error
    return Row(*values)  # type: ignore[arg-type]


def _seen(text: str) -> str:
    if len(text) > LONGEST_FIELD or any(unicodedata.category(character) in HIDDEN for character in text):
        raise ValueError(text)
    return text


def _number(text: str, form: str) -> Decimal:
    if not re.fullmatch(form, text, re.ASCII):
        raise ValueError(text)
    return Decimal(text)


def _within(value: Decimal, highest: int) -> Decimal:
    if not 0 <= value <= highest:
        raise ValueError(value)
    return value


def _id(text: str) -> int:
    return int(_within(_number(text, r"\d{1,30}"), 2**63 - 1))


def _age(text: str) -> int | None:
    if not text:
        return None
    years = _number(text, r"\d+(\.0+)?")
    return int(_within(years, 120))


def _amount(text: str) -> Decimal | None:
    if not text:
        return None
    return _within(_number(text, r"-?\d+(\.\d{1,2}0*)?"), 10**9) + 0  # turns -0 into 0


def _name_of(column: str) -> Callable[[str], str]:
    names = {name.casefold(): name for name in (*NAMES[column], "Unknown")} | {"": "Unknown"}
    return lambda text: names[text.casefold()]


def _moment(text: str, latest: date, zone: ZoneInfo) -> datetime:
    """The moment on the store's wall clock; parsed part by part, independent of what a library accepts as a date."""
    day = re.fullmatch(r"(?P<m>\d\d?)/(?P<d>\d\d?)/(?P<y>\d{4})", text, re.ASCII) or re.fullmatch(
        r"(?P<y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)([T ](?P<time>.+))?", text, re.ASCII
    )
    if not day:
        raise ValueError(text)
    moment = datetime(int(day["y"]), int(day["m"]), int(day["d"]))  # noqa: DTZ001  a wall clock has no zone
    if day.groupdict().get("time"):
        moment = _with_time(moment, day["time"], zone)
    if not date(1970, 1, 1) <= moment.date() <= latest or moment.microsecond % 1000:
        raise ValueError(text)
    return moment


def _with_time(day: datetime, text: str, zone: ZoneInfo) -> datetime:
    clock = re.fullmatch(
        r"(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?(?:(?P<utc>Z)|(?P<sign>[+-])(?P<hh>\d\d):?(?P<mm>\d\d))?",
        text, re.ASCII,
    )  # fmt: skip
    if not clock:
        raise ValueError(text)
    hour, minute, second, fraction = clock.group(1, 2, 3, 4)
    moment = day.replace(
        hour=int(hour), minute=int(minute), second=int(second or 0), microsecond=int((fraction or "").ljust(6, "0"))
    )
    if not (clock["utc"] or clock["sign"]):
        return moment
    ahead = timedelta(hours=int(clock["hh"] or 0), minutes=int(clock["mm"] or 0))
    if ahead >= timedelta(days=1) or int(clock["mm"] or 0) > 59:
        raise ValueError(text)
    utc = moment + ahead if clock["sign"] == "-" else moment - ahead
    return utc.replace(tzinfo=ZoneInfo("UTC")).astimezone(zone).replace(tzinfo=None)


_READERS: Mapping[str, Callable[[str], object]] = {
    "Transaction_ID": _id,
    "Age": _age,
    "Referral": lambda text: REFERRALS[text.casefold()],
    "Amount_spent": _amount,
} | {column: _name_of(column) for column in NAMES}
