"""`python -m loader` as an admin runs it: what it prints, what it writes, and how it exits."""

import csv
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from catalog.purchases import PURCHASES
from store.client import Store
from store.settings import Settings
from tests.support.places import ROOT

pytestmark = pytest.mark.live

SECRET = "hunter2-secret"
UNREACHABLE = f"mongodb://admin:{SECRET}@127.0.0.1:1/?serverSelectionTimeoutMS=500"
SAMPLE_TEST_ROWS = 30_000
GOOD = "2024-05-17T13:45:00,Female,39,Single,Ohio,Gold,workers,Card,0"


def loader(environment: dict[str, str], *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run `python -m loader` with the arguments."""
    command = [sys.executable, "-m", "loader", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


def together(
    environment: dict[str, str], commands: Sequence[Sequence[object]]
) -> list["subprocess.CompletedProcess[str]"]:
    """Run several commands concurrently, since most of their time is Python's startup."""
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "loader", *map(str, arguments)],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for arguments in commands
    ]  # fmt: skip
    return [subprocess.CompletedProcess(each.args, each.wait(), *each.communicate(timeout=60)) for each in running]


def the_line(done: "subprocess.CompletedProcess[str]", exit_code: int) -> str:
    """The single line on standard error of a failed command."""
    assert done.returncode == exit_code, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert SECRET not in done.stderr + done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def write(path: Path, amounts: Iterable[str]) -> Path:
    """A CSV with these amounts."""
    rows = [f"{1000 + n},{GOOD},{amount}" for n, amount in enumerate(amounts)]
    path.write_text("\n".join([",".join(PURCHASES.header), *rows, ""]))
    return path


@pytest.fixture
def no_server(tmp_path: Path, environment: dict[str, str]) -> dict[str, str]:
    """An environment in which any use of a database fails."""
    (tmp_path / "no-folder").write_text("")
    return environment | {"DATA_DIR": str(tmp_path / "no-folder")}


def test_each_command_explains_itself(no_server: dict[str, str]) -> None:
    """`--help` needs no server, names the options, and the group names every exit code."""
    said = {
        "": (
            "check",
            "load",
            "sample",
            "status",
            "MONGODB_URI",
            "0 done",
            "1 failure",
            "2 usage",
            "3 file refused",
            "4 ",
        ),
        "load": ("FILES", "--customers", "--max-quarantined", "--json"),
        "check": ("FILES", "--max-quarantined", "--json"),
        "sample": ("OUT", "--rows", "--seed"),
        "status": ("--json",),
    }
    for done, (name, words) in zip(
        together(no_server, [[*name.split(), "--help"] for name in said]), said.items(), strict=True
    ):
        assert done.returncode == 0, done.stderr
        text = " ".join(done.stdout.split())
        assert all(word in text for word in words), (name, text)


def test_load_status_and_the_short_form(environment: dict[str, str], tmp_path: Path) -> None:
    """A file is loaded with the short form, again without effect with the long one, and status shows it."""
    path = write(tmp_path / "purchases.csv", ["1557.5", "", "0.01"])
    short = loader(environment, path)
    assert (short.returncode, short.stderr) == (0, "")
    assert "purchases.csv: complete" in short.stdout
    assert "inserted                     3" in short.stdout

    again = loader(environment, "load", path, "--json")
    assert (again.returncode, again.stderr) == (0, "")
    report = json.loads(again.stdout)
    assert report["repeated"] is True
    counts = {name: report[name] for name in ("status", "read", "inserted", "already_present", "quarantined")}
    assert counts == {"status": "complete", "read": 3, "inserted": 3, "already_present": 0, "quarantined": 0}
    assert report["missing"]["Amount_spent"] == 1

    told, as_json = together(environment, [["status"], ["status", "--json"]])
    assert (told.returncode, told.stderr) == (as_json.returncode, as_json.stderr) == (0, "")
    assert "purchases.csv: complete" in told.stdout
    status = json.loads(as_json.stdout)
    assert status["data_version"] > 0
    assert (status["documents"]["transactions"], status["documents"]["states"]) == (3, 51)
    (load,) = status["loads"]
    assert load["load_id"] == report["load_id"]
    assert load["missing"] == report["missing"]


def test_the_status_of_an_empty_database_is_no_fault(environment: dict[str, str]) -> None:
    """Before the first load, it lists no load and data version 0."""
    done = loader(environment, "status", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    status = json.loads(done.stdout)
    assert (status["data_version"], status["loads"]) == (0, [])
    assert set(status["documents"].values()) == {0}


def test_several_files_are_loaded_in_one_go(environment: dict[str, str], tmp_path: Path, server: Store) -> None:
    """Each is reported separately; the option selects profile customers."""
    first, second = write(tmp_path / "a.csv", ["1", "2"]), write(tmp_path / "b.csv", ["1", "2", "3"])
    done = loader(environment, "load", first, second, "--customers", "profile")
    assert done.returncode == 0, done.stderr
    assert "a.csv: complete" in done.stdout
    assert "b.csv: complete" in done.stdout
    database = server.client[environment["MONGODB_DATABASE"]]
    assert database.transactions.count_documents({}) == 3
    assert database.customers.count_documents({}) == 1


def test_check_reads_without_a_database(no_server: dict[str, str], tmp_path: Path) -> None:
    """It needs no server, counts as a load would, and its JSON parses."""
    path = write(tmp_path / "purchases.csv", ["1557.5", "NaN", ""])
    path.write_text(path.read_text() + f"1000,{GOOD},1557.5\n")
    text, as_json = together(
        no_server, [["check", path, "--max-quarantined", "50%"], ["check", path, "--max-quarantined", "0.5", "--json"]]
    )
    assert (text.returncode, text.stderr) == (0, "")
    assert "purchases.csv: checked" in text.stdout
    assert "amount_malformed" in text.stdout
    assert (as_json.returncode, as_json.stderr) == (0, "")
    report = json.loads(as_json.stdout)
    counts = {name: report[name] for name in ("status", "read", "inserted", "already_present", "quarantined")}
    assert counts == {"status": "checked", "read": 4, "inserted": 2, "already_present": 1, "quarantined": 1}
    assert report["reasons"] == {"amount_malformed": 1}


def test_a_check_foretells_the_load(environment: dict[str, str], sample: Path) -> None:
    """On a clean sample both report the same counts and gaps, under the same load id."""
    both = together(environment, [(name, sample, "--json") for name in ("check", "load")])
    checked, loaded = (json.loads(done.stdout) for done in both)
    same = ("load_id", "read", "inserted", "already_present", "quarantined", "reasons", "missing")
    assert {name: checked[name] for name in same} == {name: loaded[name] for name in same}


def test_a_sample_is_the_same_for_the_same_seed_and_like_the_real_file(
    no_server: dict[str, str], tmp_path: Path
) -> None:
    """Same seed, same bytes; another seed, others; gaps, dates and layout near those of the real file."""
    paths = [tmp_path / name for name in ("a.csv", "b.csv", "c.csv")]
    rows = ("--rows", SAMPLE_TEST_ROWS)
    commands = [
        ["sample", paths[0], *rows],
        ["sample", paths[1], *rows, "--seed", 42],
        ["sample", paths[2], *rows, "--seed", 1],
    ]
    for done in together(no_server, commands):
        assert done.returncode == 0, done.stderr
        assert f"{SAMPLE_TEST_ROWS:,} rows" in done.stdout
    content = paths[0].read_bytes()
    assert paths[1].read_bytes() == content
    assert paths[2].read_bytes() != content
    assert content.count(b"\r\n") == content.count(b"\n") == SAMPLE_TEST_ROWS + 1
    records = list(csv.DictReader(content.decode().splitlines()))
    assert tuple(records[0]) == PURCHASES.header
    gaps = Counter(column for record in records for column, value in record.items() if not value)
    shares = {"Gender": 0.011, "Age": 0.017, "Employees_status": 0.010, "Referral": 0.062, "Amount_spent": 0.096}
    assert set(gaps) == set(shares)
    for column, share in shares.items():
        assert gaps[column] / SAMPLE_TEST_ROWS == pytest.approx(share, abs=0.006), column
    dates = [record["Transaction_date"] for record in records]
    assert dates == sorted(dates)
    assert dates[0].startswith("2018-01-0")
    assert "2025-01-2" < dates[-1] < "2025-01-31"
    assert {record["Employees_status"] for record in records} == {
        "Employees", "workers", "self-employed", "Unemployment", "",
    }  # fmt: skip
    assert len({record["Transaction_ID"] for record in records}) == SAMPLE_TEST_ROWS


def test_a_refused_file_exits_with_3(environment: dict[str, str], tmp_path: Path) -> None:
    """A fault of the file, or no file at all: one line that names file and place."""
    bad, absent = tmp_path / "bad.csv", tmp_path / "absent.csv"
    bad.write_text("a,b\n1,2\n")
    wrong = f"{bad}, line 1"
    commands = [("load", bad), ("check", bad), ("load", absent), ("check", absent)]
    for done, said in zip(together(environment, commands), [wrong, wrong, *["cannot be read"] * 2], strict=True):
        assert said in the_line(done, 3)
        assert done.stdout == ""


def test_too_many_refused_rows_exit_with_4_after_the_report(environment: dict[str, str], tmp_path: Path) -> None:
    """Valid rows are inserted and reported; the exit code says that more rows were refused than allowed."""
    path = write(tmp_path / "purchases.csv", ["1", "2", "NaN", "-5"])
    for done in together(environment, [("load", path, "--json"), ("check", path, "--json")]):
        assert "2 of 4 rows were refused, more than the 1.00% allowed" in the_line(done, 4)
        report = json.loads(done.stdout)
        assert (report["inserted"], report["quarantined"]) == (2, 2)
        assert report["reasons"] == {"amount_malformed": 1, "amount_negative": 1}
    allowed = ("--max-quarantined", "50%")
    for done in together(environment, [("load", path, *allowed), ("check", path, *allowed)]):
        assert (done.returncode, done.stderr) == (0, "")


def test_wrong_usage_exits_with_2(no_server: dict[str, str]) -> None:
    """The last line says what is wrong, after the usage; there is no traceback."""
    said = {
        "load": "FILES",
        "sample x.csv --rows 0": "--rows",
        "load x.csv --customers nobody": "--customers",
        "load x.csv --max-quarantined 150%": "--max-quarantined",
        "load x.csv --max-quarantined nan": "--max-quarantined",
        "status --nonsense": "--nonsense",
    }
    for done, name in zip(together(no_server, [each.split() for each in said]), said.values(), strict=True):
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert "Traceback" not in done.stderr
        assert name in done.stderr.splitlines()[-1]


def test_an_unusable_setting_or_argument_exits_with_2(environment: dict[str, str], tmp_path: Path) -> None:
    """One line that names what to correct, never the password."""
    malformed = environment | {"MONGODB_URI": f"mongodb://admin:{SECRET}@host:port/"}
    status, sample = together(malformed, [["status"], ["sample", tmp_path / "no" / "a.csv", "--rows", 1]])
    assert "MONGODB_URI" in the_line(status, 2)
    assert "cannot be written" in the_line(sample, 2)


def test_an_unreachable_server_exits_with_1(environment: dict[str, str], tmp_path: Path) -> None:
    """One line with the remedy and without the password; the connection string says how long to wait for a server."""
    path = write(tmp_path / "purchases.csv", ["1"])
    for done in together(environment | {"MONGODB_URI": UNREACHABLE}, [["load", path], ["status"]]):
        assert "MongoDB cannot be reached. Check that it runs and that MONGODB_URI names it." in the_line(done, 1)
        assert done.stdout == ""
    with Store(Settings(uri=f"{UNREACHABLE.partition('?')[0]}?serverSelectionTimeoutMS=700")) as store:
        assert store.client.options.server_selection_timeout == 0.7


def test_a_refused_login_exits_with_1(environment: dict[str, str], server: Store, tmp_path: Path) -> None:
    """A wrong password is reported without being shown."""
    assert server.client.address
    host, port = server.client.address
    mine = environment | {"MONGODB_URI": f"mongodb://admin:{SECRET}@{host}:{port}/?directConnection=true"}
    line = the_line(loader(mine, "load", write(tmp_path / "purchases.csv", ["1"])), 1)
    assert "The user is unknown to MongoDB" in line


def test_a_folder_without_rights_exits_with_1(no_server: dict[str, str]) -> None:
    """The embedded server cannot use its folder: one line that names DATA_DIR."""
    assert "DATA_DIR" in the_line(loader(no_server, "status"), 1)
