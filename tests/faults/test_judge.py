"""The judge finds every kind of fault; a judge that finds nothing would prove nothing."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bson.codec_options import CodecOptions
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument

from catalog.collections import COLLECTIONS
from indexes.manage import apply
from loader.load import load
from loader.loads.options import Options
from store.client import Store
from tests.support.faults.judge import expect, judge, judge_part
from tests.support.stores import new_store

pytestmark = pytest.mark.live

HEADER = (
    "Transaction_ID,Transaction_date,Gender,Age,Marital_status,State_names,"
    "Segment,Employees_status,Payment_method,Referral,Amount_spent"
)


def row(number: int, day: str, amount: str) -> str:
    """A row of a CSV."""
    return f"{number},{day}T10:00:00,Male,30,Single,Ohio,Gold,workers,Card,0,{amount}"


FIRST = [
    row(1, "2024-01-01", "5"), row(2, "2024-01-02", "7.5"), row(3, "2024-02-01", ""), row(4, "2024-02-02", "oops"),
    row(1, "2024-01-01", "5"), row(2, "2024-01-02", "8.00"), row(6, "2024-02-03", "0.29"),
]  # fmt: skip
SECOND = [row(1, "2024-01-01", "5"), row(5, "2024-03-01", "1.1")]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two small files with every kind of row."""
    folder = tmp_path_factory.mktemp("judged")
    for name, rows in (("first.csv", FIRST), ("second.csv", SECOND)):
        (folder / name).write_text("\n".join([HEADER, *rows, ""]))
    return [folder / "first.csv", folder / "second.csv"]


@pytest.fixture(scope="module")
def filled(server: Store, data_dir: Path, files: list[Path]) -> Iterator[Store]:
    """A database that contains both."""
    with new_store(data_dir) as store:
        for path in files:
            load(store, path, Options(), 1.0, lambda done, total: None)
        yield store


@pytest.fixture
def judged(filled: Store) -> Iterator[Store]:
    """The same for a test that breaks it: every document and index is restored."""
    raw = filled.db.with_options(CodecOptions(RawBSONDocument))  # decoding would turn an int64 into an int32
    kept = {each.name: list(raw[each.name].find()) for each in COLLECTIONS}
    yield filled
    for name, documents in kept.items():
        if list(raw[name].find()) != documents:
            filled.db[name].delete_many({})
            raw[name].insert_many(documents)
    apply(filled)


def test_the_files_say_what_is_written_in_them(files: list[Path]) -> None:
    """Counted by hand."""
    first, second = expect(files)
    assert (first.read, first.present, first.refused) == (7, 1, {5, 7})
    assert first.cents == {1: 500, 2: 750, 3: None, 6: 29}
    assert (second.read, second.present, second.refused, second.cents) == (2, 1, set(), {5: 110})


def test_a_database_as_it_was_loaded_is_right(judged: Store, files: list[Path]) -> None:
    """Nothing is found in it, and nothing in an ordinary output."""
    assert judge(judged, files, "error: MongoDB cannot be reached.") == []


Plant = Callable[[Any], Any]
FAULTS: tuple[tuple[str, Plant, str], ...] = (
    ("a transaction is lost", lambda db: db.transactions.delete_one({"_id": 2}), "1 transactions are missing"),
    (
        "a transaction is written twice",
        lambda db: db.transactions.insert_one(db.transactions.find_one({"_id": 2}) | {"_id": 10**6 + 2**40}),
        "1 transactions come from no file",
    ),
    (
        "an amount is doubled",
        lambda db: db.transactions.update_one({"_id": 2}, {"$mul": {"amount_cents": 2}}),
        "1500 cents|another amount",
    ),
    (
        "two amounts are swapped, so that the sum is right",
        lambda db: [
            db.transactions.update_one({"_id": 1}, {"$inc": {"amount_cents": 1}}),
            db.transactions.update_one({"_id": 2}, {"$inc": {"amount_cents": -1}}),
        ],
        "2 transactions have another amount",
    ),
    (
        "an unknown amount becomes zero",
        lambda db: db.transactions.update_one({"_id": 3}, {"$set": {"amount_cents": Int64(0)}}),
        "1 transactions have another amount",
    ),
    (
        "a transaction is replaced by one of the same amount",
        lambda db: [
            db.transactions.insert_one(db.transactions.find_one({"_id": 2}) | {"_id": 10**6 + 2**40}),
            db.transactions.delete_one({"_id": 2}),
        ],
        "1 transactions come from no file",
    ),
    ("a customer is lost", lambda db: db.customers.delete_one({"_id": 2}), "4 customers, 5 expected"),
    (
        "a customer is written twice",
        lambda db: db.customers.insert_one(db.customers.find_one({"_id": 2}) | {"_id": 10**6 + 2**40}),
        "6 customers, 5 expected",
    ),
    (
        "a load is not finished",
        lambda db: db.loads.update_one({"file": "first.csv"}, {"$set": {"status": "running"}}),
        "first.csv is running",
    ),
    (
        "a row is not accounted for",
        lambda db: db.loads.update_one({"file": "first.csv"}, {"$inc": {"counts.inserted": -1}}),
        "does not account for every row",
    ),
    (
        "a row is counted as another kind",
        lambda db: db.loads.update_one(
            {"file": "first.csv"}, {"$inc": {"counts.inserted": -1, "counts.already_present": 1}}
        ),
        "'inserted': 4, .* expected",
    ),
    (
        "a reason is counted twice",
        lambda db: db.loads.update_one({"file": "first.csv"}, {"$inc": {"reasons.id_conflict": 1}}),
        "gives reasons",
    ),
    (
        "a transaction says another load",
        lambda db: db.transactions.update_one({"_id": 5}, {"$set": {"load_id": "another"}}),
        "second.csv has 0 transactions",
    ),
    ("a load is forgotten", lambda db: db.loads.delete_one({"file": "second.csv"}), "the loads are"),
    ("a refused row is lost", lambda db: db.quarantine.delete_one({"line": 5}), "1 rows in quarantine, 2 expected"),
    (
        "another row is refused",
        lambda db: db.quarantine.update_one({"line": 5}, {"$set": {"line": 6}}),
        "2 rows in quarantine, 2 expected; or others",
    ),
    (
        "a refused row has no reason",
        lambda db: db.quarantine.update_one({"line": 5}, {"$set": {"reason": ""}}),
        "without a reason",
    ),
    (
        "a cell of a rollup is one too high",
        lambda db: db.rollups.update_one({"cells.hour.0": {"$exists": True}}, {"$inc": {"cells.hour.0.n": 1}}),
        "differences in rollups",
    ),
    ("a page is lost", lambda db: db.pages.delete_one({}), "differences in rollups, pages"),
    (
        "a month is stale",
        lambda db: db.periods.update_one({"_id": "2024-01"}, {"$inc": {"changed": 1}}),
        "1 months are stale",
    ),
    (
        "a year is stale",
        lambda db: db.periods.update_one({"_id": "2024"}, {"$inc": {"changed": 1}}),
        "1 years are stale",
    ),
    ("an index is missing", lambda db: db.rollups.drop_indexes(), "is missing"),
)  # fmt: skip


@pytest.mark.parametrize(("plant", "told"), [each[1:] for each in FAULTS], ids=[each[0] for each in FAULTS])
def test_a_planted_fault_is_found(judged: Store, files: list[Path], plant: Plant, told: str) -> None:
    """The finding is the one that the fault calls for."""
    plant(judged.db)
    found = judge(judged, files)
    assert any(re.search(told, each) for each in found), found


PARTS: tuple[tuple[str, Plant], ...] = (
    ("a transaction too few", lambda db: db.transactions.delete_one({"_id": 2})),
    ("a customer too few", lambda db: db.customers.delete_one({"_id": 2})),
    ("a refused row too few", lambda db: db.quarantine.delete_one({"line": 5})),
    ("a row too many in the checkpoint", lambda db: db.loads.update_one({}, {"$inc": {"counts.read": 1}})),
)


@pytest.mark.parametrize("plant", [each[1] for each in PARTS], ids=[each[0] for each in PARTS])
def test_a_fault_in_an_interrupted_load_is_found(judged: Store, plant: Plant) -> None:
    """What is committed must be what the checkpoint counts."""
    judged.db.loads.delete_one({"file": "second.csv"})
    judged.db.transactions.delete_one({"_id": 5})
    judged.db.customers.delete_one({"_id": 5})
    assert judge_part(judged) == []
    plant(judged.db)
    assert len(judge_part(judged)) == 1


def test_a_traceback_in_the_output_is_found(judged: Store, files: list[Path]) -> None:
    """A defect of ours must not pass for an ordinary error."""
    assert judge(judged, files, "Traceback (most recent call last):\n") == ["a traceback was printed"]


def test_a_file_that_was_removed_must_leave_nothing(judged: Store, files: list[Path]) -> None:
    """The second file is there, and only the first is expected."""
    assert "1 transactions come from no file, one of them 5" in judge(judged, files[:1])


def test_the_spoiled_sample_has_every_kind_of_row(short_file: Path) -> None:
    """Otherwise, the loads under faults would not encounter them."""
    (found,) = expect([short_file])
    assert len(found.refused) > 20
    assert found.present > 5
    assert len(found.cents) == found.read - found.present - len(found.refused)
