"""The loader's reading of a file, in the types of the independent reader."""

from collections import namedtuple
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from catalog.dimensions import day_number
from catalog.purchases import PURCHASES
from loader.reading.clean import NULL, Clean, Cleaner, Refused
from loader.reading.files import Chunk, Survey, read_chunks, survey
from tests.support.malformed.reader import Row

VOCABULARY = PURCHASES.vocabulary
Record = namedtuple("Record", [column.name for column in PURCHASES.columns])


class Read(NamedTuple):
    """A file as the loader reads it: its survey, its chunks, and each chunk cleaned."""

    survey: Survey
    chunks: list[Chunk]
    cleaned: list[Clean]

    @property
    def kept(self) -> dict[int, Row]:
        """The clean rows by line."""
        return {
            line: row_of(Record(*codes))
            for clean in self.cleaned
            for line, *codes in zip(
                clean.lines.tolist(), *(clean.columns[name].tolist() for name in Record._fields), strict=True
            )
        }

    @property
    def refused(self) -> list[Refused]:
        """The rows for quarantine."""
        return [each for clean in self.cleaned for each in clean.refused]


def read(path: Path, latest: date, zone: str = "UTC") -> Read:
    """Read a file as a load does, without encoding documents.

    Raises:
        FileRefused: the file as a whole is invalid.
    """
    found = survey(path)
    chunks = list(read_chunks(found))
    cleaner = cleaner_of(found, latest, zone)
    return Read(found, chunks, [cleaner.clean(chunk) for chunk in chunks])


def cleaner_of(found: Survey, latest: date, zone: str) -> Cleaner:
    """A cleaner for the file."""
    return Cleaner(found.header, VOCABULARY, ZoneInfo(zone), day_number(latest))


def row_of(record: Record) -> Row:
    """A clean record with its codes as names and its cents as dollars."""
    names = {name: VOCABULARY[name][code] for name, code in record._asdict().items() if name in VOCABULARY}
    return Row(
        transaction_id=record.transaction_id,
        moment=datetime(1970, 1, 1) + timedelta(milliseconds=record.timestamp_ms),  # noqa: DTZ001  a wall clock
        age=None if record.age == NULL else record.age,
        amount=None if record.amount_cents == NULL else Decimal(record.amount_cents).scaleb(-2),
        **names,
    )
