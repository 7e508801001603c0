"""Convert the records of a chunk to columns of codes, and reject others with their reasons.

`clean_record` is the reference: it reads one record with the exact converters. `clean` reads a whole chunk at
once with pandas; a shortcut is used only for fields in the one plain form that it reads exactly, and every
record with any other field goes through `clean_record`.
"""

import codecs
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from catalog.attributes import Banded, Listed
from catalog.columns import NULL, Clock, Column, Key, Money
from catalog.dimensions import Vocabulary, day_number
from catalog.errors import InternalError
from catalog.purchases import PURCHASES
from loader.reading import fields
from loader.reading.fields import Reject
from loader.reading.files import Chunk
from loader.reading.header import Header
from loader.reading.members import Members, NewMember

Ints = np.ndarray[Any, np.dtype[np.int64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Shortcut = Callable[[Column, "pd.Series[str]"], tuple[Mask, Ints]]
"""Which fields of a column certainly have the plain form, and their values."""

DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_PLAIN_ID = r"[0-9]{1,18}"
_PLAIN_AMOUNT = r"[0-9]{1,8}(\.[0-9]{1,2})?"
_PLAIN_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{3}(000)?)?"


class Refused(NamedTuple):
    """One row for quarantine.

    Attributes:
        line: its first line in the file.
        column: the first malformed column; empty if the row as a whole is malformed.
        value: the text of that column.
        reason, message: the code and the explanation.
        raw: the row's text.
    """

    line: int
    column: str
    value: str
    reason: str
    message: str
    raw: str


@dataclass(frozen=True)
class Clean:
    """The clean rows of a chunk as columns, in the order of the file.

    Attributes:
        lines: each row's line.
        raw: each row's text.
        columns: ids and codes by the columns' names, in their order, int64 each; NULL for an unknown number.
        refused: the other rows.
        new_members: what the rows add to the vocabulary.
    """

    lines: Ints
    raw: list[bytes]
    columns: dict[str, Ints]
    refused: list[Refused]
    new_members: tuple[NewMember, ...] = ()

    @property
    def day(self) -> Ints:
        """The day number of each row."""
        return self.columns["timestamp_ms"] // DAY_MS

    @property
    def hour(self) -> Ints:
        """The hour of the day of each row."""
        return self.columns["timestamp_ms"] % DAY_MS // _HOUR_MS

    def missing(self) -> dict[str, int]:
        """How many clean rows lack a value, by CSV column."""
        return {
            column.column: int(np.count_nonzero(self.columns[column.name] == column.empty))
            for column in PURCHASES.columns
            if column.empty is not None
        }


class Cleaner:
    """Cleans the chunks of one file."""

    def __init__(
        self, header: Header, vocabulary: Vocabulary, timezone: ZoneInfo, latest_day: int, *, add_members: bool = False
    ) -> None:
        """With `add_members`, an unknown state, segment or the like becomes a new member of its dimension."""
        self._header = header
        self._members: dict[Column, Members] = {
            column: Members(column, vocabulary[column.name], may_grow=add_members)
            for column in PURCHASES.attributes
            if isinstance(column, Listed) and not column.written
        }
        self._converters = {column: self._converter(column, timezone, latest_day) for column in PURCHASES.columns}
        self._shortcuts: dict[type[Column], Shortcut] = {
            Key: self._ids, Clock: self._timestamps, Money: self._amounts,
        }  # fmt: skip
        self._latest_ms = (latest_day + 1) * DAY_MS - 1
        self._code = lru_cache(maxsize=1 << 16)(self._code_or_none)

    def clean_record(self, record: list[str]) -> list[int]:
        """Read one record exactly: ids and codes, in the order of the data set's columns.

        Only a record that is valid in all its fields adds new members.

        Raises:
            _RowReject: for the first malformed field.
        """
        width = len(self._header.names)
        if len(record) != width:
            raise _RowReject(Reject("field_count", f"the row has {len(record)} fields, expected {width}"))
        values = []
        for column, position in zip(PURCHASES.columns, self._header.positions, strict=True):
            text = record[position] if position is not None else ""
            try:
                values.append(self._converters[column](fields.strip(text)))
            except Reject as reject:
                raise _RowReject(reject, column.column, text) from reject
        for members in self._members.values():
            members.settle()
        return values

    def clean(self, chunk: Chunk) -> Clean:
        """Clean a chunk: its valid rows, and its refused rows with their reasons."""
        columns, sure = self._clean_plain(chunk.raw) if chunk.fields is None else _nothing_sure(len(chunk.lines))
        refused: list[Refused] = []
        keep = np.ones(len(chunk.lines), bool)
        for row in np.flatnonzero(~sure).tolist():
            record = chunk.fields[row] if chunk.fields else chunk.raw[row].decode().split(",")
            try:
                for values, value in zip(columns.values(), self.clean_record(record), strict=True):
                    values[row] = value
            except _RowReject as reject:
                keep[row] = False
                refused.append(reject.at(chunk.lines[row], chunk.raw[row]))
        lines, raw = np.array(chunk.lines, np.int64), chunk.raw
        if refused:
            columns = {name: values[keep] for name, values in columns.items()}
            lines, raw = lines[keep], [text for text, kept in zip(raw, keep, strict=True) if kept]
        added = tuple(new for members in self._members.values() for new in members.take_added())
        return Clean(lines, raw, columns, refused, added)

    def _clean_plain(self, raw: list[bytes]) -> tuple[dict[str, Ints], Mask]:
        """Read all rows at once: the columns, and for each row whether it is certainly valid."""
        if not raw:
            return _nothing_sure(0)
        commas = len(self._header.names) - 1
        sure = np.fromiter((text.count(b",") == commas for text in raw), bool, len(raw))
        rows = raw if sure.all() else [text if ok else b"," * commas for text, ok in zip(raw, sure, strict=True)]
        text = b"\n".join(rows) + b"\n"
        has_control = np.count_nonzero(np.frombuffer(text, np.uint8) < ord(" ")) != len(rows)  # any but the line ends
        if has_control or text.startswith(codecs.BOM_UTF8):  # which pandas would drop
            return _nothing_sure(len(rows))
        frame = _read_csv(text, list(self._header.names))
        columns: dict[str, Ints] = {}
        for column, position in zip(PURCHASES.columns, self._header.positions, strict=True):
            if position is None:
                columns[column.name] = np.full(len(rows), column.empty)
                continue
            shortcut = self._shortcuts.get(type(column), self._distinct)
            plain, columns[column.name] = shortcut(column, frame[column.column])
            sure &= plain
        return columns, sure

    def _converter(self, column: Column, timezone: ZoneInfo, latest_day: int) -> Callable[[str], int]:
        """The exact converter for a column."""
        match column:
            case Key():
                return fields.transaction_id
            case Clock():
                return lambda text: fields.timestamp_ms(text, timezone, latest_day)
            case Money():
                return lambda text: _or_null(fields.amount_cents(text))
            case Banded():
                return lambda text: _or_null(fields.number(column, text))
            case Listed() if column.written:
                return lambda text: fields.written(column, text)
            case Listed():
                return self._members[column].code
        raise InternalError(f"No converter is declared for the column {column.column}.")

    def _distinct(self, column: Column, texts: "pd.Series[str]") -> tuple[Mask, Ints]:
        """Convert each distinct text once, with the exact converter."""
        positions, members = pd.factorize(texts)
        code = self._known if column in self._members else self._code
        found = [code(column, member) for member in members]
        known = np.array([code is not None for code in found], bool)
        return known[positions], np.array([code or 0 for code in found], np.int64)[positions]

    @staticmethod
    def _ids(column: Column, texts: "pd.Series[str]") -> tuple[Mask, Ints]:
        plain = texts.str.fullmatch(_PLAIN_ID).to_numpy(bool)
        return plain, texts.where(plain, "0").to_numpy().astype(np.int64)

    @staticmethod
    def _amounts(column: Column, texts: "pd.Series[str]") -> tuple[Mask, Ints]:
        """Cents through doubles: below 2^53 / 100 the nearest double times 100 is off by far less than a half."""
        positions, distinct = pd.factorize(texts)
        members = pd.Series(distinct, dtype="str")
        missing = (members == "").to_numpy(bool)
        plain = members.str.fullmatch(_PLAIN_AMOUNT).to_numpy(bool)
        dollars = members.where(plain, "0").astype("float64").to_numpy()
        cents = np.where(missing, NULL, np.rint(dollars * 100).astype(np.int64))
        return (plain | missing)[positions], cents[positions]

    def _timestamps(self, column: Column, texts: "pd.Series[str]") -> tuple[Mask, Ints]:
        plain = texts.str.fullmatch(_PLAIN_DATE).to_numpy(bool)
        if not plain.any():  # dates without a time: few distinct ones
            return self._distinct(column, texts)
        moments = pd.to_datetime(texts.where(plain, "1970-01-01T00:00:00"), format="ISO8601", errors="coerce")
        values = moments.to_numpy("datetime64[ms]").astype(np.int64)
        return plain & moments.notna().to_numpy() & (values >= 0) & (values <= self._latest_ms), values

    def _code_or_none(self, column: Column, text: str) -> int | None:
        """The value from the exact converter, or None if it rejects the field."""
        try:
            return self._converters[column](fields.strip(text))
        except Reject:
            return None

    def _known(self, column: Column, text: str) -> int | None:
        """The same for known names only, without remembering new ones."""
        try:
            return self._members[column].find(fields.strip(text))
        except Reject:
            return None


class _RowReject(Exception):
    def __init__(self, reject: Reject, column: str = "", value: str = "") -> None:
        super().__init__(str(reject))
        self._reject, self._column, self._value = reject, column, value

    def at(self, line: int, raw: bytes) -> Refused:
        """The row for quarantine."""
        reject = self._reject
        return Refused(line, self._column, self._value, reject.reason, reject.message, raw.decode())


def _read_csv(text: bytes, names: list[str]) -> pd.DataFrame:
    """Lines without quotes as columns of text. `pandas.read_csv` gives the same in five times the time."""
    table = csv.read_csv(
        io.BytesIO(text),
        read_options=csv.ReadOptions(column_names=names, use_threads=False, block_size=len(text) + 1),
        parse_options=csv.ParseOptions(quote_char=False),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, check_utf8=False
        ),
    )
    frame: pd.DataFrame = table.to_pandas(
        types_mapper=lambda _: pd.StringDtype("pyarrow", na_value=np.nan), use_threads=False
    )
    return frame


def _nothing_sure(rows: int) -> tuple[dict[str, Ints], Mask]:
    return {each.name: np.zeros(rows, np.int64) for each in PURCHASES.columns}, np.zeros(rows, bool)


def _or_null(value: int | None) -> int:
    return NULL if value is None else value


def tomorrow() -> int:
    """The day number of tomorrow in UTC: the latest accepted day."""
    today: date = datetime.now(UTC).date()
    return day_number(today + timedelta(days=1))
