"""`python -m pipelines` as a user runs it: a process, its output and its exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from pipelines.ask.queries import QUERIES, Query
from pipelines.ask.question import Source
from store.client import Store
from tests.support import oracle
from tests.support.places import ROOT

pytestmark = pytest.mark.live

Finished = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def expected(sample: Path) -> pd.DataFrame:
    """The sample, read by the oracle."""
    return oracle.read(sample)


@pytest.fixture
def of_loaded(environment: dict[str, str], loaded: Store) -> dict[str, str]:
    """The environment for a command on the loaded sample."""
    return environment | {"MONGODB_DATABASE": loaded.settings.database}


def run(environment: dict[str, str], *arguments: str) -> Finished:
    """`python -m pipelines ...`, through the real entry point."""
    command = [sys.executable, "-m", "pipelines", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


def refused(finished: Finished) -> str:
    """The single line of an error: exit 2, nothing on standard output, no traceback."""
    assert finished.returncode == 2
    assert finished.stdout == ""
    (line,) = finished.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def test_list_names_every_query_with_its_question(environment: dict[str, str]) -> None:
    """One line each, in the order of the catalogue; no server is needed."""
    finished = run(environment | {"MONGODB_URI": "mongodb://127.0.0.1:1"}, "list")
    assert (finished.returncode, finished.stderr) == (0, "")
    lines = [line.split(maxsplit=1) for line in finished.stdout.splitlines()]
    assert lines == [[query.slug, query.question] for query in QUERIES]


@pytest.mark.parametrize("query", QUERIES[::5], ids=lambda query: query.slug)
def test_run_answers_as_json(of_loaded: dict[str, str], expected: pd.DataFrame, query: Query) -> None:
    """The sentence, the rows with money as text, and the source."""
    finished = run(of_loaded, "run", query.slug, "--json")
    assert (finished.returncode, finished.stderr) == (0, "")
    answer = json.loads(finished.stdout)
    assert answer["rows"] == oracle.answer(expected, query.slug, {})["rows"]
    assert answer["answer"].endswith(".")
    assert answer["source"]


def test_run_takes_filters_more_than_once(of_loaded: dict[str, str], expected: pd.DataFrame) -> None:
    """Every kind of parameter, with dashes, in any letter case."""
    finished = run(
        of_loaded, "run", "revenue-by-segment", "--state", "texas", "--state", "OHIO", "--not-payment-method", "Card",
        "--from", "2019-02-03", "--to", "2023-10-11", "--interval", "year", "--limit", "7", "--json",
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    given = {
        "state": ["Texas", "Ohio"], "not_payment_method": ["Card"], "from": ["2019-02-03"], "to": ["2023-10-11"],
        "interval": ["year"], "limit": ["7"],
    }  # fmt: skip
    assert json.loads(finished.stdout)["rows"] == oracle.answer(expected, "revenue-by-segment", given)["rows"]


def test_a_command_has_no_columns(of_loaded: dict[str, str]) -> None:
    """They are the service's; a source that cannot answer is an error of the command's user."""
    finished = run(of_loaded, "run", "revenue-by-age-group", "--source", "columns")
    assert finished.returncode == 2
    assert "'columns' cannot answer this exactly" in finished.stderr
    assert "not in the memory of this process" in finished.stderr


@pytest.mark.parametrize("source", [source for source in Source if source not in (Source.AUTO, Source.COLUMNS)])
def test_run_takes_every_source(of_loaded: dict[str, str], expected: pd.DataFrame, source: Source) -> None:
    """All sources give the same answer."""
    finished = run(of_loaded, "run", "revenue-by-age-group", "--source", source.value, "--json")
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout)["rows"] == oracle.answer(expected, "revenue-by-age-group", {})["rows"]


def test_run_shows_a_table_to_people(of_loaded: dict[str, str], expected: pd.DataFrame) -> None:
    """The title, the answer, an aligned table, and where the answer came from."""
    finished = run(of_loaded, "run", "top-states", "--limit", "3")
    assert (finished.returncode, finished.stderr) == (0, "")
    title, sentence, blank, *table, blank_too, footer = finished.stdout.splitlines()
    assert (title, blank, blank_too) == ("Top 5 States by Total Sales", "", "")
    rows = oracle.answer(expected, "top-states", {"limit": ["3"]})["rows"]
    assert sentence.startswith(f"{rows[0]['state']} sells most: ${float(rows[0]['revenue']):,.2f} of $")
    assert table[0].split() == ["state", "transactions", "priced_transactions", "revenue", "average_spend"]
    assert len({len(line) for line in table}) == 1
    assert [line.split()[-2].replace(",", "") for line in table[1:]] == [row["revenue"] for row in rows]
    assert "data version" in footer


def test_run_compares_with_an_earlier_period(of_loaded: dict[str, str], expected: pd.DataFrame) -> None:
    """As JSON like the service; as a table with a column for each figure."""
    asked = ("run", "revenue-by-segment", "--from", "2024-01-01", "--to", "2024-12-31", "--compare", "previous_year")
    given = {"from": ["2024-01-01"], "to": ["2024-12-31"], "compare": ["previous_year"]}
    wanted = oracle.answer(expected, "revenue-by-segment", given)["rows"]
    assert json.loads(run(of_loaded, *asked, "--json").stdout)["rows"] == wanted
    header, *rows = run(of_loaded, *asked).stdout.splitlines()[3:-2]
    assert header.split()[5:7] == ["previous_transactions", "previous_priced_transactions"]
    assert [row.split()[-2] for row in rows] == [row["change_percent"]["revenue"] for row in wanted]


def test_run_says_that_nothing_matches(of_loaded: dict[str, str]) -> None:
    """An empty answer is an answer."""
    finished = run(of_loaded, "run", "daily-sales", "--to", "2000-01-01", "--json")
    assert finished.returncode == 0
    assert json.loads(finished.stdout)["rows"] == []
    assert json.loads(finished.stdout)["answer"] == "No transactions match."


def test_run_before_any_load_says_that_nothing_matches(environment: dict[str, str]) -> None:
    """An empty database is no error."""
    finished = run(environment, "run", "overall-summary", "--json")
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout)["answer"] == "No transactions match."


def test_explain_shows_what_is_read_and_the_pipeline(of_loaded: dict[str, str]) -> None:
    """For `raw`: the match and group stages, as they are sent."""
    finished = run(of_loaded, "explain", "hourly-sales", "--from", "2024-02-03", "--gender", "male", "--source", "raw")
    assert (finished.returncode, finished.stderr) == (0, "")
    for part in ('"$match"', '"$gte"', "2024-02-03", '"gender"', '"Male"', '"$group"', '"$hour"', "transactions"):
        assert part in finished.stdout
    assert "male" not in finished.stdout.replace("Female", "")


def test_explain_works_with_the_best_source(of_loaded: dict[str, str]) -> None:
    """Whatever that is."""
    finished = run(of_loaded, "explain", "daily-sales")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout


@pytest.mark.parametrize("command", ["run", "explain"])
def test_an_unknown_query_is_refused_in_one_line(of_loaded: dict[str, str], command: str) -> None:
    """With the nearest and the allowed ones."""
    line = refused(run(of_loaded, command, "top-stats"))
    assert "Unknown query 'top-stats'. Did you mean 'top-states'?" in line
    assert all(query.slug in line for query in QUERIES)


REFUSED = {
    "an unknown member": (("--state", "Texs"), "Unknown state 'Texs'. Did you mean 'Texas'?"),
    "an unknown negated member": (("--not-gender", "mal"), "Unknown not_gender 'mal'. Did you mean 'Male'?"),
    "an unknown interval": (("--interval", "mnth"), "Unknown interval 'mnth'. Did you mean 'month'?"),
    "a day that never was": (("--from", "2024-02-30"), "from: '2024-02-30' is not a valid date (expected YYYY-MM-DD)."),
    "a limit of nothing": (("--limit", "0"), "limit: '0' is not a whole number from 1 to 100,000."),
    "a line end in a member": (("--state", "Texas\nerror: no"), "Unknown state "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_one_line(of_loaded: dict[str, str], case: str) -> None:
    """Exit 2, and the line says where, what, and what would be valid."""
    arguments, said = REFUSED[case]
    assert said in refused(run(of_loaded, "run", "overall-summary", *arguments))


def test_an_unknown_option_is_a_usage_error(environment: dict[str, str]) -> None:
    """Exit 2, with the name of the option that was probably meant."""
    finished = run(environment, "run", "overall-summary", "--segmet", "Gold")
    assert finished.returncode == 2
    assert "--segment" in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("run", "--help")])
def test_every_command_has_help(environment: dict[str, str], arguments: tuple[str, ...]) -> None:
    """Exit 0 and usage on standard output."""
    finished = run(environment, *arguments)
    assert finished.returncode == 0
    assert finished.stdout.startswith("Usage: ")
