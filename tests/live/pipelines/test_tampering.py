"""Each field of each collection is changed alone, each kind of document deleted and added; all must be noticed."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from bson.codec_options import CodecOptions
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from bson.regex import Regex
from pymongo.errors import WriteError

from catalog.collections import COLLECTIONS, Collection
from loader.load import Options, load
from loader.loads.control import compare_with_files
from loader.loads.remove import remove
from loader.loads.rename import rename
from pipelines.answer.answerer import Answerer
from pipelines.ask.queries import BY_SLUG
from pipelines.ask.question import Question
from pipelines.derived.verify import verify
from pipelines.state.lanes import open_lanes
from store.client import Store
from store.timing import Timer
from tests.support.places import ROOT
from tests.support.rows import quietly, row, write
from tests.support.stores import directory, new_store
from tests.support.tampering import ADOPTED_IDS, TABLE, Notice, Tampering, rendered

pytestmark = pytest.mark.live

DOCUMENT = ROOT / "docs" / "verification.md"
FILES = {"first.csv": "transaction", "second.csv": "transaction", "third.csv": "profile"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files of one month; the first has a malformed row and a conflicting id, the second repeats a row of the first."""
    random, folder = Random(3), tmp_path_factory.mktemp("tampering")
    lines = [row(random, n, date(2022, 3, 1) + timedelta(days=n % 31)) for n in range(150)]
    fields = lines[5].split(",")
    fields[3], fields[-1] = "30", "12.50"  # an age and an amount that are known
    lines[5] = ",".join(fields)
    lines[50:50] = [",".join((*lines[7].split(",")[:-1], "oops")), ",".join((*lines[8].split(",")[:-1], "77777.77"))]
    parts = (lines[:80], [*lines[80:110], lines[20]], lines[110:])
    return [write(folder / name, part) for name, part in zip(FILES, parts, strict=True)]


@pytest.fixture(scope="module")
def filled(
    server: Store, data_dir: Path, files: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    """A store with these files; one load still has a lane, as if it had been killed at its end.

    Three rows of the third file were inserted by another load, which has been removed.
    """
    with new_store(data_dir) as store:
        _, *rows = files[2].read_text().splitlines()
        removed = load(
            store, write(tmp_path_factory.mktemp("removed") / "removed.csv", rows[:3]), Options(), 1.0, quietly
        )
        for path, customers in zip(files, FILES.values(), strict=True):
            load(store, path, Options(customers=customers), 1.0, quietly)
        assert remove(store, removed.load_id, quietly).kept.total() == len(ADOPTED_IDS)
        code = store.db.transactions.find_one({"_id": 5})["state_id"]
        rename(store, "state", code, "A state of another name")
        with store.session() as session:
            third = store.db.loads.find_one({"file": "third.csv"})
            assert third
            session.transaction(lambda transaction: open_lanes(transaction, third, [session.name]))
        verify(store, quietly)
        yield store


def notices(store: Store, files: list[Path]) -> Notice:
    """What notices a change first."""
    found = verify(store, quietly)
    if not found.ok:
        return Notice.VERIFY
    if found.stale:
        return Notice.READER
    return Notice.NOTHING if all(each.ok for each in compare_with_files(store, files)) else Notice.CSV


def summary(store: Store) -> tuple[int, ...]:
    """The answer that a reader gets."""
    return tuple(Answerer(store).answer([Question(BY_SLUG["overall-summary"])], Timer())[0].total)


def resolved(store: Store, document: dict[str, Any]) -> dict[str, Any]:
    """The document with the id of the second load, which is known only after loading it."""
    if document.get("load_id") == "{second}":
        document["load_id"] = store.db.loads.find_one({"file": "second.csv"})["_id"]
    return document


@pytest.mark.parametrize("tampering", TABLE, ids=[each.name for each in TABLE])
def test_what_must_notice_a_change_does(filled: Store, files: list[Path], tampering: Tampering) -> None:
    """Changes that nothing needs to notice do not affect any answer."""
    raw = filled.db.with_options(CodecOptions(RawBSONDocument))[tampering.collection]
    before = raw.find_one(tampering.of, sort=[("_id", 1)])
    assert before, tampering.of
    present = filled.db[tampering.collection].find_one({"_id": before["_id"]})
    assert present
    kept = {name: Int64(value) for name, value in present.items() if isinstance(value, Int64)}  # an int64 must stay one
    changed = tampering.change({**present, **kept})
    collection = filled.db[tampering.collection]
    answer = summary(filled)
    try:
        if not tampering.stray and (changed is None or changed["_id"] != before["_id"]):
            collection.delete_one({"_id": before["_id"]})
        if changed is not None:
            changed = resolved(filled, changed)
            assert changed != present
            collection.replace_one({"_id": changed["_id"]}, changed, upsert=True)
        filled.db.status.update_one({"_id": "data"}, {"$inc": {"builds": 1}})  # so that a directory is read anew
        assert notices(filled, files) is tampering.notice
        if tampering.notice in (Notice.READER, Notice.NOTHING):
            assert summary(filled) == answer
    finally:
        if changed is not None and changed["_id"] != before["_id"]:
            collection.delete_one({"_id": changed["_id"]})
        raw.replace_one({"_id": before["_id"]}, before, upsert=True)


def test_as_it_was_loaded_nothing_differs(filled: Store, files: list[Path]) -> None:
    """So each change above was noticed on its own, and undone."""
    found = verify(filled, quietly)
    assert (found.shown, found.stale) == ([], 0)
    assert [each.shown for each in compare_with_files(filled, files)] == [[], [], []]
    assert notices(filled, files) is Notice.NOTHING
    assert directory(filled).stale_months == ()


def test_the_table_has_each_field_of_each_collection() -> None:
    """And for each collection a deleted and an added document."""
    there = {(each.collection, each.what.split(",")[0].split(" of ")[0]) for each in TABLE}
    wanted = {(each.name, name) for each in COLLECTIONS for name in (*each.properties, "deleted", "added")}
    assert wanted <= there, sorted(wanted - there)


def test_the_table_of_the_document_is_this_one() -> None:
    """`python -m tests.support.tampering` prints it."""
    assert rendered() in DOCUMENT.read_text()


@pytest.mark.parametrize("collection", COLLECTIONS, ids=[each.name for each in COLLECTIONS])
def test_a_field_of_another_type_is_refused_by_the_validator(filled: Store, collection: Collection) -> None:
    """For every field, and an undeclared one; `_id` cannot be changed at all."""
    for field in (*collection.properties, "unheard_of"):
        documents = filled.db[collection.name].find({field: {"$exists": field in collection.properties}})
        if field != "_id" and (document := next(documents, None)):
            with pytest.raises(WriteError, match="failed validation"):
                filled.db[collection.name].update_one({"_id": document["_id"]}, {"$set": {field: Regex("a")}})


@pytest.mark.parametrize("collection", ["transactions", "customers"])
def test_what_was_written_past_the_validator_is_noticed(filled: Store, collection: str) -> None:
    """Money as a double, a number as text, an unknown label, a surplus or a missing field: each is reported."""
    raw = filled.db.with_options(CodecOptions(RawBSONDocument))[collection]
    before = raw.find_one({"_id": 5})
    assert before
    updates: tuple[dict[str, Any], ...] = (
        {"$set": {"age": 30.0}}, {"$set": {"state_id": "1"}}, {"$set": {"gender": "male"}}, {"$set": {"extra": 1}},
        {"$unset": {"age_group": ""}}, {"$set": {"age": 121}}, {"$set": {"state_id": Int64(1)}},
        *([{"$set": {"amount_cents": 1250.0}}, {"$set": {"hour": 24}}] if collection == "transactions" else []),
    )  # fmt: skip
    try:
        for update in updates:
            filled.db[collection].update_one({"_id": 5}, update, bypass_document_validation=True)
            found = verify(filled, quietly)
            told = [each for each in found.shown if each.period == collection and "document of 5" in each.what]
            assert told, (update, found.shown)
            raw.replace_one({"_id": 5}, before)
    finally:
        raw.replace_one({"_id": 5}, before)


def test_names_swapped_between_two_members_are_noticed(filled: Store) -> None:
    """Every id has a name, and no name is repeated: only the mark shows it."""
    states = filled.db.states
    names = {code: states.find_one({"_id": code})["name"] for code in (3, 4)}
    for code, name in ((3, "For now"), (4, names[3]), (3, names[4])):
        states.update_one({"_id": code}, {"$set": {"name": name}})
    found = verify(filled, quietly)
    assert [(each.period, each.what) for each in found.shown] == [("states", "names")]
    assert names[3] in found.shown[0].stored
    for code, name in ((3, "For now"), *reversed(names.items()), (3, names[3])):
        states.update_one({"_id": code}, {"$set": {"name": name}})
    assert verify(filled, quietly).ok
