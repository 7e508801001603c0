"""Exact converters from the text of a field to its value. Missing is data, malformed is rejected.

These are the reference. The fast path in `loader.reading.clean` may be used only where its result is the same.
"""

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from catalog.attributes import Banded, Listed
from catalog.dimensions import day_number
from catalog.purchases import PURCHASES

LONGEST = 200
"""The most characters of a field."""

MAX_ID = 2**63 - 1
_WHOLE = re.compile(r"[0-9]+")
_DECIMAL = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?")
_ISO = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6}))?)?(Z|[+-][0-9]{2}:?[0-5][0-9])?)?"
)
_US = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})")
EARLIEST = day_number(datetime(1970, 1, 1, tzinfo=UTC).date())


class Reject(Exception):
    """A field with an invalid value.

    Attributes:
        reason: a short code, by which reports count.
        message: what is wrong and what is expected.
    """

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        self.message = message
        super().__init__(message)


def strip(text: str) -> str:
    """The field without the spaces around it.

    Raises:
        Reject: it is too long, or contains invisible characters.
    """
    text = text.strip(" \t")
    if len(text) > LONGEST:
        raise Reject("over_long", f"the field has {len(text)} characters, at most {LONGEST} are allowed")
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            raise Reject("hidden_character", f"the field contains the hidden character U+{ord(character):04X}")
    return text


def transaction_id(text: str) -> int:
    """A whole number from 0 to 2^63 - 1."""
    if not text:
        raise Reject("id_missing", "the transaction id is missing")
    if not _WHOLE.fullmatch(text):
        raise Reject("id_malformed", "the transaction id is not a non-negative whole number")
    if len(text) > 30 or int(text) > MAX_ID:
        raise Reject("id_too_large", f"the transaction id is larger than {MAX_ID}")
    return int(text)


def number(column: Banded, text: str) -> int | None:
    """A whole number from 0 to the largest that the column may have, or None; `27.0` is 27."""
    if not text:
        return None
    name, label = column.name, column.label.lower()
    match = _DECIMAL.fullmatch(text)
    sign, whole, fraction = match.groups() if match else ("", "", "")
    if not match or len(text) > 30 or (fraction and fraction.strip("0")):
        raise Reject(f"{name}_malformed", f"the {label} is not a whole number")
    if sign or int(whole) > column.most:
        raise Reject(f"{name}_out_of_range", f"the {label} is not between 0 and {column.most}")
    return int(whole)


def amount_cents(text: str) -> int | None:
    """Dollars with at most two significant decimals, as cents; None if empty."""
    if not text:
        return None
    match = _DECIMAL.fullmatch(text)
    if not match or len(text) > 40:
        raise Reject("amount_malformed", "the amount is not a plain decimal number such as 1557.50")
    sign, whole, fraction = match.groups()
    decimals = (fraction or "").rstrip("0")
    if len(decimals) > 2:
        raise Reject("amount_too_fine", "the amount has more than two decimal places")
    cents = int(whole) * 100 + int(decimals.ljust(2, "0"))
    if sign and cents:
        raise Reject("amount_negative", "the amount is negative")
    if cents > PURCHASES.amount.most:
        raise Reject("amount_too_large", f"the amount is larger than {PURCHASES.amount.most // 100:,} dollars")
    return cents


def written(column: Listed, text: str) -> int:
    """The code of a text that stands for a member; 0 for an empty field, as for `Unknown`."""
    code = column.codes.get(text.casefold())
    if code is None:
        raise Reject(f"{column.name}_unknown", f"the {column.label.lower()} is neither {' nor '.join(column.texts)}")
    return code


def timestamp_ms(text: str, timezone: ZoneInfo, latest_day: int) -> int:
    """A timestamp as milliseconds of the store's wall clock since 1970.

    ISO 8601 (`2018-01-01`, `2018-01-01T00:04`, with seconds, fraction, offset) or `M/D/YYYY`, which is midnight.
    """
    if not text:
        raise Reject("date_missing", "the date is missing")
    moment = _moment(text)
    if moment.tzinfo:
        try:
            moment = moment.astimezone(timezone).replace(tzinfo=None)
        except OverflowError:
            raise Reject("date_out_of_range", "the date is out of range") from None
    if moment.microsecond % 1000:
        raise Reject("date_too_fine", "the time is more precise than a millisecond")
    day = day_number(moment.date())
    if not EARLIEST <= day <= latest_day:
        raise Reject("date_out_of_range", f"the date {moment.date()} is before 1970 or after tomorrow")
    return (moment - datetime(1970, 1, 1)) // timedelta(milliseconds=1)  # noqa: DTZ001  a wall clock has no zone


def _moment(text: str) -> datetime:
    expected = "the date has an unknown format (expected 2018-01-31T23:59:00 or 1/31/2018)"
    if match := _US.fullmatch(text):
        month, day, year = match.groups()
        text = f"{year}-{month:0>2}-{day:0>2}"
    elif not _ISO.fullmatch(text):
        raise Reject("date_malformed", expected)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise Reject("date_impossible", f"the date {text} does not exist") from None
