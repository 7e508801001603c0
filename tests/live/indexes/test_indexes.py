"""Indexes: created, repaired, shown to be used, and counted; on the real server, by functions and commands."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catalog.collections import COLLECTIONS
from indexes.manage import Change, apply, differences, usage, verify
from indexes.specifications import INDEXES, IndexSpec
from loader.load import Options, load
from pipelines.answer.answerer import Answerer
from pipelines.ask.queries import BY_SLUG
from pipelines.ask.question import ask
from store.client import Store
from store.schema import apply_schema, read_vocabulary
from store.settings import Settings
from store.timing import Timer
from tests.support.places import ROOT

pytestmark = pytest.mark.live

RANGE = "transactions", "day_1_hour_1"
STATE = "transactions", "state_id_1_day_1"
NAMES = {(spec.collection, spec.name) for spec in INDEXES}


@pytest.fixture(scope="module")
def filled(server: Store, data_dir: Path, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with a few months of the sample and all indexes. A test that drops an index recreates it."""
    path = tmp_path_factory.mktemp("indexes") / "sample.csv"
    header, *lines = sample.read_text().splitlines(keepends=True)
    path.write_text(header + "".join(line for line in lines if "2023-12" < line.split(",")[1] < "2024-04"))
    with Store(Settings(database="test-indexes-filled", data_dir=data_dir)) as store:
        load(store, path, Options(), 0.01, lambda done, total: None)
        yield store
        store.client.drop_database(store.settings.database)


@pytest.fixture(scope="module")
def prepared(server: Store, data_dir: Path) -> Iterator[Store]:
    """A store with all indexes, and without data."""
    with Store(Settings(database="test-indexes-prepared", data_dir=data_dir)) as store:
        apply(store)
        yield store
        store.client.drop_database(store.settings.database)


@pytest.fixture
def ready(prepared: Store) -> Iterator[Store]:
    """The same; whatever a test leaves behind is repaired."""
    before = information(prepared)
    yield prepared
    for name, indexes in information(prepared).items():
        if indexes != before[name]:
            prepared.db[name].drop_indexes()
    apply(prepared)


def information(store: Store) -> dict[str, Any]:
    """MongoDB's information on the indexes of each collection, by name."""
    return {each.name: store.db[each.name].index_information() for each in COLLECTIONS}


def existing(store: Store) -> set[tuple[str, str]]:
    """Collection and name of every index except those on `_id`."""
    return {
        (collection.name, name)
        for collection in COLLECTIONS
        for name in store.db[collection.name].index_information()
        if name != "_id_"
    }


def spec_of(index: tuple[str, str]) -> IndexSpec:
    """The specification of an index."""
    return next(spec for spec in INDEXES if (spec.collection, spec.name) == index)


def run(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """`python -m indexes ...`, through the real entry point."""
    command = [sys.executable, "-m", "indexes", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


# Specifications.


@pytest.mark.parametrize("spec", INDEXES, ids=lambda spec: f"{spec.collection}.{spec.name}")
def test_every_index_names_what_it_serves(spec: IndexSpec) -> None:
    """Every index has a use, and is compound or unique: a single field is not worth an index."""
    assert spec.serves
    assert all(use.name and use.command for use in spec.serves)
    assert len(spec.keys) > 1 or spec.unique


def test_no_index_is_a_prefix_of_another() -> None:
    """A prefix would cost space and writes for nothing."""
    for one in INDEXES:
        for two in INDEXES:
            if one is not two and one.collection == two.collection and one.ignoring_case == two.ignoring_case:
                assert two.keys[: len(one.keys)] != one.keys


# Apply.


def test_apply_on_an_empty_database_creates_all(store: Store) -> None:
    """Each is reported as missing."""
    changes = apply(store)
    assert changes == [Change("missing", spec.collection, spec.name) for spec in INDEXES]
    assert existing(store) == NAMES


def test_apply_again_changes_nothing(ready: Store) -> None:
    """Idempotent: no change is reported, none is made."""
    before = information(ready)
    assert differences(ready) == []
    assert apply(ready) == []
    assert information(ready) == before


def test_a_missing_index_is_found_and_made(ready: Store) -> None:
    """For each index; nothing else is changed."""
    for spec in INDEXES:
        ready.db[spec.collection].drop_index(spec.name)
        wanted = [Change("missing", spec.collection, spec.name)]
        assert differences(ready) == wanted
        assert apply(ready) == wanted
        assert existing(ready) == NAMES


def test_an_extra_index_is_found_and_dropped(ready: Store) -> None:
    """An index without a specification is dropped."""
    ready.db["transactions"].create_index([("age", 1), ("hour", -1)])
    wanted = [Change("extra", "transactions", "age_1_hour_-1")]
    assert differences(ready) == wanted
    assert apply(ready) == wanted
    assert existing(ready) == NAMES


CHANGED: dict[str, tuple[tuple[str, str], list[tuple[str, Any]] | None, dict[str, Any]]] = {
    "other fields": (RANGE, [("hour", 1), ("day", 1)], {}),
    "another direction": (RANGE, [("day", 1), ("hour", -1)], {}),
    "one field more": (RANGE, [("day", 1), ("hour", 1), ("age", 1)], {}),
    "unique": (RANGE, None, {"unique": True}),
    "a hashed field": (RANGE, [("day", 1), ("hour", "hashed")], {}),
    "partial": (RANGE, None, {"partialFilterExpression": {"hour": {"$gt": 12}}}),
    "sparse": (RANGE, None, {"sparse": True}),
    "hidden": (RANGE, None, {"hidden": True}),
    "regarding case": (("states", "name_1"), None, {"collation": None}),
    "another language's order": (("states", "name_1"), None, {"collation": {"locale": "sv", "strength": 2}}),
    "ignoring case where it should not": (RANGE, None, {"collation": {"locale": "en", "strength": 2}}),
}


@pytest.mark.parametrize("case", CHANGED)
def test_a_changed_index_is_found_and_made_anew(ready: Store, case: str) -> None:
    """An index with the right name that differs from its specification in any respect."""
    index, keys, options = CHANGED[case]
    spec = spec_of(index)
    right = ready.db[spec.collection].index_information()[spec.name]
    ready.db[spec.collection].drop_index(spec.name)
    given = {name: value for name, value in (spec.options | options).items() if value is not None}
    ready.db[spec.collection].create_index(keys or list(spec.keys), **given)
    wanted = [Change("changed", spec.collection, spec.name)]
    assert differences(ready) == wanted
    assert apply(ready) == wanted
    assert ready.db[spec.collection].index_information()[spec.name] == right
    assert apply(ready) == []


def test_a_load_adds_what_is_missing_and_leaves_an_operators_own_index(ready: Store) -> None:
    """`kinds` limits what is changed."""
    ready.db["transactions"].create_index([("age", 1), ("hour", 1)])
    ready.db["transactions"].drop_index(RANGE[1])
    assert apply(ready, kinds=("missing",)) == [Change("missing", *RANGE)]
    assert existing(ready) == NAMES | {("transactions", "age_1_hour_1")}


# Verify.


def test_after_apply_every_index_is_used_by_what_it_serves(filled: Store) -> None:
    """According to MongoDB's plans, on loaded data."""
    results = list(verify(filled))
    assert [(spec, use) for spec, use, _ in results] == [(spec, use) for spec in INDEXES for use in spec.serves]
    assert {f"{spec.name} for {use.name}": instead for spec, use, instead in results if instead} == {}


@pytest.mark.parametrize("index", [RANGE, STATE, ("states", "name_1"), ("loads", "status_1_started_at_1")])
def test_verify_says_what_is_read_instead_of_a_dropped_index(filled: Store, index: tuple[str, str]) -> None:
    """Exactly the uses of the dropped index are reported, each with the plan used instead."""
    filled.db[index[0]].drop_index(index[1])
    unserved = [(spec, use, instead) for spec, use, instead in verify(filled) if instead]
    apply(filled)
    assert [use for _, use, _ in unserved] == list(spec_of(index).serves)
    assert all("SCAN" in instead for _, _, instead in unserved)


# Usage.


@pytest.mark.parametrize(
    ("index", "slug", "given"),
    [
        pytest.param(RANGE, "daily-sales", {"from": ["2024-01-15"], "to": ["2024-02-14"]}, id="a range of days"),
        pytest.param(RANGE, "hourly-sales", {"from": ["2024-01-15"], "to": ["2024-01-20"]}, id="some days by hour"),
        pytest.param(STATE, "top-states", {"state": ["Ohio"]}, id="a state"),
        pytest.param(STATE, "revenue-by-segment", {"state": ["Texas"], "to": ["2024-03-15"]}, id="a state in a range"),
    ],
)
def test_the_count_of_an_index_rises_when_a_question_uses_it(
    filled: Store, index: tuple[str, str], slug: str, given: dict[str, list[str]]
) -> None:
    """`usage` counts the uses by questions."""
    question = ask(BY_SLUG[slug], given | {"source": ["raw"]}, read_vocabulary(filled.outside))
    before = {(collection, name): uses for collection, name, uses in usage(filled)}
    for _ in range(3):
        Answerer(filled).answer([question], Timer())[0]
    after = {(collection, name): uses for collection, name, uses in usage(filled)}
    assert after[index] == before[index] + 3
    assert set(after) >= NAMES


# The commands.


@pytest.fixture
def of_filled(environment: dict[str, str], filled: Store) -> dict[str, str]:
    """The environment for a command on the loaded data."""
    return environment | {"MONGODB_DATABASE": filled.settings.database}


def test_apply_reports_as_json(environment: dict[str, str]) -> None:
    """One list of changes, empty the second time, and nothing else on standard output."""
    applied = run(environment, "apply", "--json")
    assert (applied.returncode, applied.stderr) == (0, "")
    assert json.loads(applied.stdout) == [
        {"kind": "missing", "collection": spec.collection, "index": spec.name} for spec in INDEXES
    ]
    assert json.loads(run(environment, "apply", "--json").stdout) == []


def test_verify_and_usage_report_as_json(of_filled: dict[str, str]) -> None:
    """A row for each use of each index; a row for each index."""
    verified = run(of_filled, "verify", "--json")
    assert verified.returncode == 0, verified.stderr
    rows = json.loads(verified.stdout)
    assert [row["index"] for row in rows] == [f"{spec.collection}.{spec.name}" for spec in INDEXES for _ in spec.serves]
    assert all(row["used"] is True and row["instead"] is None for row in rows)
    used = json.loads(run(of_filled, "usage", "--json").stdout)
    assert {(row["collection"], row["index"]) for row in used} >= NAMES
    assert all(type(row["uses"]) is int for row in used)


def test_apply_and_usage_report_for_people(environment: dict[str, str]) -> None:
    """One line each, and a conclusion."""
    first = run(environment, "apply").stdout.splitlines()
    assert first[-1] == f"{len(INDEXES)} changes"
    assert {tuple(line.split()) for line in first[:-1]} == {("created", ".".join(index)) for index in NAMES}
    assert run(environment, "apply").stdout == "all indexes are as specified\n"
    assert run(environment, "usage").stdout.count("\n") >= len(INDEXES)


def test_the_verify_command_fails_when_an_index_was_dropped(of_filled: dict[str, str], filled: Store) -> None:
    """Exit 1, the use marked, and one line on standard error that says what to do; once repaired, it passes again."""
    filled.db[STATE[0]].drop_index(STATE[1])
    failed, as_json = run(of_filled, "verify"), run(of_filled, "verify", "--json")
    assert run(of_filled, "apply").returncode == 0
    assert failed.returncode == 1
    assert failed.stderr == "error: An index is not used by a query it serves. Run `python -m indexes apply`.\n"
    assert failed.stdout.count("NOT USED") == len(spec_of(STATE).serves)
    assert as_json.returncode == 1
    assert {row["index"] for row in json.loads(as_json.stdout) if not row["used"]} == {".".join(STATE)}
    assert run(of_filled, "verify").returncode == 0


def test_an_unknown_command_is_a_usage_error(environment: dict[str, str]) -> None:
    """Exit 2."""
    assert run(environment, "repair").returncode == 2


def test_the_schema_is_there_with_the_indexes(ready: Store) -> None:
    """`apply` also creates the collections with validators; applying the schema again changes nothing."""
    before = {each["name"] for each in ready.db.list_collections()}
    assert before >= {collection.name for collection in COLLECTIONS}
    apply_schema(ready)
    assert differences(ready) == []
