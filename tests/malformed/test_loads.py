"""Each file of the corpus on the real server: what is stored, what is quarantined, what a refused file leaves."""

import csv
import subprocess
import sys
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from catalog.collections import CUSTOMERS, LOADS, PERIODS, QUARANTINE, REFERENCE_COLLECTIONS, TRANSACTIONS
from catalog.dimensions import day_number
from loader.__main__ import main
from loader.load import load
from loader.loads.options import Options
from loader.loads.quarantine import export
from loader.loads.report import LoadReport
from store.client import Store
from store.command import run
from store.schema import apply_schema
from store.settings import Settings
from tests.support.malformed.cases import READ, REFUSED, write
from tests.support.malformed.corpus import (
    CASES,
    DAY_AFTER,
    FIRST,
    HEADER,
    ROWS,
    SECOND,
    THIRD,
    TODAY,
    ZONE,
    Bad,
    Case,
    changed,
    text,
)
from tests.support.malformed.reader import Row
from tests.support.places import ROOT
from tests.support.rows import quietly

pytestmark = pytest.mark.live

WRITTEN = (TRANSACTIONS, CUSTOMERS, LOADS, QUARANTINE, PERIODS)
BY_COMMAND = ("a column is missing", "not UTF-8", "text after a closing quote", "gzip, cut")


@pytest.fixture(scope="module")
def own(server: Store, data_dir: Path) -> Iterator[Store]:
    """A store for this module, in the corpus's time zone."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    with Store(Settings(database=name, data_dir=data_dir, timezone=ZoneInfo(ZONE))) as store:
        yield store
        store.client.drop_database(name)


@pytest.fixture
def empty(own: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store without any load. The steps after the batches read no file, take most of the time, and are skipped."""
    monkeypatch.setattr("loader.load.refresh", lambda store: None)
    monkeypatch.setattr("loader.load.apply_indexes", lambda store, *_: apply_schema(store))
    # The table was made when the tests began, perhaps before midnight.
    monkeypatch.setattr("loader.loads.runs.tomorrow", lambda: day_number(DAY_AFTER) - 1)
    for collection in WRITTEN:
        own.db[collection.name].delete_many({})
    return own


def load_file(store: Store, path: Path) -> LoadReport:
    """Load a file, however many of its rows are refused."""
    return load(store, path, Options(timezone=ZONE), 1, quietly)


@pytest.mark.parametrize("case", READ)
def test_a_load_stores_what_the_table_says(empty: Store, tmp_path: Path, case: Case) -> None:
    """Every value of every good row, every refused row in quarantine, and every row counted once."""
    report = load_file(empty, write(tmp_path, case))
    assert stored(empty) == {row.transaction_id: row for row in case.kept.values()}
    assert empty.db.customers.distinct("_id") == sorted(stored(empty))

    bad = sorted((*case.bad, *case.conflicts), key=lambda each: each.line)
    for document, expected in zip(empty.db.quarantine.find().sort("line", 1), bad, strict=True):
        assert_quarantined(document, expected, report)

    present = case.present - len(case.conflicts)
    counts = (report.inserted, report.already_present, report.quarantined)
    assert counts == (len(case.kept), present, len(bad))
    assert report.read == sum(counts)
    (state,) = empty.db.loads.find()
    assert (state["status"], state["counts"]) == ("complete", report.counts)


def assert_quarantined(document: dict[str, Any], expected: Bad, report: LoadReport) -> None:
    """Check that the document contains the row's origin, its fault and its exact text."""
    message, value = document.pop("message"), document.pop("value")
    assert document == {
        "_id": f"{report.load_id}:{expected.line}",
        "load_id": report.load_id,
        "file": "purchases.csv",
        "line": expected.line,
        "column": expected.column,
        "reason": expected.reason,
        "raw": expected.raw,
    }
    assert expected.phrase in message
    assert value.replace('"', '""') in expected.raw or value in expected.raw


def stored(store: Store) -> dict[int, Row]:
    """The transactions by id, with names looked up and cents as dollars."""
    names = {each.name: {d["_id"]: d["name"] for d in store.db[each.name].find()} for each in REFERENCE_COLLECTIONS}
    found = {}
    for each in store.db.transactions.find():
        moment = each["transaction_date"].replace(tzinfo=None)
        assert (each["day"].date(), each["hour"]) == (moment.date(), moment.hour)
        found[each["_id"]] = Row(
            each["_id"],
            moment,
            each["gender"],
            each["age"],
            each["marital_status"],
            names["states"][each["state_id"]],
            names["segments"][each["segment_id"]],
            names["employment_status"][each["employment_status_id"]],
            names["payment_methods"][each["payment_method_id"]],
            each["referral"],
            None if each["amount_cents"] is None else Decimal(each["amount_cents"]).scaleb(-2),
        )
    return found


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_file_leaves_nothing(
    server: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: Case
) -> None:
    """`loader load` prints one line, exits with 3, and has not even created a database."""
    database = f"test-{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("DATA_DIR", str(server.settings.data_dir))
    monkeypatch.setenv("MONGODB_DATABASE", database)
    monkeypatch.setattr(sys, "argv", ["loader", "load", str(write(tmp_path, case))])
    with pytest.raises(SystemExit) as caught:
        run(main)
    said = capsys.readouterr()
    assert (caught.value.code, said.out) == (3, "")
    (line,) = said.err.splitlines()
    assert line.startswith(f"error: {tmp_path}")
    assert case.phrase in line
    assert database not in server.client.list_database_names()


def test_the_command_itself_refuses_a_file_at_fault(server: Store, environment: dict[str, str], tmp_path: Path) -> None:
    """As a process: exit code 3, one line on standard error, no traceback, nothing written."""
    cases = [case for case in CASES if case.name in BY_COMMAND]
    assert len(cases) == len(BY_COMMAND)
    running = []
    for number, case in enumerate(cases):
        folder = tmp_path / str(number)
        folder.mkdir()
        command = [sys.executable, "-m", "loader", "load", str(write(folder, case))]
        running.append(
            subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
    for case, each in zip(cases, running, strict=True):
        out, err = each.communicate(timeout=60)
        assert (each.returncode, out) == (3, ""), err
        (line,) = err.splitlines()
        assert line.startswith("error: ")
        assert case.phrase in line
    assert environment["MONGODB_DATABASE"] not in server.client.list_database_names()


FORMULAS = ("=1+1", "+1", "-1+1", "@SUM(1)", "\t=1", "\r=1", '=HYPERLINK("http://example.com")', "\uff1d1", "\u00a0=1")


def test_an_export_runs_nothing_and_can_be_mended_twice(empty: Store, tmp_path: Path) -> None:
    """No cell is a formula; corrected rows are loaded, and those still wrong can be exported and corrected again."""
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in FORMULAS]
    wrong = [changed("State_names", cell).replace("2,", f"{number},", 1) for number, cell in enumerate(quoted, 10)]
    path = tmp_path / "purchases.csv"
    path.write_bytes(text(FIRST, *wrong, SECOND, THIRD))
    report = load_file(empty, path)
    assert (report.inserted, report.quarantined) == (3, len(FORMULAS))

    once = tmp_path / "once.csv"
    assert export(empty, report.load_id, once) == len(FORMULAS)
    rows = table(once)
    assert [row["State_names"] for row in rows] == [f"'{cell}" for cell in FORMULAS]
    assert [int(row["Quarantine_line"]) for row in rows] == [3, 4, 5, 6, 7, 8, 10, 11, 12]
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]

    mend(once, rows[:-1])
    report = load_file(empty, once)
    assert (report.inserted, report.quarantined) == (len(FORMULAS) - 1, 1)

    twice = tmp_path / "twice.csv"
    assert export(empty, report.load_id, twice) == 1
    (row,) = rows = table(twice)
    header = twice.read_text(encoding="utf-8").splitlines()[0].split(",")
    assert len(header) == len(set(header)) == len(HEADER.split(",")) + 4, "the columns that explain are there once"
    assert int(row["Quarantine_line"]) == report.read + 1
    mend(twice, rows)
    report = load_file(empty, twice)
    assert (report.inserted, report.quarantined) == (1, 0)
    assert {row.state for row in stored(empty).values()} == {"Oklahoma", "Ohio"}
    assert len(stored(empty)) == len(ROWS) + len(FORMULAS)


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def mend(path: Path, rows: list[dict[str, str]]) -> None:
    """Write an exported file with a state in these rows, and the others unchanged."""
    mended = {row["Transaction_ID"] for row in rows}
    every = table(path)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(every[0]))
        writer.writeheader()
        writer.writerows(row | ({"State_names": "Ohio"} if row["Transaction_ID"] in mended else {}) for row in every)


def test_a_row_of_today_is_not_refused(empty: Store, tmp_path: Path) -> None:
    """Today is neither the future nor the past."""
    path = tmp_path / "purchases.csv"
    path.write_bytes(text(changed("Transaction_date", f"{TODAY}T00:00:00")))
    assert load_file(empty, path).inserted == 1
