"""Single fields: every accepted form with its value, every rejected one with its reason."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.dimensions import day_number
from catalog.purchases import (
    AGE,
    EMPLOYMENT_STATUS,
    GENDER,
    MAX_AMOUNT_CENTS,
    PAYMENT_METHOD,
    REFERRAL,
    SEGMENT,
    STATE,
)  # fmt: skip
from loader.reading import fields
from loader.reading.fields import Reject
from loader.reading.members import Members

UTC_ZONE = ZoneInfo("UTC")
LATEST = date(2026, 1, 2)


def timestamp(text: str, zone: str = "UTC") -> int:
    """The timestamp's milliseconds, if tomorrow is LATEST."""
    return fields.timestamp_ms(text, ZoneInfo(zone), day_number(LATEST))


def ms(*moment: int) -> int:
    """The milliseconds of a moment on the wall clock."""
    return (datetime(*moment, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)  # type: ignore[arg-type,misc]


def reason_of(convert: Callable[[str], Any], text: str) -> str:
    """Why the converter rejects the text."""
    with pytest.raises(Reject) as caught:
        convert(text)
    assert caught.value.message, "a rejection explains itself"
    return caught.value.reason


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("0", 0, id="zero"),
        pytest.param("1000", 1000, id="plain"),
        pytest.param("9223372036854775807", 2**63 - 1, id="largest int64"),
    ],
)
def test_an_id_is_a_whole_number(text: str, value: int) -> None:
    """Whole numbers up to the largest int64 are read exactly."""
    assert fields.transaction_id(text) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "id_missing", id="empty"),
        pytest.param("abc", "id_malformed", id="letters"),
        pytest.param("1.0", "id_malformed", id="fraction"),
        pytest.param("-1", "id_malformed", id="negative"),
        pytest.param("+1", "id_malformed", id="plus sign"),
        pytest.param("1e3", "id_malformed", id="exponent"),
        pytest.param("1_000", "id_malformed", id="underscore"),
        pytest.param("0x10", "id_malformed", id="hexadecimal"),
        pytest.param("NaN", "id_malformed", id="NaN"),
        pytest.param("1 000", "id_malformed", id="space inside"),
        pytest.param("\u0661\u0662\u0663", "id_malformed", id="Arabic digits"),
        pytest.param("\uff11\uff12", "id_malformed", id="full-width digits"),
        pytest.param("\u00b2", "id_malformed", id="superscript digit"),
        pytest.param("9223372036854775808", "id_too_large", id="one over int64"),
        pytest.param("9" * 100, "id_too_large", id="a hundred digits"),
    ],
)
def test_an_impossible_id_is_rejected(text: str, reason: str) -> None:
    """An id that is missing, not a whole number or above int64 is rejected with its own reason."""
    assert reason_of(fields.transaction_id, text) == reason


@pytest.mark.parametrize(
    ("text", "cents"),
    [
        pytest.param("", None, id="empty is unknown"),
        pytest.param("0", 0, id="zero"),
        pytest.param("0.00", 0, id="zero with decimals"),
        pytest.param("27", 2700, id="whole"),
        pytest.param("27.0", 2700, id="whole with a decimal"),
        pytest.param("1.5", 150, id="one decimal"),
        pytest.param("1.50", 150, id="two decimals"),
        pytest.param("1.5000", 150, id="insignificant zeros"),
        pytest.param("0.01", 1, id="a cent"),
        pytest.param("0.29", 29, id="a double would give 28"),
        pytest.param("1.15", 115, id="a double would give 114"),
        pytest.param("2051.36", 205136, id="usual"),
        pytest.param("1000000000", MAX_AMOUNT_CENTS, id="the cap"),
        pytest.param("1000000000.00", MAX_AMOUNT_CENTS, id="the cap with decimals"),
        pytest.param("999999999.99", MAX_AMOUNT_CENTS - 1, id="a cent below the cap"),
    ],
)
def test_an_amount_is_exact_cents(text: str, cents: int | None) -> None:
    """A plain decimal is read as whole cents, an empty field as unknown."""
    assert fields.amount_cents(text) == cents


@given(st.integers(0, MAX_AMOUNT_CENTS))
def test_every_amount_up_to_the_cap_is_read_to_the_cent(cents: int) -> None:
    """The decimal text of any amount is read as the same cents."""
    assert fields.amount_cents(str(Decimal(cents).scaleb(-2))) == cents


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("NaN", "amount_malformed", id="NaN"),
        pytest.param("nan", "amount_malformed", id="nan"),
        pytest.param("NA", "amount_malformed", id="NA"),
        pytest.param("Infinity", "amount_malformed", id="Infinity"),
        pytest.param("-inf", "amount_malformed", id="minus infinity"),
        pytest.param("1e3", "amount_malformed", id="exponent"),
        pytest.param("1E+3", "amount_malformed", id="signed exponent"),
        pytest.param("1_000", "amount_malformed", id="underscore"),
        pytest.param("+5", "amount_malformed", id="plus sign"),
        pytest.param("5.", "amount_malformed", id="bare point after"),
        pytest.param(".", "amount_malformed", id="only a point"),
        pytest.param("$5", "amount_malformed", id="dollar sign"),
        pytest.param("5 USD", "amount_malformed", id="currency"),
        pytest.param("1,000.00", "amount_malformed", id="thousands separator"),
        pytest.param("5,00", "amount_malformed", id="decimal comma"),
        pytest.param("(5.00)", "amount_malformed", id="accountant's negative"),
        pytest.param("0x10", "amount_malformed", id="hexadecimal"),
        pytest.param("1.2.3", "amount_malformed", id="two points"),
        pytest.param("1 000", "amount_malformed", id="space inside"),
        pytest.param("--5", "amount_malformed", id="two signs"),
        pytest.param("\u0665", "amount_malformed", id="Arabic digit"),
        pytest.param("\uff15.\uff10\uff10", "amount_malformed", id="full-width digits"),
        pytest.param("1.555", "amount_too_fine", id="three decimals"),
        pytest.param("0.001", "amount_too_fine", id="a tenth of a cent"),
        pytest.param("1.5001", "amount_too_fine", id="a late decimal"),
        pytest.param("-0.01", "amount_negative", id="minus a cent"),
        pytest.param("-5", "amount_negative", id="negative"),
        pytest.param("1000000000.01", "amount_too_large", id="a cent over the cap"),
        pytest.param("9" * 30, "amount_too_large", id="thirty digits"),
    ],
)
def test_an_impossible_amount_is_rejected(text: str, reason: str) -> None:
    """Nothing is coerced or rounded: anything but a plain amount in cents is rejected with its own reason."""
    assert reason_of(fields.amount_cents, text) == reason


@pytest.mark.parametrize(
    ("text", "years"),
    [
        pytest.param("", None, id="empty is unknown"),
        pytest.param("0", 0, id="newborn"),
        pytest.param("27", 27, id="plain"),
        pytest.param("27.0", 27, id="written by a spreadsheet"),
        pytest.param("27.00", 27, id="two zeros"),
        pytest.param("120", 120, id="oldest"),
    ],
)
def test_an_age_is_whole_years(text: str, years: int | None) -> None:
    """Whole years from 0 to 120 are read, `27.0` among them; an empty field is unknown."""
    assert fields.number(AGE, text) == years


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("-1", "age_out_of_range", id="below 0"),
        pytest.param("121", "age_out_of_range", id="over 120"),
        pytest.param("1000000", "age_out_of_range", id="a million"),
        pytest.param("27.5", "age_malformed", id="fraction"),
        pytest.param("120.01", "age_malformed", id="fraction at the bound"),
        pytest.param("5.", "age_malformed", id="bare point"),
        pytest.param("+5", "age_malformed", id="plus sign"),
        pytest.param("NaN", "age_malformed", id="NaN"),
        pytest.param("1e1", "age_malformed", id="exponent"),
        pytest.param("2_7", "age_malformed", id="underscore"),
        pytest.param("0x1b", "age_malformed", id="hexadecimal"),
        pytest.param("\u0662\u0667", "age_malformed", id="Arabic digits"),
        pytest.param("thirty", "age_malformed", id="word"),
        pytest.param("9" * 5000, "age_malformed", id="more digits than int() takes"),
    ],
)
def test_an_impossible_age_is_rejected(text: str, reason: str) -> None:
    """An age that is not a whole number, or out of range, is rejected with its own reason."""
    assert reason_of(partial(fields.number, AGE), text) == reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2018-01-01T00:04:00.000000", ms(2018, 1, 1, 0, 4), id="as in the CSV"),
        pytest.param("2018-01-01T00:04:00", ms(2018, 1, 1, 0, 4), id="seconds"),
        pytest.param("2018-01-01T00:04", ms(2018, 1, 1, 0, 4), id="minutes"),
        pytest.param("2018-01-01 00:04:05", ms(2018, 1, 1, 0, 4, 5), id="space for T"),
        pytest.param("2018-01-01T00:04:00.5", ms(2018, 1, 1, 0, 4, 0, 500_000), id="tenths"),
        pytest.param("2018-01-01T00:04:00.123", ms(2018, 1, 1, 0, 4, 0, 123_000), id="milliseconds"),
        pytest.param("2018-01-31", ms(2018, 1, 31), id="date only"),
        pytest.param("1/31/2018", ms(2018, 1, 31), id="M/D/YYYY"),
        pytest.param("01/01/2019", ms(2019, 1, 1), id="MM/DD/YYYY"),
        pytest.param("12/1/2019", ms(2019, 12, 1), id="month first"),
        pytest.param("2024-02-29", ms(2024, 2, 29), id="leap day"),
        pytest.param("1970-01-01T00:00:00", 0, id="the first moment"),
        pytest.param("2026-01-02T23:59:59.999", ms(2026, 1, 2, 23, 59, 59, 999_000), id="the last moment of tomorrow"),
        pytest.param("2018-01-01T00:04:00Z", ms(2018, 1, 1, 0, 4), id="Z"),
        pytest.param("2018-01-01T00:04:00+02:00", ms(2017, 12, 31, 22, 4), id="offset into the day before"),
        pytest.param("2018-01-01T00:04:00-0530", ms(2018, 1, 1, 5, 34), id="offset without a colon"),
    ],
)
def test_a_timestamp_is_the_store_clock(text: str, expected: int) -> None:
    """ISO 8601 and M/D/YYYY are read; a timestamp without a zone is kept unchanged."""
    assert timestamp(text) == expected


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        pytest.param("2024-07-01T12:00:00Z", "America/New_York", ms(2024, 7, 1, 8), id="summer time"),
        pytest.param("2024-01-01T12:00:00Z", "America/New_York", ms(2024, 1, 1, 7), id="winter time"),
        pytest.param("2024-01-01T02:00:00+00:00", "America/New_York", ms(2023, 12, 31, 21), id="the year before"),
        pytest.param("2024-01-01T23:00:00+01:00", "Asia/Kolkata", ms(2024, 1, 2, 3, 30), id="the day after"),
        pytest.param("2024-07-01T12:00:00", "America/New_York", ms(2024, 7, 1, 12), id="no offset stays"),
        pytest.param("7/1/2024", "America/New_York", ms(2024, 7, 1), id="a date stays"),
    ],
)
def test_an_offset_is_converted_to_the_store_timezone(text: str, zone: str, expected: int) -> None:
    """Only a timestamp with an offset is converted, to the wall clock of STORE_TIMEZONE on that day."""
    assert timestamp(text, zone) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "date_missing", id="empty"),
        pytest.param("yesterday", "date_malformed", id="word"),
        pytest.param("20240105", "date_malformed", id="without separators"),
        pytest.param("2024-W01-5", "date_malformed", id="week date"),
        pytest.param("2024-1-5", "date_malformed", id="short ISO"),
        pytest.param("05.01.2024", "date_malformed", id="points"),
        pytest.param("1/5/24", "date_malformed", id="two-digit year"),
        pytest.param("1704067200", "date_malformed", id="epoch seconds"),
        pytest.param("2024-01-01T12", "date_malformed", id="hour only"),
        pytest.param("2024-01-01T12:00 PM", "date_malformed", id="PM"),
        pytest.param("2024-01-01T12:00:00 UTC", "date_malformed", id="zone name"),
        pytest.param("2024-01-01T12:00:00.1234567", "date_malformed", id="seven decimals"),
        pytest.param("\uff12\uff10\uff12\uff14-01-01", "date_malformed", id="full-width digits"),
        pytest.param("2024-02-30", "date_impossible", id="30 February"),
        pytest.param("2023-02-29", "date_impossible", id="29 February of no leap year"),
        pytest.param("2/30/2024", "date_impossible", id="M/D/YYYY, 30 February"),
        pytest.param("31/1/2024", "date_impossible", id="day first"),
        pytest.param("2024-13-01", "date_impossible", id="month 13"),
        pytest.param("2024-00-10", "date_impossible", id="month 0"),
        pytest.param("2024-01-01T25:00:00", "date_impossible", id="hour 25"),
        pytest.param("2024-01-01T23:60:00", "date_impossible", id="minute 60"),
        pytest.param("2024-01-01T23:59:60", "date_impossible", id="second 60"),
        pytest.param("2024-01-01T12:00:00+24:00", "date_impossible", id="offset of a day"),
        pytest.param("2024-01-01T12:00:00.000001", "date_too_fine", id="a microsecond"),
        pytest.param("1969-12-31", "date_out_of_range", id="before 1970"),
        pytest.param("1969-12-31T23:59:59.999", "date_out_of_range", id="a millisecond before 1970"),
        pytest.param("1970-01-01T00:30:00+01:00", "date_out_of_range", id="before 1970 by its offset"),
        pytest.param("0001-01-01T00:00:00+14:00", "date_out_of_range", id="before year 1 by its offset"),
        pytest.param("9999-12-31T23:59:00-14:00", "date_out_of_range", id="after year 9999 by its offset"),
        pytest.param("2026-01-03", "date_out_of_range", id="the day after tomorrow"),
        pytest.param("2026-01-02T23:59:00-01:00", "date_out_of_range", id="after tomorrow by its offset"),
    ],
)
def test_an_impossible_date_is_rejected(text: str, reason: str) -> None:
    """A date that has an unknown form, does not exist or is outside 1970 to tomorrow is rejected."""
    assert reason_of(timestamp, text) == reason


@pytest.mark.parametrize("name", ["North Carolina", "north carolina", "NORTH CAROLINA", "nOrTh cArOlInA"])
def test_names_match_in_any_letter_case(name: str) -> None:
    """Another letter case is the same member."""
    assert Members(STATE, STATE.members).code(name) == STATE.members.index("North Carolina")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        pytest.param("Employees", "Employees", id="capital"),
        pytest.param("workers", "Workers", id="small"),
        pytest.param("self-employed", "Self-Employed", id="hyphen"),
        pytest.param("Unemployment", "Unemployment", id="capital again"),
    ],
)
def test_employment_status_gets_one_capitalisation(text: str, label: str) -> None:
    """The file mixes letter cases; the members do not."""
    assert EMPLOYMENT_STATUS.members[Members(EMPLOYMENT_STATUS, EMPLOYMENT_STATUS.members).code(text)] == label


def test_an_empty_name_is_unknown_and_missing_is_a_segment() -> None:
    """Empty is code 0; `Missing` in Segment is a member of its own."""
    assert Members(GENDER, GENDER.members).code("") == 0
    assert SEGMENT.members[Members(SEGMENT, SEGMENT.members).code("Missing")] == "Missing"


@pytest.mark.parametrize(
    ("dimension", "text", "reason", "hint"),
    [
        pytest.param(GENDER, "Femal", "gender_unknown", "Female", id="near a gender"),
        pytest.param(STATE, "Texs", "state_unknown", "Texas", id="near a state"),
        pytest.param(PAYMENT_METHOD, "Pay Pal", "payment_method_unknown", "PayPal", id="near a method"),
        pytest.param(SEGMENT, "Bronze", "segment_unknown", "", id="near nothing"),
    ],
)
def test_an_unknown_name_is_rejected_with_the_nearest(dimension: Any, text: str, reason: str, hint: str) -> None:
    """A name outside the vocabulary is never guessed, but the nearest one is suggested."""
    with pytest.raises(Reject) as caught:
        Members(dimension, dimension.members).code(text)
    assert caught.value.reason == reason
    assert text in caught.value.message
    assert ("did you mean" in caught.value.message) == bool(hint)
    assert hint in caught.value.message


@pytest.mark.parametrize(("text", "code"), [("", 0), ("0", 1), ("1", 2), ("0.0", 1), ("1.0", 2)])
def test_a_referral_is_0_1_or_unknown(text: str, code: int) -> None:
    """Empty, 0 and 1, also as a spreadsheet writes them."""
    assert fields.written(REFERRAL, text) == code


@pytest.mark.parametrize("text", ["2", "-1", "yes", "True", "01", "1e0", "\uff11"])
def test_another_referral_is_rejected(text: str) -> None:
    """Anything but 0 and 1 is rejected."""
    assert reason_of(partial(fields.written, REFERRAL), text) == "referral_unknown"


@pytest.mark.parametrize("text", [" Texas", "Texas ", "  Texas  ", "\tTexas\t"])
def test_spaces_around_a_field_do_not_count(text: str) -> None:
    """Spaces and tabs around a field are removed."""
    assert fields.strip(text) == "Texas"


@pytest.mark.parametrize(
    "character",
    [
        pytest.param("\x00", id="NUL"),
        pytest.param("\x07", id="bell"),
        pytest.param("\x1b", id="escape"),
        pytest.param("\n", id="line feed"),
        pytest.param("\r", id="carriage return"),
        pytest.param("\x7f", id="delete"),
        pytest.param("\x85", id="next line"),
        pytest.param("\u200b", id="zero-width space"),
        pytest.param("\u202e", id="right-to-left override"),
        pytest.param("\u2066", id="left-to-right isolate"),
        pytest.param("\u2028", id="line separator"),
        pytest.param("\ufeff", id="byte order mark"),
    ],
)
@pytest.mark.parametrize("form", ["Te{}xas", "{}Texas", "Texas{}"], ids=["inside", "before", "after"])
def test_a_hidden_character_is_rejected_and_named(character: str, form: str) -> None:
    """A hidden character makes a field look clean, so it is rejected, with its code point."""
    with pytest.raises(Reject) as caught:
        fields.strip(form.format(character))
    assert caught.value.reason == "hidden_character"
    assert f"U+{ord(character):04X}" in caught.value.message


def test_an_over_long_field_is_rejected() -> None:
    """200 characters are allowed, 201 are not."""
    assert fields.strip("x" * 200) == "x" * 200
    assert reason_of(fields.strip, "x" * 201) == "over_long"


@given(st.text(max_size=60))
def test_no_text_makes_a_converter_fail_otherwise(text: str) -> None:
    """Any text is either read or rejected with a reason; no converter raises anything else."""
    converters: tuple[Callable[[str], Any], ...] = (
        fields.strip, fields.transaction_id, partial(fields.number, AGE), fields.amount_cents,
        partial(fields.written, REFERRAL), timestamp, Members(SEGMENT, SEGMENT.members).code,
    )  # fmt: skip
    for convert in converters:
        with suppress(Reject):
            convert(text)
