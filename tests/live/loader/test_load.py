"""Loading on the real server: every row exactly once, however often and however abruptly it is interrupted."""

import csv
import subprocess
import sys
import time
from collections import Counter, namedtuple
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from bson.binary import Binary
from bson.int64 import Int64
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.errors import BulkWriteError, WriteError

from catalog.collections import COLLECTIONS, CUSTOMERS, REFERENCE_COLLECTIONS
from catalog.errors import AnalyticsError, FileRefused, TooManyQuarantined
from catalog.kinds import CODES
from catalog.purchases import MAX_AMOUNT_CENTS, PURCHASES
from loader.load import Options, load
from loader.loads.report import LoadReport
from loader.reading.clean import NULL, Clean
from loader.sample import write_sample
from loader.writing.documents import encode, profile, profile_ids
from pipelines.state.directory import read_version
from pipelines.state.lanes import read_loads
from store.client import Store
from store.schema import apply_schema
from store.settings import Settings
from tests.support.places import REAL_FILE, ROOT, SAMPLE_ROWS
from tests.support.rows import plain_row as row
from tests.support.rows import quietly, write

pytestmark = pytest.mark.live

BIG_ROWS = 165_000
HEADER = ",".join(PURCHASES.header)
Record = namedtuple("Record", [column.name for column in PURCHASES.columns])


def run(
    store: Store, path: Path, customers: str = "transaction", share: float = 0.01, progress: Any = quietly
) -> LoadReport:
    """Load a file."""
    return load(store, path, Options(customers), share, progress)


def load_of(store: Store) -> dict[str, Any]:
    """The only load with its current checkpoint; empty before there is one."""
    return next(iter(read_loads(store.outside, store.db.loads.find().to_list())), {})


def data_version(store: Store) -> int:
    """The data version; 0 before the first load."""
    return read_version(store.outside).number


class Totals(NamedTuple):
    """What a set of transactions adds up to."""

    rows: int
    ids: int
    priced: int
    cents: int


def totals_of_csv(path: Path) -> Totals:
    """The totals of a CSV's distinct transactions, with Python's csv and decimals, without the loader's code."""
    amounts: dict[str, str] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for record in csv.DictReader(file):
            amounts.setdefault(record["Transaction_ID"], record["Amount_spent"])
    priced = [Decimal(amount) for amount in amounts.values() if amount]
    return Totals(len(amounts), len(amounts), len(priced), int(sum(priced) * 100))


def totals_of(store: Store) -> Totals:
    """The totals of the database."""
    stored = list(store.db.transactions.find({}, {"amount_cents": 1}))
    cents = [each["amount_cents"] for each in stored if each["amount_cents"] is not None]
    return Totals(len(stored), len({each["_id"] for each in stored}), len(cents), sum(cents))


def test_a_sample_is_loaded_whole_and_to_the_cent(loaded: Store, sample: Path) -> None:
    """As many transactions as rows, each with its own customer, and the same sum of cents as in the CSV."""
    assert totals_of(loaded) == totals_of_csv(sample)
    assert loaded.db.customers.count_documents({}) == SAMPLE_ROWS
    (state,) = loaded.db.loads.find()
    assert state["status"] == "complete"
    assert state["counts"] == {"read": SAMPLE_ROWS, "inserted": SAMPLE_ROWS, "already_present": 0, "quarantined": 0}
    assert loaded.db.quarantine.count_documents({}) == 0


def test_the_missing_values_are_counted_as_they_stand_in_the_file(loaded: Store, sample: Path) -> None:
    """The missing values in the report and in the database are the CSV's empty fields."""
    with sample.open(newline="") as file:
        gaps = Counter(column for record in csv.DictReader(file) for column, value in record.items() if not value)
    (state,) = loaded.db.loads.find()
    assert {column: count for column, count in state["missing"].items() if count} == gaps
    unknown = {"Gender": {"gender": "Unknown"}, "Age": {"age": None}, "Referral": {"referral": "Unknown"},
               "Amount_spent": {"amount_cents": None}, "Employees_status": {"employment_status_id": 0}}  # fmt: skip
    assert {column: loaded.db.transactions.count_documents(query) for column, query in unknown.items()} == gaps


def test_each_stored_row_says_what_its_line_says(loaded: Store, sample: Path) -> None:
    """Field by field, for every row, with names looked up in the reference collections."""
    names = {each.name: {d["_id"]: d["name"] for d in loaded.db[each.name].find()} for each in REFERENCE_COLLECTIONS}
    stored = {each["_id"]: each for each in loaded.db.transactions.find()}
    referral = {"": "Unknown", "0": "Non-referral", "1": "Referral"}
    with sample.open(newline="") as file:
        for line in csv.DictReader(file):
            each = stored.pop(int(line["Transaction_ID"]))
            moment = datetime.fromisoformat(line["Transaction_date"]).replace(tzinfo=UTC)
            amount = each["amount_cents"]
            assert each["transaction_date"] == moment
            assert (each["day"], each["hour"]) == (moment.replace(hour=0, minute=0), moment.hour)
            assert (None if amount is None else Decimal(amount) / 100) == (
                Decimal(line["Amount_spent"]) if line["Amount_spent"] else None
            )
            assert each["age"] == (int(line["Age"]) if line["Age"] else None)
            assert each["gender"] == (line["Gender"] or "Unknown")
            assert each["marital_status"] == line["Marital_status"]
            assert each["referral"] == referral[line["Referral"]]
            assert names["states"][each["state_id"]] == line["State_names"]
            assert names["segments"][each["segment_id"]] == line["Segment"]
            assert names["payment_methods"][each["payment_method_id"]] == line["Payment_method"]
            status = names["employment_status"][each["employment_status_id"]]
            assert status.casefold() == (line["Employees_status"] or "Unknown").casefold()
    assert not stored


def test_a_customer_says_what_its_transaction_says(loaded: Store) -> None:
    """The embedded attributes are a copy: none differs."""
    customers = {each.pop("_id"): each for each in loaded.db.customers.find()}
    for each in loaded.db.transactions.find():
        customer = customers.pop(each["customer_id"])
        assert customer == {name: each[name] for name in customer}
    assert not customers


def test_the_same_file_again_does_nothing(store: Store, tmp_path: Path) -> None:
    """No row, no count and no data version changes; the report says so."""
    path = write(tmp_path / "a.csv", [row(number) for number in range(50)])
    first = run(store, path)
    version = data_version(store)
    again = run(store, path)
    assert again.repeated
    assert not first.repeated
    assert again.counts == first.counts == {"read": 50, "inserted": 50, "already_present": 0, "quarantined": 0}
    assert data_version(store) == version
    assert store.db.transactions.count_documents({}) == store.db.customers.count_documents({}) == 50
    assert store.db.loads.count_documents({}) == 1


def test_repeated_rows_count_as_already_present(store: Store, tmp_path: Path) -> None:
    """Rows repeated within a file and between files are inserted once."""
    first = run(store, write(tmp_path / "a.csv", [row(n) for n in (1, 2, 3, 2, 3, 3)]))
    assert first.counts == {"read": 6, "inserted": 3, "already_present": 3, "quarantined": 0}
    second = run(store, write(tmp_path / "b.csv", [row(n) for n in (2, 3, 4, 5, 5)]))
    assert second.counts == {"read": 5, "inserted": 2, "already_present": 3, "quarantined": 0}
    assert sorted(each["_id"] for each in store.db.transactions.find()) == [1, 2, 3, 4, 5]
    assert store.db.customers.count_documents({}) == 5


def test_an_id_with_other_content_is_a_conflict(store: Store, tmp_path: Path) -> None:
    """The first content stays; the other row is kept in quarantine with its line, its text and the reason."""
    run(store, write(tmp_path / "a.csv", [row(1), row(2)]))
    other = row(2, Amount_spent="99")
    report = run(store, write(tmp_path / "b.csv", [row(1), other, row(3)]), share=1)
    assert report.counts == {"read": 3, "inserted": 1, "already_present": 1, "quarantined": 1}
    assert report.reasons == {"id_conflict": 1}
    assert store.db.transactions.find_one({"_id": 2})["amount_cents"] == 1250
    (kept,) = store.db.quarantine.find()
    assert (kept["reason"], kept["line"], kept["column"], kept["value"], kept["raw"], kept["file"]) == (
        "id_conflict", 3, "Transaction_ID", "2", other, "b.csv",
    )  # fmt: skip


@pytest.mark.parametrize("customers", ["transaction", "profile"])
def test_a_conflict_within_one_file_is_found_too(store: Store, tmp_path: Path, customers: str) -> None:
    """Whichever field differs, with both kinds of customers."""
    changes = [{"Amount_spent": ""}, {"Transaction_date": "2024-05-18"}, {"Gender": "Male"},
               {"Payment_method": "PayPal"}, {"Age": ""}, {"Referral": ""}, {"State_names": "Texas"},
               {"Segment": "Basic"}, {"Employees_status": ""}, {"Marital_status": ""}]  # fmt: skip
    rows = [text for n, change in enumerate(changes) for text in (row(n), row(n, **change), row(n))]
    report = run(store, write(tmp_path / "a.csv", rows), customers, share=1)
    assert report.counts == {"read": 30, "inserted": 10, "already_present": 10, "quarantined": 10}
    assert report.reasons == {"id_conflict": 10}
    assert [each["line"] for each in store.db.quarantine.find().sort("line")] == list(range(3, 32, 3))
    assert store.db.transactions.count_documents({"amount_cents": 1250, "gender": "Female", "age": 39}) == 10


def test_every_refused_row_is_kept_with_its_reason(store: Store, tmp_path: Path) -> None:
    """One row for each kind of fault: nothing is dropped, and valid neighbours are inserted."""
    faults = {
        "id_missing": row(0, Transaction_ID=""),
        "date_impossible": row(1, Transaction_date="2024-02-30"),
        "age_out_of_range": row(2, Age="121"),
        "state_unknown": row(3, State_names="Texs"),
        "amount_malformed": row(4, Amount_spent="NaN"),
        "amount_negative": row(5, Amount_spent="-1"),
        "hidden_character": row(6, Gender="Fem\u202eale"),
        "field_count": row(7) + ",x",
        "over_long": row(8, Segment="x" * 300),
    }
    rows = [text for number, fault in enumerate(faults.values()) for text in (row(100 + number), fault)]
    report = run(store, write(tmp_path / "a.csv", rows), share=1)
    assert report.counts == {"read": 18, "inserted": 9, "already_present": 0, "quarantined": 9}
    assert report.reasons == dict.fromkeys(faults, 1)
    kept = {each["line"]: (each["reason"], each["raw"]) for each in store.db.quarantine.find()}
    assert kept == {3 + 2 * number: pair for number, pair in enumerate(faults.items())}


def test_a_refused_file_writes_nothing(store: Store, tmp_path: Path) -> None:
    """A fault of the whole file, even at its end, leaves no trace in the database."""
    path = write(tmp_path / "a.csv", [row(n) for n in range(10)])
    path.write_bytes(path.read_bytes() + b"\xff\n")
    with pytest.raises(FileRefused):
        run(store, path)
    assert store.db.list_collection_names() == []


def test_too_many_refused_rows_stop_a_load_that_can_go_on(store: Store, tmp_path: Path) -> None:
    """Above the share, the load stops; with a larger share, it continues and ends complete and exact."""
    rows = [row(n, Amount_spent="NaN" if n % 20 == 0 else "0.29") for n in range(22_000)]
    path = write(tmp_path / "a.csv", rows)
    with pytest.raises(TooManyQuarantined):
        run(store, path)
    (state,) = store.db.loads.find()
    assert state["status"] == "stopped"
    assert state["counts"]["read"] < 22_000
    report = run(store, path, share=0.05)
    assert report.counts == {"read": 22_000, "inserted": 20_900, "already_present": 0, "quarantined": 1_100}
    assert store.db.quarantine.count_documents({}) == 1_100
    assert totals_of(store) == Totals(20_900, 20_900, 20_900, 20_900 * 29)


def test_profiles_make_one_customer_each_and_the_same_transactions(store: Store, loaded: Store, sample: Path) -> None:
    """With `--customers profile` there are as many customers as profiles; transactions differ in nothing else."""
    report = run(store, sample, "profile")
    assert report.inserted == SAMPLE_ROWS

    def told(source: Store) -> list[dict[str, Any]]:
        hidden = {"customer_id": 0, "load_id": 0}
        return list(source.db.transactions.find({}, hidden).sort("_id"))

    assert told(store) == told(loaded)
    identity = ("gender", "age", "age_group", "marital_status")
    customers = {each["_id"]: each for each in store.db.customers.find()}
    transactions = list(store.db.transactions.find())
    assert len(customers) == len({tuple(each[name] for name in identity) for each in transactions})
    for each in transactions:
        assert customers[each["customer_id"]] == {"_id": each["customer_id"]} | {name: each[name] for name in identity}


def test_the_other_kind_of_customers_adds_nothing_twice(store: Store, tmp_path: Path) -> None:
    """Rows that are already stored count as present, whichever kind of customers they have."""
    path = write(tmp_path / "a.csv", [row(n) for n in range(20)])
    run(store, path)
    report = run(store, path, "profile")
    assert report.counts == {"read": 20, "inserted": 0, "already_present": 20, "quarantined": 0}
    assert store.db.transactions.count_documents({}) == store.db.customers.count_documents({}) == 20


def test_each_commit_that_changes_answers_changes_the_version(store: Store, tmp_path: Path) -> None:
    """New rows lead to a new data version; a file that adds none does not."""
    assert data_version(store) == 0
    run(store, write(tmp_path / "a.csv", [row(1), row(2)]))
    first = data_version(store)
    assert first > 0
    run(store, write(tmp_path / "b.csv", [row(2)]))
    assert data_version(store) == first
    run(store, write(tmp_path / "c.csv", [row(3)]))
    assert data_version(store) > first


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample of nine batches: enough for three kills, even if a kill comes late on a busy machine."""
    path = tmp_path_factory.mktemp("big") / "big.csv"
    write_sample(path, BIG_ROWS, 11, quietly)
    return path


def wait_for(store: Store, reached: Callable[[dict[str, Any]], bool], process: "subprocess.Popen[bytes]") -> None:
    """Wait until the load's document meets a condition."""
    deadline = time.monotonic() + 60
    while not reached(load_of(store)):
        assert process.poll() is None, "the load ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_killed_loader_resumes_without_a_duplicate(
    store: Store, environment: dict[str, str], data_dir: Path, big: Path
) -> None:
    """Killed with -9 at its start, right after a commit, and within the next transaction; it continues each time."""
    command = [sys.executable, "-m", "loader", "load", str(big)]
    mine = environment | {"MONGODB_DATABASE": store.settings.database}
    stood = [-1]
    for delay in (0.0, 0.0, 0.15):
        process = subprocess.Popen(command, cwd=ROOT, env=mine, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(store, lambda state: state.get("counts", {}).get("read", -1) > stood[-1], process)
        time.sleep(delay)
        process.kill()
        assert process.wait() == -9, "it was killed, it did not end by itself"
        stood.append(load_of(store)["counts"]["read"])
    assert stood[1] < stood[2] < stood[3] < BIG_ROWS, "each run took up where the last one stood"
    done = subprocess.run(command, cwd=ROOT, env=mine, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert totals_of(store) == totals_of_csv(big)
    assert store.db.customers.count_documents({}) == BIG_ROWS
    (state,) = store.db.loads.find()
    assert state["status"] == "complete"
    assert state["counts"] == {"read": BIG_ROWS, "inserted": BIG_ROWS, "already_present": 0, "quarantined": 0}


class Interrupted(Exception):
    """Stops a load between two batches."""


def interrupt(done: int, total: int) -> None:
    """A progress callback that stops the load after its first batch."""
    raise Interrupted


def test_a_loader_that_was_overtaken_stops_and_counts_nothing_twice(
    store: Store, data_dir: Path, tmp_path: Path
) -> None:
    """A second loader continues the same file and is stopped; the first one no longer finds its lanes and stops."""
    path = write(tmp_path / "a.csv", [row(n) for n in range(40_100)])  # three batches
    stood: list[int] = []

    def overtake(done: int, total: int) -> None:
        assert not stood, "the overtaken loader wrote another batch"
        with pytest.raises(Interrupted):
            run(store, path, progress=interrupt)
        stood.append(load_of(store)["counts"]["read"])

    mine = Settings(database=store.settings.database, data_dir=data_dir)
    with Store(mine) as overtaken, pytest.raises(AnalyticsError) as caught:
        run(overtaken, path, progress=overtake)
    assert "\n" not in str(caught.value)
    assert load_of(store)["counts"]["read"] == stood[0] == store.db.transactions.count_documents({})
    report = run(store, path)
    assert report.counts == {"read": 40_100, "inserted": 40_100, "already_present": 0, "quarantined": 0}
    assert totals_of(store) == totals_of_csv(path)


def test_a_transaction_left_open_by_a_killed_loader_does_not_hold_up_the_next(
    store: Store, server: Store, tmp_path: Path
) -> None:
    """The dead loader's session is ended on resume, so its uncommitted rows vanish at once, not after a minute."""
    path = write(tmp_path / "a.csv", [row(n) for n in range(20_100)])  # two batches
    with pytest.raises(Interrupted):
        run(store, path, progress=interrupt)
    with server.client.start_session() as dead:
        dead.start_transaction()
        store_of_dead = server.client[store.settings.database]
        store_of_dead.transactions.insert_one(GOOD_TRANSACTION | {"_id": Int64(20_050)}, session=dead)
        lsid = Binary.from_uuid(dead.session_id["id"].as_uuid())
        store.db.loads.update_one({}, {"$set": {"session": lsid}})
        begin = time.monotonic()
        report = run(store, path)
        assert time.monotonic() - begin < 40  # an open transaction lives for 60 s
    assert report.counts == {"read": 20_100, "inserted": 20_100, "already_present": 0, "quarantined": 0}
    assert totals_of(store) == totals_of_csv(path)


@pytest.mark.skipif(not REAL_FILE.exists(), reason="the real file is not here")
def test_the_real_file_of_the_older_kind_is_loaded_whole(store: Store) -> None:
    """Older dates, `Referal` and repeated rows: 2,512 rows are 2,500 transactions and 12 repeats."""
    report = run(store, REAL_FILE)
    assert report.counts == {"read": 2512, "inserted": 2500, "already_present": 12, "quarantined": 0}
    assert totals_of(store) == totals_of_csv(REAL_FILE)
    assert set(store.db.transactions.distinct("hour")) == {0}, "dates without a time are midnight"


def test_every_collection_has_its_validator(loaded: Store) -> None:
    """The server enforces what the catalog declares."""
    enforced = {each["name"]: each["options"] for each in loaded.db.list_collections()}
    assert set(enforced) == {collection.name for collection in COLLECTIONS}
    for collection in COLLECTIONS:
        assert enforced[collection.name]["validator"] == collection.validator
        assert enforced[collection.name].get("validationLevel", "strict") == "strict"
        assert enforced[collection.name].get("validationAction", "error") == "error"


def test_the_documents_in_the_database_satisfy_the_validators(loaded: Store) -> None:
    """Although the loader bypasses them, no stored document violates its schema."""
    for collection in COLLECTIONS:
        assert loaded.db[collection.name].find_one({"$nor": [collection.validator]}) is None, collection.name


def test_an_older_validator_is_brought_up_to_date(store: Store) -> None:
    """Applying the schema to a database of an earlier version changes the validators, and again changes nothing."""
    store.db.create_collection("transactions", validator={"$jsonSchema": {"required": ["x"]}})
    for _ in range(2):
        apply_schema(store)
        test_every_collection_has_its_validator(store)
    assert store.db.states.count_documents({}) == 51


MISSING_FIELD = object()
GOOD_TRANSACTION = {
    "_id": Int64(1), "customer_id": Int64(1), "payment_method_id": 1, "amount_cents": Int64(5), "hour": 13,
    "transaction_date": datetime(2024, 5, 17, 13, 45, tzinfo=UTC), "day": datetime(2024, 5, 17, tzinfo=UTC),
    "age": 39, "age_group": "35-44", "gender": "Female", "marital_status": "Single", "referral": "Referral",
    "state_id": 1, "segment_id": 1, "employment_status_id": 1, "load_id": "a1b2",
}  # fmt: skip


@pytest.fixture(scope="module")
def guarded(server: Store, data_dir: Path) -> Iterator[Store]:
    """A database with validators, for documents that must be rejected."""
    with Store(Settings(database="guarded", data_dir=data_dir)) as empty:
        apply_schema(empty)
        yield empty


def test_a_good_document_is_taken(guarded: Store) -> None:
    """The rejected documents below differ from it."""
    guarded.db.transactions.insert_one(dict(GOOD_TRANSACTION))
    guarded.db.transactions.delete_many({})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("_id", 1), ("_id", "1"), ("amount_cents", 5.5), ("amount_cents", 5), ("amount_cents", Int64(-1)),
        ("amount_cents", Int64(MAX_AMOUNT_CENTS + 1)), ("amount_cents", "5"), ("amount_cents", MISSING_FIELD),
        ("hour", 24), ("hour", -1), ("hour", None), ("age", 121), ("age", -1), ("age", 39.0), ("age", MISSING_FIELD),
        ("age_group", "old"), ("gender", ""), ("gender", None), ("marital_status", "married"), ("referral", 1),
        ("state_id", None), ("state_id", -1), ("segment_id", "Gold"), ("payment_method_id", MISSING_FIELD),
        ("transaction_date", "2024-05-17"), ("day", MISSING_FIELD), ("customer_id", None), ("load_id", 7), ("extra", 1),
    ],
)  # fmt: skip
def test_a_bad_document_is_refused(guarded: Store, field: str, value: Any) -> None:
    """The server rejects a manually inserted document that is not as declared."""
    document = GOOD_TRANSACTION | {field: value}
    if value is MISSING_FIELD:
        del document[field]
    with pytest.raises(WriteError) as caught:
        guarded.db.transactions.insert_one(document)
    assert caught.value.code == 121


@pytest.mark.parametrize("collection", COLLECTIONS, ids=lambda collection: collection.name)
def test_every_collection_refuses_an_unknown_field(guarded: Store, collection: Any) -> None:
    """No collection accepts a document with other fields."""
    with pytest.raises(WriteError) as caught:
        guarded.db[collection.name].insert_one({"_id": "x", "unheard_of": True})
    assert caught.value.code == 121


any_code = st.sampled_from([0, 1, 300, CODES - 1])
any_record = st.builds(
    Record,
    st.integers(0, 2**63 - 1), st.sampled_from([0, 86_399_999, 86_400_000, 4_102_444_799_999]) | st.integers(0, 2**41),
    st.integers(0, 2), st.integers(NULL, 120), st.integers(0, 2), any_code, any_code, any_code, any_code,
    st.integers(0, 2), st.sampled_from([NULL, 0, 1, 2**31, MAX_AMOUNT_CENTS]) | st.integers(NULL, MAX_AMOUNT_CENTS),
)  # fmt: skip


@given(st.lists(any_record, min_size=1, max_size=40, unique_by=lambda record: record.transaction_id))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_validators_take_every_document_that_the_encoder_makes(guarded: Store, rows: list[Record]) -> None:
    """Extreme and random rows: this is why the loader may bypass the validators."""
    columns = {name: np.array([getattr(each, name) for each in rows], np.int64) for name in Record._fields}
    clean = Clean(np.arange(len(rows)), [b""] * len(rows), columns, [])
    profiles = profile_ids(clean)
    customers, transactions = encode(clean, columns["transaction_id"], "a1b2")
    _, of_profiles = encode(clean, profiles, "a1b2")
    batches = (
        (CUSTOMERS.name, customers), (CUSTOMERS.name, [profile(each) for each in set(profiles.tolist())]),
        ("transactions", transactions), ("transactions", of_profiles),
    )  # fmt: skip
    for name, documents in batches:
        try:
            guarded.db[name].insert_many(documents)
        except BulkWriteError as error:
            pytest.fail(f"refused: {error.details}")
        guarded.db[name].delete_many({})
