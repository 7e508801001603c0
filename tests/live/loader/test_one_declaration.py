"""A new column or dimension is one new entry: from sample to reply, also for an existing database.

Two of the entries are those of CONTRIBUTING.md. `tests/support/declared.py` runs commands and the service as if the
entry were in `catalog/purchases.py`. Their answers are compared with the counted rows of the CSV.
"""

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from bson.int64 import Int64
from pymongo.errors import WriteError

from store.client import Store
from tests.support.declared import ENTRIES
from tests.support.places import ROOT

pytestmark = pytest.mark.live

ROWS = 3_000
COLUMNS = [name for name in ENTRIES if name != "part of the date"]
each_entry = pytest.mark.parametrize("entry", ENTRIES)
each_column = pytest.mark.parametrize("entry", COLUMNS)
Row = dict[str, str]
SAME = {"web": "Web", "Web": "Web", "Shop": "Shop", "Phone": "Phone", "": "Unknown"}


def label_of(entry: str, row: Row) -> str:
    """The new dimension's label for a row of the CSV."""
    if entry == "part of the date":
        return f"Q{(int(row['Transaction_date'][5:7]) + 2) // 3}"
    if entry == "bands of a number":
        items = row.get("Items", "")
        return "Unknown" if not items else "Phone" if int(items) < 3 else "Shop" if int(items) < 6 else "Web"
    return SAME[row.get("Channel", "")]


def name_of(entry: str) -> str:
    """The new dimension's name."""
    return "quarter" if entry == "part of the date" else "channel"


class Programs:
    """The program with each new entry, and unchanged (an empty entry): one process each, started on first use."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._running: dict[str, subprocess.Popen[str]] = {}

    def obey(self, entry: str, arguments: list[str], database: str) -> Any:
        """The program's reply to a command."""
        if entry not in self._running:
            self._running[entry] = subprocess.Popen(
                [sys.executable, "-m", "tests.support.declared", entry], cwd=ROOT, env=self._environment, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
        process = self._running[entry]
        assert process.stdin
        assert process.stdout
        request = {"arguments": arguments, "environment": {"MONGODB_DATABASE": database}}
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    def end(self) -> None:
        """End the processes."""
        for process in self._running.values():
            process.communicate(timeout=30)


@dataclass(frozen=True)
class Program:
    """The program on one database."""

    programs: Programs
    database: str

    def run(self, entry: str, *arguments: str | Path, code: int = 0) -> str:
        """Run a command; returns its output."""
        done = self.programs.obey(entry, [*map(str, arguments)], self.database)
        assert done["code"] == code, done["said"]
        return str(done["said"])

    def ask(self, entry: str, *paths: str) -> list[Any]:
        """The bodies of the service's replies."""
        replies = self.programs.obey(entry, ["http", *paths], self.database)["replies"]
        assert [status for status, _ in replies] == [200] * len(paths), replies
        return [body for _, body in replies]

    def refused(self, entry: str, path: str) -> str:
        """The detail of a 422 reply."""
        ((status, body),) = self.programs.obey(entry, ["http", path], self.database)["replies"]
        assert status == 422
        return str(body["detail"])

    def verify(self, entry: str) -> dict[str, Any]:
        """The result of `loader verify`."""
        found: dict[str, Any] = json.loads(self.run(entry, "loader", "verify", "--json"))
        assert found["ok"]
        assert not found["shown"]
        return found


@pytest.fixture(scope="module")
def programs(data_dir: Path, server: Store) -> Iterator[Programs]:
    """The program with each entry, on this run's server."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    started = Programs(kept | {"DATA_DIR": str(data_dir)})
    yield started
    started.end()


@pytest.fixture
def program(programs: Programs, store: Store) -> Program:
    """The program on an empty database."""
    return Program(programs, store.settings.database)


def read(path: Path) -> list[Row]:
    """The rows of a CSV."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[Row]) -> Path:
    """A CSV of these rows."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def moved(rows: list[Row], by: int) -> list[Row]:
    """The same rows with other ids."""
    return [row | {"Transaction_ID": str(int(row["Transaction_ID"]) + by)} for row in rows]


def counted(rows: Iterable[Row], *by: Callable[[Row], str]) -> dict[tuple[str, ...], tuple[int, int, str]]:
    """Transactions, priced transactions and revenue by group, counted from the rows."""
    transactions: Counter[tuple[str, ...]] = Counter()
    priced: Counter[tuple[str, ...]] = Counter()
    revenue: dict[tuple[str, ...], Decimal] = {}
    for row in rows:
        key = tuple(each(row) for each in by)
        transactions[key] += 1
        priced[key] += bool(row["Amount_spent"])
        revenue[key] = revenue.get(key, Decimal("0.00")) + Decimal(row["Amount_spent"] or 0)
    return {key: (count, priced[key], f"{revenue[key]:.2f}") for key, count in transactions.items()}


def answered(body: Any, *by: str) -> dict[tuple[str, ...], tuple[int, int, str]]:
    """The same from a reply."""
    return {
        tuple(str(row[name]) for name in by): (row["transactions"], row["priced_transactions"], row["revenue"])
        for row in body["rows"]
    }


def gender(row: Row) -> str:
    """As a reply has it."""
    return row["Gender"] or "Unknown"


def segment(row: Row) -> str:
    """As a reply has it."""
    return row["Segment"]


def is_answered_exactly(program: Program, entry: str, rows: list[Row], sources: tuple[str, ...]) -> None:
    """Check group-bys and filters with the new dimension, alone and with others, from each source, against the CSV."""
    name = name_of(entry)

    def new(row: Row) -> str:
        return label_of(entry, row)

    def month(row: Row) -> str:
        return f"{row['Transaction_date'][:7]}-01"

    one, other = ("Q1", "Q3") if name == "quarter" else ("Unknown", "Web")
    year = [row for row in rows if row["Transaction_date"][:4] == "2020"]
    asked: dict[str, tuple[Any, tuple[str, ...]]] = {
        f"/v1/explore?by={name}": (counted(rows, new), (name,)),
        f"/v1/explore?by={name}&from=2020-01-01&to=2020-12-31": (counted(year, new), (name,)),
        f"/v1/explore?by=gender&by={name}": (counted(rows, gender, new), ("gender", name)),
        f"/v1/explore?by={name}&interval=month": (counted(rows, month, new), ("interval", name)),
        f"/v1/explore?by={name}&by=gender&by=segment": (
            counted(rows, new, gender, segment), (name, "gender", "segment"),
        ),
        f"/v1/queries/revenue-by-segment?{name}={one}&{name}={other}": (
            counted((row for row in rows if new(row) in (one, other)), segment), ("segment",),
        ),
        f"/v1/queries/revenue-by-segment?not_{name}={one}&gender=female": (
            counted((row for row in rows if new(row) != one and gender(row) == "Female"), segment), ("segment",),
        ),
        f"/v1/explore?by={name}&not_{name}={other}&{name}={other}&{name}={one}": (
            counted((row for row in rows if new(row) == one), new), (name,),
        ),
    }  # fmt: skip
    paths = [(path, source) for path in asked for source in sources if source != "rollup" or can_be_rollup(path)]
    bodies = program.ask(entry, *(f"{path}{'&' if '?' in path else '?'}source={source}" for path, source in paths))
    for (path, source), body in zip(paths, bodies, strict=True):
        expected, by = asked[path]
        assert answered(body, *by) == expected, (path, source)
        assert sum(row[0] for row in expected.values()) == body["totals"]["transactions"]
        assert body["meta"]["source"] in ("none", source) or source == "auto", (path, body["meta"])


def can_be_rollup(path: str) -> bool:
    """Whether the question has at most two dimensions."""
    return "by=gender&by=segment" not in path and "&gender=female" not in path


@each_entry
def test_one_entry_is_all_that_a_column_or_a_dimension_needs(program: Program, tmp_path: Path, entry: str) -> None:
    """Sample, load, refresh, verification, each source, HTTP with its vocabulary and its schema, the dashboard, CSV."""
    file, name = tmp_path / "sample.csv", name_of(entry)
    program.run(entry, "loader", "sample", file, "--rows", str(ROWS))
    rows = read(file)
    assert len({label_of(entry, row) for row in rows}) == 4
    report = json.loads(program.run(entry, "loader", "load", file, "--json"))
    assert (report["inserted"], report["quarantined"]) == (ROWS, 0)
    if entry in COLUMNS:
        column = list(rows[0])[-2]
        assert report["missing"][column] == sum(not row[column] for row in rows) > 0
    assert program.run(entry, "loader", "refresh") == "built 0 months and 0 years\n"
    assert program.verify(entry)["rows"] == ROWS
    is_answered_exactly(program, entry, rows, ("auto", "columns", "rollup", "pages", "raw"))

    schema = "/openapi.json"
    dimension, everything, table, dashboard, document = program.ask(
        entry, f"/v1/dimensions/{name}", "/v1/dimensions", f"/v1/explore.csv?by={name}",
        f"/v1/dashboard?{name}={label_of(entry, rows[0])}", schema,
    )  # fmt: skip
    members = ["Q1", "Q2", "Q3", "Q4"] if name == "quarter" else ["Unknown", "Phone", "Shop", "Web"]
    assert dimension["members"] == members
    assert dimension["parameters"] == [name, f"not_{name}"]
    assert dimension in everything["dimensions"]
    expected = counted(rows, lambda row: label_of(entry, row))
    assert {(row[name],): (int(row["transactions"]), row["revenue"]) for row in csv.DictReader(table.splitlines())} == {
        key: (count, revenue) for key, (count, _, revenue) in expected.items()
    }
    total = expected[(label_of(entry, rows[0]),)]
    for answer in dashboard["answers"]:
        assert answer["query"]["filters"][name] == [label_of(entry, rows[0])]
        assert (answer["totals"]["transactions"], answer["totals"]["revenue"]) == (total[0], total[2])
    parameters = {each["name"] for each in document["paths"]["/v1/queries/top-states"]["get"]["parameters"]}
    assert {name, f"not_{name}"} <= parameters
    assert name in document["components"]["schemas"]["AnswerRow"]["properties"]
    assert f"not_{name}" in program.refused(entry, f"/v1/queries/top-states?not_{name}=Wob")


@each_column
def test_a_malformed_field_of_it_goes_to_quarantine(program: Program, tmp_path: Path, entry: str) -> None:
    """With its column and its own reason; an empty field is missing."""
    file = tmp_path / "sample.csv"
    program.run(entry, "loader", "sample", file, "--rows", "20")
    rows = read(file)
    column = list(rows[0])[-2]
    rows[3][column], rows[4][column] = "Wob", ""
    report = json.loads(program.run(entry, "loader", "load", write(file, rows), "--json", "--max-quarantined", "1"))
    reason = "items_malformed" if column == "Items" else "channel_unknown"
    assert (report["inserted"], report["reasons"]) == (19, {reason: 1})
    refused = json.loads(program.run(entry, "loader", "quarantine", report["load_id"], "--json"))
    assert [(row["line"], row["column"], row["value"]) for row in refused] == [(5, column, "Wob")]


@each_entry
def test_a_database_from_before_the_entry_is_brought_up_to_date(
    program: Program, store: Store, tmp_path: Path, entry: str
) -> None:
    """Its months are stale until a refresh; older files load with Unknown, and files with the column load as well."""
    old_file, new_file = tmp_path / "old.csv", tmp_path / "new.csv"
    program.run("", "loader", "sample", old_file, "--rows", str(ROWS))
    program.run("", "loader", "load", old_file)
    rows = read(old_file)
    assert program.verify("")["stale"] == 0
    stale = program.verify(entry)["stale"]
    assert stale > 50
    is_answered_exactly(program, entry, rows, ("auto", "raw"))
    assert "changed since they were built" in program.refused(entry, f"/v1/explore?by={name_of(entry)}&source=rollup")

    assert program.run(entry, "loader", "refresh").startswith(f"built {stale} months and ")
    assert (program.verify(entry)["stale"], program.verify("")["stale"]) == (0, stale), "and the other way round"
    is_answered_exactly(program, entry, rows, ("columns", "rollup", "pages", "raw"))

    program.run(entry, "loader", "load", write(tmp_path / "older.csv", moved(rows, 100_000)))
    rows += moved(rows, 100_000)
    program.run(entry, "loader", "sample", new_file, "--rows", str(ROWS), "--seed", "5")
    new_rows = moved(read(new_file), 200_000)
    report = json.loads(program.run(entry, "loader", "load", write(new_file, new_rows), "--json"))
    assert (report["inserted"], report["quarantined"]) == (ROWS, 0)
    rows += new_rows
    assert program.verify(entry)["rows"] == 3 * ROWS
    is_answered_exactly(program, entry, rows, ("auto", "columns", "rollup", "pages", "raw"))

    lacking = [{**row, "Transaction_ID": row["Transaction_ID"]} for row in reversed(read(old_file))]
    report = json.loads(program.run(entry, "loader", "load", write(tmp_path / "again.csv", lacking), "--json"))
    assert (report["already_present"], report["quarantined"]) == (ROWS, 0), "what it lacks is unknown, as in the file"
    is_guarded(store.db, entry)


def is_guarded(database: Any, entry: str) -> None:
    """Check that the validators are up to date: they know the new field and its valid values."""
    if entry not in COLUMNS:
        return
    whole = database.transactions.find_one({"_id": {"$gte": 200_000}})
    assert whole
    field = next(name for name in ("channel_id", "channel", "items") if name in whole)
    at = {"_id": Int64(10**9), "transaction_date": datetime(2020, 1, 1, tzinfo=UTC)}
    database.transactions.insert_one(whole | at)
    database.transactions.delete_one({"_id": at["_id"]})
    for wrong in ({field: "Wob"}, {field: -1}):
        with pytest.raises(WriteError, match="validation"):
            database.transactions.insert_one(whole | at | wrong)


@each_column
def test_a_file_with_the_column_is_loaded_in_place_of_one_without(program: Program, tmp_path: Path, entry: str) -> None:
    """The same purchases with one more column have different content; once the former load is removed, they load."""
    old_file, new_file = tmp_path / "old.csv", tmp_path / "new.csv"
    program.run(entry, "loader", "sample", new_file, "--rows", "500")
    rows = read(new_file)
    column = list(rows[0])[-2]
    write(old_file, [{name: value for name, value in row.items() if name != column} for row in rows])
    former = json.loads(program.run("", "loader", "load", old_file, "--json"))
    assert "unknown column" in program.run("", "loader", "load", new_file, code=3)
    known = sum(bool(row[column]) for row in rows)
    report = json.loads(program.run(entry, "loader", "load", new_file, "--json", "--max-quarantined", "1"))
    assert (report["already_present"], report["reasons"]) == (500 - known, {"id_conflict": known})
    program.run(entry, "loader", "remove", former["load_id"])
    program.run(entry, "loader", "remove", report["load_id"])
    write(new_file, rows[::-1])
    assert json.loads(program.run(entry, "loader", "load", new_file, "--json"))["inserted"] == 500
    program.verify(entry)
    is_answered_exactly(program, entry, rows, ("columns", "rollup", "pages", "raw"))
