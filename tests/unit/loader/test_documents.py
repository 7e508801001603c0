"""The encoder's bytes are exactly the documents that the catalog describes."""

import dataclasses
from collections import namedtuple
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import bson
import numpy as np
import pytest
from bson.codec_options import CodecOptions
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.collections import CUSTOMERS, TRANSACTIONS
from catalog.dimensions import day_number, day_of
from catalog.purchases import AGE_GROUP, GENDER, MARITAL_STATUS, MAX_AMOUNT_CENTS, PURCHASES, REFERRAL
from loader.reading.clean import NULL, Clean, Cleaner
from loader.reading.files import Chunk
from loader.reading.header import Header
from loader.writing.documents import encode, profile, profile_ids

VOCABULARY = PURCHASES.vocabulary
Record = namedtuple("Record", [column.name for column in PURCHASES.columns])
AWARE = CodecOptions(tz_aware=True)
BSON_TYPES = {"_id": 0x12, "customer_id": 0x12, "payment_method_id": 0x10, "transaction_date": 0x09, "day": 0x09,
              "hour": 0x10, "amount_cents": 0x12, "age": 0x10, "age_group": 0x02, "gender": 0x02,
              "marital_status": 0x02, "referral": 0x02, "state_id": 0x10, "segment_id": 0x10,
              "employment_status_id": 0x10, "load_id": 0x02}  # fmt: skip
"""BSON's type bytes (bsonspec.org): 0x12 int64, 0x10 int32, 0x09 UTC datetime, 0x02 string."""

a_record = st.builds(
    Record,
    st.integers(0, 2**63 - 1), st.integers(0, 2**41), st.integers(0, 2), st.integers(NULL, 120), st.integers(0, 2),
    st.integers(0, 300), st.integers(0, 300), st.integers(0, 300), st.integers(0, 300), st.integers(0, 2),
    st.integers(NULL, MAX_AMOUNT_CENTS),
)  # fmt: skip


def columns_of(rows: list[Record]) -> Clean:
    """The rows as the cleaner returns them."""
    columns = {name: np.array([getattr(row, name) for row in rows], np.int64) for name in Record._fields}
    return Clean(np.arange(len(rows)), [b""] * len(rows), columns, [])


def clean_text(*rows: str) -> Clean:
    """The rows, given as text, cleaned."""
    header = Header(PURCHASES.header, tuple(range(len(PURCHASES.header))))
    chunk = Chunk(list(range(2, 2 + len(rows))), [row.encode() for row in rows], None, 0, 0)
    return Cleaner(header, VOCABULARY, ZoneInfo("UTC"), day_number(date(2026, 1, 1))).clean(chunk)


def decode(document: RawBSONDocument) -> dict[str, Any]:
    """The decoded document."""
    return bson.decode(document.raw, AWARE)


def types(raw: bytes) -> dict[str, int]:
    """The BSON type byte of each field, read from the bytes themselves."""
    sizes = {0x12: 8, 0x09: 8, 0x10: 4, 0x0A: 0}
    found, at = {}, 4
    while raw[at]:
        kind, end = raw[at], raw.index(b"\0", at + 1)
        found[raw[at + 1 : end].decode()] = kind
        at = end + 1 + (4 + int.from_bytes(raw[end + 1 : end + 5], "little") if kind == 0x02 else sizes[kind])
    assert at == len(raw) - 1
    return found


def attributes(row: Record) -> dict[str, Any]:
    """A row's customer attributes as in a document."""
    return {
        "age": None if row.age == NULL else row.age,
        "age_group": AGE_GROUP.band(row.age),
        "gender": GENDER.members[row.gender],
        "marital_status": MARITAL_STATUS.members[row.marital_status],
        "referral": REFERRAL.members[row.referral],
        "state_id": row.state,
        "segment_id": row.segment,
        "employment_status_id": row.employment_status,
    }


def transaction(row: Record, customer_id: int, load_id: str) -> dict[str, Any]:
    """The document of a row, put together by hand."""
    day, rest = divmod(row.timestamp_ms, 86_400_000)
    return {
        "_id": row.transaction_id,
        "customer_id": customer_id,
        "transaction_date": datetime.fromtimestamp(row.timestamp_ms // 1000, UTC).replace(
            microsecond=row.timestamp_ms % 1000 * 1000
        ),
        "amount_cents": None if row.amount_cents == NULL else row.amount_cents,
        "day": day_of(day),
        "hour": rest // 3_600_000,
        "payment_method_id": row.payment_method,
        **attributes(row),
        "load_id": load_id,
    }


def test_a_row_becomes_the_document_it_says() -> None:
    """One full row and one with gaps, by hand."""
    clean = clean_text(
        "1000,2018-01-01T00:04:00.250000,Female,39,Single,Oklahoma,Platinum,Unemployment,Card,0,1557.5",
        "1001,1/31/2018,,,,,,,,,",
    )
    customers, transactions = encode(clean, clean.columns["transaction_id"], "a1b2")
    known = {
        "age": 39, "age_group": "35-44", "gender": "Female", "marital_status": "Single", "referral": "Non-referral",
        "state_id": 36, "segment_id": 4, "employment_status_id": 3,
    }  # fmt: skip
    unknown = {
        "age": None, "age_group": "Unknown", "gender": "Unknown", "marital_status": "Unknown", "referral": "Unknown",
        "state_id": 0, "segment_id": 0, "employment_status_id": 0,
    }  # fmt: skip
    assert [decode(each) for each in customers] == [{"_id": 1000, **known}, {"_id": 1001, **unknown}]
    assert [decode(each) for each in transactions] == [
        {
            "_id": 1000, "customer_id": 1000, "transaction_date": datetime(2018, 1, 1, 0, 4, 0, 250_000, UTC),
            "amount_cents": 155750, "day": datetime(2018, 1, 1, tzinfo=UTC), "hour": 0, "payment_method_id": 1,
            **known, "load_id": "a1b2",
        },
        {
            "_id": 1001, "customer_id": 1001, "transaction_date": datetime(2018, 1, 31, tzinfo=UTC),
            "amount_cents": None, "day": datetime(2018, 1, 31, tzinfo=UTC), "hour": 0, "payment_method_id": 0,
            **unknown, "load_id": "a1b2",
        },
    ]  # fmt: skip


@given(st.lists(a_record, min_size=1, max_size=12), st.text("0123456789abcdef", max_size=16))
@settings(max_examples=60, deadline=None)
def test_the_bytes_are_exactly_the_documents(rows: list[Record], load_id: str) -> None:
    """Whatever the rows, the bytes decode to the document put together by hand, and encode to themselves."""
    clean = columns_of(rows)
    customers, transactions = encode(clean, clean.columns["transaction_id"], load_id)
    assert [decode(each) for each in customers] == [{"_id": row.transaction_id, **attributes(row)} for row in rows]
    assert [decode(each) for each in transactions] == [transaction(row, row.transaction_id, load_id) for row in rows]
    for document in (*customers, *transactions):
        assert bson.encode(decode(document)) == document.raw


@given(a_record)
@settings(max_examples=60, deadline=None)
def test_each_field_has_its_bson_type(row: Record) -> None:
    """Ids and money are int64, codes and hours int32, times dates; null only where age or amount is unknown."""
    clean = columns_of([row])
    customers, transactions = encode(clean, clean.columns["transaction_id"], "load")
    nulls = {name: 0x0A for name in ("age", "amount_cents") if getattr(row, name) == NULL}
    assert types(transactions[0].raw) == BSON_TYPES | nulls
    assert set(types(transactions[0].raw)) == set(TRANSACTIONS.properties)
    customer = types(customers[0].raw)
    assert customer == {name: (BSON_TYPES | nulls)[name] for name in CUSTOMERS.properties}
    assert set(customer) == set(CUSTOMERS.properties)


@pytest.mark.parametrize("cents", [NULL, 0, 1, 2**31 - 1, 2**31, MAX_AMOUNT_CENTS])
def test_an_amount_is_int64_whatever_its_size(cents: int) -> None:
    """A small amount is not an int32: the type of a sum of mixed types would vary."""
    row = Record(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, cents)
    document = decode(encode(columns_of([row]), np.array([1]), "load")[1][0])
    if cents == NULL:
        assert document["amount_cents"] is None
    else:
        assert type(document["amount_cents"]) is Int64
        assert document["amount_cents"] == cents


def test_no_rows_make_no_documents() -> None:
    """A chunk whose rows were all refused is encoded to nothing."""
    clean = dataclasses.replace(columns_of([Record(*[0] * 11)]), lines=np.empty(0, np.int64), raw=[])
    clean = dataclasses.replace(clean, columns={name: values[:0] for name, values in clean.columns.items()})
    assert encode(clean, clean.columns["transaction_id"], "load") == ([], [])


PROFILES = [(gender, age, marital) for gender in range(3) for age in range(NULL, 121) for marital in range(3)]


def test_a_profile_is_told_by_its_id() -> None:
    """Every profile has its own negative id, which `profile` decodes to the profile's attributes."""
    clean = columns_of([Record(1, 0, gender, age, marital, 0, 0, 0, 0, 0, 0) for gender, age, marital in PROFILES])
    ids = profile_ids(clean).tolist()
    assert len(set(ids)) == len(PROFILES)
    assert max(ids) < 0
    for customer_id, (gender, age, marital) in zip(ids, PROFILES, strict=True):
        years = None if age == NULL else age
        assert profile(customer_id) == {
            "_id": customer_id, "age": years, "age_group": AGE_GROUP.band(age),
            "gender": GENDER.members[gender], "marital_status": MARITAL_STATUS.members[marital],
        }  # fmt: skip


def test_a_profile_customer_holds_only_what_identifies_it() -> None:
    """The other attributes are on its transactions."""
    customer = profile(-1)
    assert set(customer) == {"_id", "age", "age_group", "gender", "marital_status"}
    assert type(customer["_id"]) is Int64
    clean = clean_text("1000,2018-01-01,Female,39,Single,Oklahoma,Platinum,Unemployment,Card,0,1557.5")
    transaction = decode(encode(clean, profile_ids(clean), "load")[1][0])
    assert transaction["_id"] == 1000
    assert profile(transaction["customer_id"])["age"] == 39
    assert transaction["state_id"] == 36
