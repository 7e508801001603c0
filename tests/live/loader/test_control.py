"""`verify --csv`: a file is compared with the stored data, judged as its load judged it."""

from datetime import date, timedelta
from pathlib import Path
from random import Random

import pytest
from bson.int64 import Int64

from catalog.dimensions import day_number
from catalog.errors import TooManyQuarantined, UserError
from catalog.purchases import STATE
from loader import load as loading
from loader.load import Options, load
from loader.loads import runs
from loader.loads.control import Control, _Comparison, compare_with_files
from loader.loads.remove import remove
from loader.loads.rename import rename
from pipelines.derived.verify import verify
from store.client import Store
from tests.support.commands import command
from tests.support.rows import quietly, row, write

pytestmark = pytest.mark.live


MARCH = date(2022, 3, 1)


def rows(first: int, count: int, day: date = MARCH, state: str = "Texas") -> list[str]:
    """Purchases with these ids."""
    random = Random(first)
    return [row(random, first + n, day, (state,)) for n in range(count)]


def files(folder: Path) -> list[Path]:
    """Two files; the second repeats a row of the first."""
    first = rows(1, 20)
    return [write(folder / "a.csv", first), write(folder / "b.csv", [*rows(101, 20), first[3]])]


def told(store: Store, *paths: Path) -> list[tuple[str, bool]]:
    """The file of each comparison, and whether it is equal."""
    return [(each.file, each.ok) for each in compare_with_files(store, paths)]


def test_each_of_several_files_is_compared(
    store: Store, tmp_path: Path, data_dir: Path, environment: dict[str, str]
) -> None:
    """Whichever of them differs; also with the command."""
    first, second = files(tmp_path)
    for path in (first, second):
        load(store, path, Options(), 0.0, quietly)
    both = ("--csv", str(first), "--csv", str(second))
    assert command(store, data_dir, environment, *both).returncode == 0
    moment = store.db.transactions.find_one({"_id": 1})["transaction_date"]
    store.db.transactions.update_one({"_id": 1}, {"$set": {"transaction_date": moment.replace(second=59)}})
    assert told(store, first, second) == [("a.csv", False), ("b.csv", True)]
    found = command(store, data_dir, environment, *both)
    assert found.returncode == 1
    assert "transaction_date of 1 rows, first transaction 1" in found.stdout
    assert found.stdout.count("b.csv") == 1


def test_rows_that_a_load_adopts_meanwhile_make_no_difference(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The load that had inserted them is removed between the reading of the loads and that of the rows."""
    first, second = files(tmp_path)
    removed = load(store, first, Options(), 0.0, quietly).load_id
    load(store, second, Options(), 0.0, quietly)
    begin = _Comparison.run

    def remove_first(comparison: _Comparison) -> Control:
        assert remove(store, removed, quietly).kept.total() == 1
        return begin(comparison)

    monkeypatch.setattr(_Comparison, "run", remove_first)
    (found,) = compare_with_files(store, [second])
    assert found.shown == []
    monkeypatch.undo()
    assert told(store, second) == [("b.csv", True)]


def test_a_note_that_is_gone_is_not_asked_of_a_load_of_an_earlier_release(store: Store, tmp_path: Path) -> None:
    """Such a load recorded none; for any other it is a difference."""
    first, second = files(tmp_path)
    load(store, first, Options(), 0.0, quietly)
    load_id = load(store, second, Options(), 0.0, quietly).load_id
    store.db.repeats.delete_many({})
    (found,) = compare_with_files(store, [second])
    assert found.shown == ["transaction 4 belongs to another load, but is not recorded as repeated"]
    store.db.loads.update_one({"_id": load_id}, {"$unset": {"adopted": ""}})
    assert told(store, second) == [("b.csv", True)]
    assert verify(store, quietly).ok


def test_an_amount_that_was_changed_and_refreshed_is_seen_by_the_file_alone(store: Store, tmp_path: Path) -> None:
    """Nothing in the database contradicts it any more."""
    first, _ = files(tmp_path)
    load(store, first, Options(), 0.0, quietly)
    store.db.transactions.update_one({"_id": 2}, {"$set": {"amount_cents": Int64(123)}})
    assert verify(store, quietly, repair=True).repaired
    loading.refresh(store)
    assert verify(store, quietly).ok
    (found,) = compare_with_files(store, [first])
    assert not found.ok
    assert "amount_cents of 1 rows, first transaction 2: 123" in found.shown[0]


def test_a_member_that_was_added_later_makes_no_difference(store: Store, tmp_path: Path) -> None:
    """The file's row was refused, as its state was unknown then; another load has added it since."""
    first = write(tmp_path / "a.csv", [*rows(1, 20), *rows(50, 2, state="Puerto Rico")])
    load(store, first, Options(), 1.0, quietly)
    assert store.db.quarantine.count_documents({}) == 2
    second = write(tmp_path / "b.csv", rows(101, 20, state="Puerto Rico"))
    load(store, second, Options(new_members="add"), 0.0, quietly)
    assert told(store, first, second) == [("a.csv", True), ("b.csv", True)]
    load(store, first, Options(new_members="add"), 0.0, quietly)  # the same file, as another load
    assert told(store, first) == [("a.csv", True), ("a.csv", True)]
    assert verify(store, quietly).ok


def test_a_member_that_was_renamed_later_makes_no_difference(store: Store, tmp_path: Path) -> None:
    """Nor one that was renamed back, or to a name in another load's file; the mark follows each rename."""
    first = write(tmp_path / "a.csv", rows(1, 20))
    load(store, first, Options(), 0.0, quietly)
    texas = STATE.members.index("Texas")
    for name in ("Lone Star", "The Lone Star"):
        assert rename(store, "state", texas, name)
        assert told(store, first) == [("a.csv", True)]
        assert verify(store, quietly).ok
    second = write(tmp_path / "b.csv", rows(101, 20, state="The Lone Star"))
    load(store, second, Options(), 0.0, quietly)
    rename(store, "state", texas, "Texas")
    assert told(store, first, second) == [("a.csv", True), ("b.csv", True)]
    assert verify(store, quietly).ok
    store.db.states.update_one({"_id": texas}, {"$set": {"name": "The Lone Star"}})  # not by the command
    assert [each.what for each in verify(store, quietly).shown] == ["names"]


def test_a_later_day_makes_no_difference(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row dated the day after tomorrow was refused then; today it would be valid."""
    then = date(2022, 3, 5)
    monkeypatch.setattr(runs, "tomorrow", lambda: day_number(then))
    first = write(tmp_path / "a.csv", [*rows(1, 20), *rows(50, 2, then + timedelta(days=1))])
    load(store, first, Options(), 1.0, quietly)
    assert store.db.quarantine.count_documents({"reason": "date_out_of_range"}) == 2
    monkeypatch.undo()
    assert told(store, first) == [("a.csv", True)]


def test_each_run_of_an_interrupted_load_is_judged_by_what_it_knew(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run stops at rows that it refuses; the second knows the name and continues after them."""
    monkeypatch.setattr("loader.reading.files.CHUNK_ROWS", 10)
    monkeypatch.setattr(loading, "ENOUGH_ROWS", 1)
    first = write(tmp_path / "a.csv", [*rows(1, 20), *rows(50, 10, state="Guam"), *rows(70, 20, state="Guam")])
    with pytest.raises(TooManyQuarantined):
        load(store, first, Options(), 0.1, quietly)
    assert told(store, first) == [("a.csv", True)]  # up to where it is loaded
    load(store, write(tmp_path / "b.csv", rows(101, 1, state="Guam")), Options(new_members="add"), 0.0, quietly)
    load(store, first, Options(), 1.0, quietly)
    refused = store.db.quarantine.count_documents({})
    assert 10 <= refused < 30
    assert told(store, first) == [("a.csv", True)]
    load_id = store.db.loads.find_one({"file": "a.csv"})["_id"]
    assert len(store.db.loads.find_one({"_id": load_id})["runs"]) == 2
    store.db.loads.update_one({"_id": load_id}, {"$pop": {"runs": 1}})  # as if it had known no more
    assert told(store, first) == [("a.csv", False)]


def test_a_load_of_an_earlier_release_is_judged_by_what_is_known_today(store: Store, tmp_path: Path) -> None:
    """It recorded nothing: refused names are trusted, and the report says so."""
    first = write(tmp_path / "a.csv", [*rows(1, 20), *rows(50, 2, state="Guam")])
    load(store, first, Options(), 1.0, quietly)
    load(store, write(tmp_path / "b.csv", rows(101, 1, state="Guam")), Options(new_members="add"), 0.0, quietly)
    store.db.loads.update_many({}, {"$unset": {"runs": ""}})
    (found,) = compare_with_files(store, [first])
    assert (found.shown, found.is_noted) == ([], False)
    assert "loaded by an earlier release" in str(found)


def test_customers_that_are_profiles_and_other_time_zones_are_no_difference(store: Store, tmp_path: Path) -> None:
    """The load's own options count, not the current ones."""
    lines = [line.replace(":00,", ":00+05:00,", 1) for line in rows(1, 20)]
    first = write(tmp_path / "a.csv", lines)
    load(store, first, Options(customers="profile", timezone="UTC"), 0.0, quietly)
    assert told(store, first) == [("a.csv", True)]


def test_a_file_that_was_never_loaded_or_removed_again_is_an_error(
    store: Store, tmp_path: Path, data_dir: Path, environment: dict[str, str]
) -> None:
    """The file is named, also if there are others; nothing is compared."""
    first, second = files(tmp_path)
    load_id = load(store, first, Options(), 0.0, quietly).load_id
    with pytest.raises(UserError, match=r"b.csv: this file was never loaded"):
        compare_with_files(store, [first, second])
    found = command(store, data_dir, environment, "--csv", str(first), "--csv", str(second))
    assert found.returncode != 0
    assert "b.csv: this file was never loaded" in found.stderr
    remove(store, load_id, quietly)
    with pytest.raises(UserError, match="was removed"):
        compare_with_files(store, [first])
