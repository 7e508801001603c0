"""Two members cannot get the same name; if a database has some nevertheless, no answer loses a row."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import DuplicateKeyError

from catalog.attributes import MAX_MEMBERS
from catalog.dimensions import UNKNOWN
from catalog.errors import LoadError, SourceRefused, UserError
from catalog.measures import NOTHING, Parts
from catalog.purchases import PURCHASES, STATE
from indexes.manage import apply
from loader.load import load
from loader.loads import runs
from loader.loads.options import Options
from loader.loads.quarantine import refused_rows
from loader.loads.rename import rename
from loader.loads.report import LoadReport
from pipelines.answer.answer import Answer
from pipelines.answer.answerer import Answerer
from pipelines.ask.explore import exploration
from pipelines.ask.queries import BY_SLUG, QUERIES
from pipelines.ask.question import Interval, Question, Source, ask
from pipelines.derived.refresh import refresh
from pipelines.derived.verify import verify
from service.app import create_app
from store.client import Reads, Store
from store.schema import read_vocabulary
from store.settings import Settings
from store.timing import Timer
from tests.support.places import ROOT

pytestmark = pytest.mark.live

HEADER = (
    "Transaction_ID,Transaction_date,Gender,Age,Marital_status,State_names,Segment,Employees_status,Payment_method,"
    "Referral,Amount_spent"
)
ADD = Options(new_members="add")


def row(number: int, state: str = "Texas", day: str = "2024-03-05", gender: str = "Male") -> str:
    """A line of a file."""
    return f"{number},{day}T10:00:00,{gender},30,Single,{state},Gold,Workers,Card,1,{number}.50"


def write(path: Path, *rows: str) -> Path:
    """A file of these rows."""
    path.write_text("\n".join((HEADER, *rows, "")))
    return path


def run(store: Store, path: Path, options: Options = ADD) -> LoadReport:
    """Load a file, however many rows are refused."""
    return load(store, path, options, 1.0, lambda done, total: None)


def answer(store: Store, slug: str, **given: str) -> Answer:
    """The answer to a client's question."""
    question = ask(BY_SLUG[slug], {name: [value] for name, value in given.items()}, read_vocabulary(store.outside))
    return Answerer(store).answer([question], Timer())[0]


def names(store: Store) -> list[str]:
    """The states that a new database does not have."""
    return [each["name"] for each in store.db.states.find({"_id": {"$gte": len(STATE.members)}}).sort("_id")]


def added_up(rows: Any) -> Parts:
    """The sum of the parts of all rows."""
    total = NOTHING
    for parts in rows:
        total = total.merge(parts or NOTHING)
    return total


# The literal.


def test_the_literal_unknown_joins_the_missing_ones(store: Store, tmp_path: Path) -> None:
    """Rows write it in several ways: one group, a filter that finds them all, and a comparison that loses none."""
    months = ("2024-02-05", "2024-03-05")
    states = ("", "Unknown", "UNKNOWN", " unknown ", "Texas")
    rows = [row(1 + 10 * m + n, state, day) for m, day in enumerate(months) for n, state in enumerate(states)]
    report = run(store, write(tmp_path / "a.csv", *rows, row(50, gender="unknown")))
    assert (report.inserted, report.quarantined, report.missing["State_names"]) == (11, 0, 8)
    assert names(store) == []
    found = answer(store, "top-states", compare="previous_period", **{"from": "2024-03-01", "to": "2024-03-31"})
    assert [(key, parts.transactions) for key, parts in found.rows] == [(("Texas",), 2), (("Unknown",), 4)]
    assert found.previous
    assert [parts.transactions for parts in found.previous.rows if parts] == [1, 4]
    assert answer(store, "overall-summary", state="UNKNOWN").total.transactions == 8
    assert answer(store, "overall-summary", not_state="unknown").total.transactions == 3
    assert verify(store, lambda done, total: None).ok


# Two names that are one.


def test_one_name_in_several_forms_is_one_member_over_several_loads(store: Store, tmp_path: Path) -> None:
    """Other letter case or composition is the same member; a look-alike is refused with the reason."""
    run(store, write(tmp_path / "a.csv", row(1, "Qu\u00e9bec"), row(2, "QUE\u0301BEC")))
    report = run(
        store, write(tmp_path / "b.csv", row(3, "que\u0301bec"), row(4, "\uff31u\u00e9bec"), row(5, "T\u0435xas"))
    )
    assert names(store) == ["Qu\u00e9bec"]
    assert (report.inserted, dict(report.reasons)) == (1, {"state_look_alike": 1, "state_unfit": 1})
    messages = [each["message"] for each in refused_rows(store, report.load_id)]
    assert "looks like the existing state 'Qu\u00e9bec'" in messages[0]
    assert "mixes Cyrillic and Latin letters" in messages[1]
    assert answer(store, "overall-summary", state="que\u0301bec").total.transactions == 3


@pytest.mark.parametrize("name", ["texas", "TEXAS", "\uff34exas", "Te\u200bxas", "UNKNOWN"])
def test_the_database_itself_refuses_a_second_member_of_one_name(store: Store, name: str) -> None:
    """The index on names is unique."""
    apply(store)
    with pytest.raises(DuplicateKeyError):
        store.db.states.insert_one({"_id": len(STATE.members), "name": name})
    store.db.states.insert_one({"_id": len(STATE.members), "name": "Que\u0301bec"})
    with pytest.raises(DuplicateKeyError):
        store.db.states.insert_one({"_id": len(STATE.members) + 1, "name": "Qu\u00e9bec"})


def test_a_loader_that_was_overtaken_says_so_and_goes_on_when_run_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it has read the members, another loader adds the same name in another case, and another name before it."""
    ours, theirs = write(tmp_path / "a.csv", row(1, "GUAM")), write(tmp_path / "b.csv", row(2, "Samoa"), row(3, "guam"))
    read = runs.read_directory

    def read_and_be_overtaken(reads: Reads, **options: Any) -> Any:
        found = read(reads, **options)
        monkeypatch.setattr(runs, "read_directory", read)
        with Store(store.settings) as other:
            run(other, theirs)
        return found

    monkeypatch.setattr(runs, "read_directory", read_and_be_overtaken)
    with pytest.raises(LoadError) as caught:
        run(store, ours)
    assert "Run the same command again" in str(caught.value)
    assert store.db.transactions.count_documents({}) == 2
    assert run(store, ours).inserted == 1
    assert names(store) == ["Samoa", "guam"]
    assert answer(store, "overall-summary", state="Guam").total.transactions == 2


def test_a_name_taken_under_another_code_stops_the_load_and_loses_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was inserted manually with a later code: MongoDB rejects the second one."""
    read = runs.read_directory

    def read_and_be_overtaken(reads: Reads, **options: Any) -> Any:
        found = read(reads, **options)
        store.db.states.insert_one({"_id": len(STATE.members) + 5, "name": "guam"})
        monkeypatch.setattr(runs, "read_directory", read)
        return found

    monkeypatch.setattr(runs, "read_directory", read_and_be_overtaken)
    path = write(tmp_path / "a.csv", row(1, "Guam"))
    with pytest.raises(LoadError, match="equivalent to 'Guam'"):
        run(store, path)
    assert store.db.transactions.count_documents({}) == 0
    assert run(store, path).inserted == 1  # no transaction has the skipped codes
    assert [each["name"] for each in store.db.states.find({"_id": {"$gte": len(STATE.members)}})] == ["guam"]


def test_two_loaders_at_once_add_one_name_once(store: Store, tmp_path: Path) -> None:
    """Each with its own letter case, concurrently; one may have to be run again, then both are complete."""
    apply(store)
    paths = [
        write(tmp_path / f"{n}.csv", *(row(100 * n + k, name) for k in range(9)))
        for n, name in ((1, "Guam"), (2, "GUAM"))
    ]
    ready = threading.Barrier(2)
    faults: list[Exception] = []

    def work(path: Path) -> None:
        with Store(store.settings) as own:
            ready.wait()
            try:
                run(own, path)
            except LoadError as error:
                faults.append(error)

    threads = [threading.Thread(target=work, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(isinstance(each, LoadError) and "Run the same command again" in str(each) for each in faults)
    for path in paths:
        run(store, path)
    refresh(store)
    assert [name.casefold() for name in names(store)] == ["guam"]
    assert answer(store, "overall-summary", state="guam").total.transactions == 18


# A database that holds a name twice.


@pytest.fixture(scope="module")
def hostile(server: Store, data_dir: Path, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with a year and a half of the sample, and members with equal names in each reference collection."""
    path = tmp_path_factory.mktemp("hostile") / "sample.csv"
    header, *lines = sample.read_text().splitlines(keepends=True)
    path.write_text(header + "".join(line for line in lines if "2022-07" < line.split(",")[1] < "2024-01"))
    with Store(Settings(database="test-members-hostile", data_dir=data_dir)) as filled:
        load(filled, path, Options(), 0.01, lambda done, total: None)
        spoil(filled)
        yield filled
        filled.client.drop_database(filled.settings.database)


def spoil(store: Store) -> None:
    """Give members the names of others, as a release without unique names could."""
    for dimension in PURCHASES.references:
        collection = store.db[str(dimension.collection)]
        collection.drop_indexes()
        for code, name in ((1, UNKNOWN), (2, "UNKNOWN"), (3, "unknown")):
            collection.update_one({"_id": code}, {"$set": {"name": name}})


COMPARED = {"compare": "previous_year", "from": "2023-08-01", "to": "2023-12-30"}


@pytest.mark.parametrize("source", list(Source))
@pytest.mark.parametrize("interval", [None, Interval.MONTH, Interval.WEEK])
@pytest.mark.parametrize("slug", [query.slug for query in QUERIES])
def test_rows_add_up_to_the_totals_whatever_the_names_are(
    hostile: Store, slug: str, interval: Interval | None, source: Source
) -> None:
    """For the present and the earlier period, from every source."""
    given = {**COMPARED, "source": source.value, "limit": "100000"}
    if interval is Interval.WEEK:
        given |= {"compare": "previous_period", "from": "2023-07-03", "to": "2023-12-31"}  # whole weeks
    try:
        found = answer(hostile, slug, **given, **({"interval": interval.value} if interval else {}))
    except SourceRefused:
        return
    assert found.total.transactions > 0
    assert added_up(parts for _, parts in found.rows) == found.total
    assert found.previous
    assert added_up(found.previous.rows) == found.previous.total
    assert len(set(found.rows.codes)) == len(found.rows.codes) == len(found.rows)


def test_members_of_one_name_stay_apart_in_the_same_order_from_every_source(hostile: Store) -> None:
    """One row each, also in a group-by with two dimensions, and in the rows of a table."""
    query = exploration(PURCHASES.references[:2])
    answers = []
    for source in (Source.AUTO, Source.PAGES, Source.RAW):
        found = Answerer(hostile).answer([Question(query, source=source)], Timer())[0]
        answers.append((found.rows, found.rows.codes))
        assert len(list(found.tuples())) == len(found.records()) == len(found.rows.codes)
    assert answers[0] == answers[1] == answers[2]
    states = answer(hostile, "top-states", limit="100")
    assert [key[0].casefold() for key, _ in states.rows].count("unknown") == 3


@pytest.mark.parametrize("dimension", PURCHASES.references, ids=lambda dimension: dimension.name)
def test_a_filter_by_a_name_that_several_members_have_reaches_all_of_them(hostile: Store, dimension: Any) -> None:
    """Its negation finds none of them; from every source."""
    whole = answer(hostile, "overall-summary").total.transactions
    wanted = hostile.db.transactions.count_documents({dimension.field: {"$lte": 3}})
    for source in (Source.AUTO, Source.PAGES, Source.RAW):
        found = answer(hostile, "overall-summary", source=source.value, **{dimension.name: "Unknown"})
        assert found.total.transactions == wanted
        without = answer(hostile, "overall-summary", source=source.value, **{f"not_{dimension.name}": "UnKnown"})
        assert without.total.transactions == whole - wanted
    assert found.filters[dimension.name] == ["Unknown", "UNKNOWN", "unknown"]


def test_over_http_no_reply_loses_a_row(hostile: Store) -> None:
    """JSON, CSV and the dashboard."""
    app = create_app(hostile.settings)
    try:
        client = app.test_client()
        for reply in client.get("/v1/dashboard", query_string=COMPARED).json["answers"]:
            if "limit" not in reply["query"]["filters"] and reply["rows"]:
                assert sum(each["transactions"] for each in reply["rows"]) == reply["totals"]["transactions"]
                before = sum((each["previous"] or {"transactions": 0})["transactions"] for each in reply["rows"])
                assert before == reply["totals"]["previous"]["transactions"]
        table = client.get("/v1/queries/revenue-by-segment.csv", query_string=COMPARED).text.splitlines()
        assert sum(line.casefold().startswith("unknown,") for line in table) == 3
    finally:
        app.extensions["connection"].close()


def test_it_can_still_be_loaded_into_and_the_first_member_of_a_name_is_taken(store: Store, tmp_path: Path) -> None:
    """Its unique indexes cannot be built yet; the loader checks the names."""
    run(store, write(tmp_path / "a.csv", row(1), row(2, "Ohio")))
    spoil(store)
    report = run(store, write(tmp_path / "b.csv", row(3, "Unknown"), row(4, "UNKNOWN"), row(5, "Guam"), row(6, "GUAM")))
    assert (report.status, report.inserted) == ("complete", 4)
    assert sorted(each["state_id"] for each in store.db.transactions.find({"_id": {"$gt": 2}})) == [0, 0, 51, 51]
    assert names(store) == ["Guam"]


def test_apply_says_which_members_share_a_name_and_what_to_do(store: Store, environment: dict[str, str]) -> None:
    """No traceback; its remedy works, and everything else is created."""
    apply(store)
    spoil(store)
    mine = environment | {"MONGODB_DATABASE": store.settings.database}
    refused = command(mine, "indexes", "apply")
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert "states has members with the same name: 0 'Unknown' and 1 'Unknown' and 2 'UNKNOWN'" in refused.stderr
    assert "python -m loader rename state 3 'unknown (3)'" in refused.stderr
    assert refused.stdout.count("REFUSED") == len(PURCHASES.references)
    listed = json.loads(command(mine, "indexes", "apply", "--json").stdout)
    assert {each["kind"] for each in listed} == {"refused"}
    for dimension in PURCHASES.references:
        for code in (1, 2, 3):
            done = command(mine, "loader", "rename", dimension.name, str(code), f"Number {code}")
            assert (done.returncode, done.stderr) == (0, "")
    assert command(mine, "indexes", "apply").stdout.count("created") == len(PURCHASES.references)
    assert command(mine, "indexes", "apply").stdout == "all indexes are as specified\n"


def command(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """`python -m ...`, through the real entry point."""
    given = [sys.executable, "-m", *arguments]
    return subprocess.run(given, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_a_member_gets_another_name_and_answers_show_it_at_once(store: Store, tmp_path: Path) -> None:
    """Also from an answerer that has just answered; a name that is taken, or a look-alike of one, is refused."""
    run(store, write(tmp_path / "a.csv", row(1, "Guam")))
    answerer = Answerer(store)

    def shown() -> list[Any]:
        question, directory = answerer.resolve(BY_SLUG["top-states"], {})
        return [key[0] for key, _ in answerer.answer([question], Timer(), directory)[0].rows]

    assert shown() == ["Guam"]
    assert rename(store, "state", len(STATE.members), "Guam (US)") == "Guam"
    assert shown() == ["Guam (US)"]
    for name in ("texas", "\uff34exas", "T\u0435xas", "unknown", " "):
        with pytest.raises(UserError):
            rename(store, "state", len(STATE.members), name)
    for code in (0, 4711):
        with pytest.raises(UserError):
            rename(store, "state", code, "Elsewhere")
    with pytest.raises(UserError):
        rename(store, "gender", 1, "Elsewhere")
    assert shown() == ["Guam (US)"]


# Very many members.


def test_more_members_than_a_dimension_takes_are_refused_and_kept(store: Store, tmp_path: Path) -> None:
    """Row by row, with a reason; members up to the limit are added, and every row is accounted for."""
    count = MAX_MEMBERS + 200
    report = run(store, write(tmp_path / "a.csv", *(row(number, f"Place {number:05d}") for number in range(count))))
    free = MAX_MEMBERS - len(STATE.members)
    assert (report.inserted, dict(report.reasons)) == (free, {"state_full": count - free})
    assert store.db.states.count_documents({}) == MAX_MEMBERS
    assert store.db.quarantine.count_documents({}) == count - free
    assert len(answer(store, "top-states", limit="100000").rows) == free
    assert verify(store, lambda done, total: None).ok


def test_an_unknown_member_is_told_50_names_the_nearest_and_where_all_of_them_are(store: Store, tmp_path: Path) -> None:
    """Over HTTP, with a vocabulary of several hundred."""
    run(store, write(tmp_path / "a.csv", *(row(number, f"Place {number:03d}") for number in range(500))))
    app = create_app(store.settings)
    try:
        client = app.test_client()
        for parameter in ("state", "not_state"):
            problem = client.get("/v1/queries/top-states", query_string={parameter: "Plaec 444"})
            assert problem.status_code == 422
            assert (len(problem.json["allowed"]), problem.json["nearest"]) == (50, "Place 444")
            assert "all 551 are listed at /v1/dimensions/state" in problem.json["detail"]
            assert len(problem.data) < 4_000
        assert len(client.get("/v1/dimensions/state").json["members"]) == 551
    finally:
        app.extensions["connection"].close()
