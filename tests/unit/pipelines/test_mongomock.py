"""Documents, ordered inserts and raw pipelines on mongomock, without a server."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import bson
import mongomock
import pytest
from bson.codec_options import CodecOptions
from pymongo.errors import BulkWriteError

from catalog.collections import CUSTOMERS, TRANSACTIONS
from catalog.dimensions import day_number
from catalog.purchases import PURCHASES
from loader.reading.clean import Cleaner
from loader.reading.files import Chunk
from loader.reading.header import Header
from loader.writing.documents import encode, profile, profile_ids
from pipelines.ask.queries import QUERIES, Query
from pipelines.ask.question import Question, ask
from pipelines.plan.compiler import raw_pipeline

VOCABULARY = PURCHASES.vocabulary
GENDERS = ("Female", "Male", "")
STATES = ("Texas", "Ohio", "", "Utah")
AMOUNTS = ("1557.5", "", "0.01", "27.0", "2051.36")
ROWS = [
    f"{1000 + n},2024-0{1 + n // 40}-1{n % 7}T{n % 24:02}:15:00,{GENDERS[n % 3]},{'' if n % 11 == 0 else 15 + n % 60},"
    f"{('Single', 'Married')[n % 2]},{STATES[n % 4]},{('Basic', 'Gold', 'Missing')[n // 3 % 3]},"
    f"{('workers', 'Employees', '')[n // 5 % 3]},{('Card', 'PayPal')[n // 2 % 2]},"
    f"{('0', '1', '')[n // 7 % 3]},{AMOUNTS[n % 5]}"
    for n in range(120)
]


def documents(rows: Sequence[str], *, by_profile: bool = False) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The loader's customers and transactions for the rows, decoded, as mongomock takes no raw bytes."""
    header = Header(PURCHASES.header, tuple(range(len(PURCHASES.header))))
    chunk = Chunk(list(range(2, 2 + len(rows))), [row.encode() for row in rows], None, 0, 0)
    clean = Cleaner(header, VOCABULARY, ZoneInfo("UTC"), day_number(date(2026, 1, 1))).clean(chunk)
    assert not clean.refused
    ids = profile_ids(clean) if by_profile else clean.columns["transaction_id"]
    customers, transactions = (
        [bson.decode(each.raw, CodecOptions(tz_aware=True)) for each in encoded]
        for encoded in encode(clean, ids, "load")
    )
    return [profile(each) for each in sorted(set(ids.tolist()))] if by_profile else customers, transactions


@pytest.fixture
def database() -> Any:
    """An empty mongomock database with aware dates."""
    return mongomock.MongoClient(tz_aware=True)["analytics"]


@pytest.fixture
def filled(database: Any) -> Any:
    """The database with the documents of ROWS."""
    customers, transactions = documents(ROWS)
    database[CUSTOMERS.name].insert_many(customers, ordered=True)
    database[TRANSACTIONS.name].insert_many(transactions, ordered=True)
    return database


def test_documents_come_back_as_they_were_made(filled: Any) -> None:
    """Each transaction is stored under its id, with null where the amount is unknown, beside its customer."""
    _, transactions = documents(ROWS)
    assert list(filled.transactions.find().sort("_id", 1)) == transactions
    assert filled.transactions.count_documents({"amount_cents": None}) == len(ROWS) // 5
    for transaction in filled.transactions.find():
        customer = filled.customers.find_one({"_id": transaction["customer_id"]})
        assert {name: transaction[name] for name in customer if name != "_id"} == {
            name: value for name, value in customer.items() if name != "_id"
        }


@pytest.mark.parametrize("at", [0, 1, 57, 119], ids=["first", "second", "middle", "last"])
def test_a_duplicate_stops_an_ordered_insert_at_its_place(database: Any, at: int) -> None:
    """Everything before the duplicate is stored, nothing after it, and the error contains its index."""
    _, transactions = documents(ROWS)
    database.transactions.insert_one(transactions[at])
    with pytest.raises(BulkWriteError) as caught:
        database.transactions.insert_many(transactions, ordered=True)
    details = caught.value.details
    assert details["nInserted"] == at
    (error,) = details["writeErrors"]
    assert (error["index"], error["code"]) == (at, 11000)
    stored = {each["_id"] for each in database.transactions.find()}
    assert stored == {each["_id"] for each in transactions[: at + 1]}


def test_a_row_repeated_in_one_batch_is_a_duplicate_too(database: Any) -> None:
    """The second of two equal rows stops the insert; the first stays."""
    _, transactions = documents([*ROWS[:3], ROWS[1], *ROWS[3:]])
    with pytest.raises(BulkWriteError) as caught:
        database.transactions.insert_many(transactions, ordered=True)
    assert caught.value.details["writeErrors"][0]["index"] == 3
    assert database.transactions.count_documents({}) == 3


def test_profile_customers_are_one_for_each_profile(database: Any) -> None:
    """Each transaction has an existing customer with the same gender, age and marital status."""
    customers, transactions = documents(ROWS, by_profile=True)
    database.customers.insert_many(customers)
    assert len(customers) == len({(each["gender"], each["age"], each["marital_status"]) for each in transactions})
    for transaction in transactions:
        customer = database.customers.find_one({"_id": transaction["customer_id"]})
        assert all(transaction[name] == customer[name] for name in ("gender", "age", "age_group", "marital_status"))


def expected(query: Query, kept: Sequence[dict[str, Any]]) -> dict[Any, tuple[int, int, int]]:
    """The groups' parts, added up in Python."""
    groups: dict[Any, list[int]] = defaultdict(lambda: [0, 0, 0])
    for each in kept:
        parts = groups[tuple(each[dimension.field] for dimension in query.by)]
        parts[0] += 1
        parts[1] += each["amount_cents"] is not None
        parts[2] += each["amount_cents"] or 0
    return {key: (n, p, r) for key, (n, p, r) in groups.items()}


def aggregated(database: Any, question: Question) -> dict[Any, tuple[int, int, int]]:
    """The groups' parts, from the compiled pipeline."""
    found = {}
    for group in database.transactions.aggregate(raw_pipeline(question, question.first, question.last)):
        key = group["_id"]
        by = question.query.by
        found[tuple(key[each.name] for each in by) if len(by) > 1 else (key,) * len(by)] = (
            group["n"], group["p"], group["r"],
        )  # fmt: skip
        assert type(group["r"]) in (int, bson.Int64), "money is summed as whole cents"
    return found


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.slug)
def test_each_raw_pipeline_sums_right(filled: Any, query: Query) -> None:
    """Every query's groups have the same counts and cents as when added up in Python."""
    _, transactions = documents(ROWS)
    assert aggregated(filled, ask(query, {}, VOCABULARY)) == expected(query, transactions)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.slug)
def test_filters_and_dates_choose_the_right_transactions(filled: Any, query: Query) -> None:
    """A range is inclusive at both ends, and all filters and negated filters apply."""
    parameters = {
        "from": ["2024-01-12"], "to": ["2024-02-14"], "state": ["texas", "Ohio", "Unknown"], "not_gender": ["Male"],
    }  # fmt: skip
    _, transactions = documents(ROWS)
    state = {VOCABULARY["state"].index(name) for name in ("Texas", "Ohio", "Unknown")}
    kept = [
        each for each in transactions
        if date(2024, 1, 12) <= each["day"].date() <= date(2024, 2, 14)
        and each["state_id"] in state and each["gender"] != "Male"
    ]  # fmt: skip
    assert {date(2024, 1, 12), date(2024, 2, 14)} <= {each["day"].date() for each in kept}, "both ends are in use"
    assert aggregated(filled, ask(query, parameters, VOCABULARY)) == expected(query, kept)
