"""The shelf: one builder for all processes, bounded, and never a month that is not as the directory says."""

import logging
import os
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from catalog.dimensions import day_number
from catalog.purchases import STATE
from pipelines.ask.queries import ByKey, Query
from pipelines.ask.question import Question
from pipelines.ask.sentences import Summary
from pipelines.plan.choose import plan
from pipelines.plan.reads import ColumnsRead, RawRead
from pipelines.resident import segment
from pipelines.resident.evaluate import read_resident
from pipelines.resident.files import write
from pipelines.resident.shelf import SUFFIX, Resident
from pipelines.state.version import Counts, Directory
from tests.support.naive import naively
from tests.support.places import ROOT
from tests.support.segments import Reader, columns, directory, of_year, period, rows_of, shelf_of

THREE_YEARS = {"2022-03": 1, "2022-04": 2, "2023-01": 3, "2024-02": 4, "2024-12": 5}
BY_STATE = Question(Query("any", "", "", (STATE,), ByKey(), Summary()))


def files_of(folder: Path, epoch: str = "one") -> list[str]:
    """The files of a database."""
    return sorted(each.name for each in (folder / "columns" / epoch).iterdir())


def counted(resident: Resident, now: Directory) -> dict[object, object]:
    """The groups of a question whose range is open."""
    (read,) = plan(BY_STATE, now, resident.months).reads
    assert isinstance(read, ColumnsRead)
    return dict(read_resident(BY_STATE, read, resident.segments).as_dict())


def expected(months: dict[str, int]) -> dict[object, object]:
    """The same, row by row."""
    rows = rows_of({period(name): built for name, built in months.items()})
    return dict(naively(rows, BY_STATE, 0, day_number(date(2100, 1, 1))))


def test_everything_fresh_is_built_once_and_found_by_others(tmp_path: Path) -> None:
    """The newest year first; a second shelf maps what the first one wrote, as after a restart."""
    now, reader = directory(THREE_YEARS), Reader()
    first, second = shelf_of(tmp_path), shelf_of(tmp_path)
    assert not first.resident(now).months
    assert not first.is_settled(now)
    first.fill(now, reader)
    assert reader.read == [2024, 2023, 2022]
    assert files_of(tmp_path) == [f"{year}{SUFFIX}" for year in (2022, 2023, 2024)]
    second.fill(now, reader)
    first.fill(now, reader)
    assert reader.read == [2024, 2023, 2022]
    for shelf in (first, second):
        assert shelf.is_settled(now)
        assert shelf.resident(now).months == set(now.months)
        assert counted(shelf.resident(now), now) == expected(THREE_YEARS)


def test_what_is_resident_is_found_once_for_each_version(tmp_path: Path) -> None:
    """The same object until something changes: the directory, or what is held."""
    now, shelf = directory(THREE_YEARS), shelf_of(tmp_path)
    shelf.fill(now, columns)
    found = shelf.resident(now)
    shelf.look(now)
    shelf.fill(now, columns)
    assert shelf.resident(now) is found
    assert shelf.resident(directory(THREE_YEARS, 10)) is not found


def test_a_stale_month_is_not_served_while_the_others_of_its_year_are(tmp_path: Path) -> None:
    """Changed, it comes from the transactions; refreshed, its year is built anew, and the other years stay."""
    shelf, reader = shelf_of(tmp_path), Reader()
    shelf.fill(directory(THREE_YEARS), reader)
    changed = THREE_YEARS | {"2024-02": 10}
    now = directory(changed, 10, stale=("2024-02",))
    assert {each.name for each in shelf.resident(now).months} == set(THREE_YEARS) - {"2024-02"}
    shelf.fill(now, reader)
    assert len(reader.read) == 3
    asked = plan(BY_STATE, now, shelf.resident(now).months)
    assert [str(read) for read in asked.reads if isinstance(read, RawRead)] == ["transactions 2024-02-01 to 2024-02-29"]
    refreshed = directory(changed, 10)
    assert {each.name for each in shelf.resident(refreshed).months} == set(THREE_YEARS) - {"2024-02"}
    others = [each for year, each in shelf.resident(refreshed).segments.items() if year != 2024]
    shelf.fill(refreshed, reader)
    assert reader.read[3:] == [2024]
    assert [each for year, each in shelf.resident(refreshed).segments.items() if year != 2024] == others
    assert counted(shelf.resident(refreshed), refreshed) == expected(changed)


def test_a_month_that_lost_its_rows_disappears(tmp_path: Path) -> None:
    """Beside another one, and as the only one of its year: nothing is left to build, and nothing is counted."""
    shelf = shelf_of(tmp_path)
    shelf.fill(directory(THREE_YEARS), columns)
    now = directory(THREE_YEARS | {"2022-03": 11, "2023-01": 12}, 12)
    left = {name: built for name, built in THREE_YEARS.items() if name not in ("2022-03", "2023-01")}
    shelf.fill(now, lambda months: columns({m: built for m, built in months.items() if m.name in left}))
    assert shelf.is_settled(now)
    assert shelf.resident(now).months == set(now.months)
    assert counted(shelf.resident(now), now) == expected(left)


def test_a_month_that_a_reader_does_not_know_yet_is_not_counted(tmp_path: Path) -> None:
    """Another process has built a year with a new month, in the middle; a reader of the version before asks."""
    before = {"2023-01": 1, "2023-12": 2}
    builder, reader = shelf_of(tmp_path), shelf_of(tmp_path)
    after = directory(before | {"2023-06": 9}, 9)
    builder.fill(after, columns)
    for shelf in (builder, reader):
        now = directory(before, 8)
        shelf.look(now)
        resident = shelf.resident(now)
        if resident.months:
            assert counted(resident, now) == expected(before)
    reader.look(after)
    assert reader.resident(after).months == set(after.months)


def test_a_file_of_another_database_is_not_used(tmp_path: Path) -> None:
    """Copied into this one's folder, it is built anew; and one database's segments do not answer for another."""
    shelf = shelf_of(tmp_path)
    now = directory({"2023-01": 3})
    write_to = tmp_path / "columns" / "one"
    write_to.mkdir(parents=True)
    write(write_to / f"2023{SUFFIX}", of_year(m2023_01=3), "two")
    shelf.look(now)
    assert not shelf.resident(now).months
    reader = Reader()
    shelf.fill(now, reader)
    assert reader.read == [2023]
    other = directory({"2023-01": 3}, epoch="two")
    assert not shelf.resident(other).months
    shelf.fill(other, reader)
    assert shelf.resident(other).months
    assert not shelf.resident(now).months
    shelf.look(now)
    assert shelf.resident(now).months


def test_a_damaged_file_is_built_anew(tmp_path: Path) -> None:
    """One byte; and a segment that is held already stays."""
    now, reader, shelf = directory({"2023-01": 3}), Reader(), shelf_of(tmp_path)
    shelf.fill(now, reader)
    path = tmp_path / "columns" / "one" / f"2023{SUFFIX}"
    data = bytearray(path.read_bytes())
    data[-200] ^= 1
    path.unlink()
    path.write_bytes(data)
    assert shelf.resident(now).months
    other = shelf_of(tmp_path)
    other.fill(now, reader)
    assert reader.read == [2023, 2023]
    assert counted(other.resident(now), now) == expected({"2023-01": 3})


def test_former_databases_are_removed(tmp_path: Path) -> None:
    """Of four in turn the last two stay."""
    shelf = shelf_of(tmp_path)
    for number, epoch in enumerate(("one", "two", "three", "four")):
        shelf.fill(directory({"2023-01": 3}, epoch=epoch), columns)
        os.utime(tmp_path / "columns" / epoch, (number, number))
    assert sorted(each.name for each in (tmp_path / "columns").iterdir()) == ["four", "lock", "three"]


def test_rows_of_the_same_version_before_a_backup_was_restored_are_not_used(tmp_path: Path) -> None:
    """The same database, month and number, and another number of rows by some dimension."""
    shelf, reader, month = shelf_of(tmp_path), Reader(), period("2023-01")
    before, after = (
        replace(directory({"2023-01": 3}), counts={month: Counts(12, {"gender": bytes((4, 0, 0, 0, female, 0, 0, 0))})})
        for female in (8, 7)
    )
    shelf.fill(before, reader)
    assert shelf.resident(before).months
    assert not shelf_of(tmp_path).resident(after).months
    restored = shelf_of(tmp_path)
    restored.look(after)
    assert not restored.resident(after).months
    restored.fill(after, reader)
    assert restored.resident(after).months == {month}
    assert reader.read == [2023, 2023]


def test_an_empty_database_has_no_columns(tmp_path: Path) -> None:
    """Nothing is written, nothing is left to do."""
    shelf, now = shelf_of(tmp_path), Directory(directory({}).version._replace(epoch=""))
    shelf.fill(now, columns)
    assert shelf.is_settled(now)
    assert not shelf.resident(now).months
    assert not (tmp_path / "columns").exists()


# The bound.


def sizes() -> dict[int, int]:
    """How many bytes each year takes."""
    found: dict[int, dict[str, int]] = {}
    for name, built in THREE_YEARS.items():
        found.setdefault(period(name).start.year, {})[f"m{name.replace('-', '_')}"] = built
    return {year: of_year(**months).nbytes for year, months in found.items()}


def test_the_newest_years_have_precedence_and_a_warning_names_the_setting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Room for two years: each year without room is reported once, and tried once."""
    size, reader, now = sizes(), Reader(), directory(THREE_YEARS)
    shelf = shelf_of(tmp_path, size[2024] + size[2023] + 1)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            shelf.fill(now, reader)
    assert [record.getMessage() for record in caplog.records] == [
        "no room for the columns of 2022: COLUMNS_MAX_MB is too small"
    ]
    assert reader.read.count(2022) <= 1
    assert shelf.is_settled(now)
    assert set(shelf.resident(now).segments) == {2023, 2024}
    assert files_of(tmp_path) == [f"{year}{SUFFIX}" for year in (2023, 2024)]


def test_a_year_that_is_much_too_large_is_not_even_read(tmp_path: Path) -> None:
    """Its number of rows says so."""
    reader, now = Reader(), directory({"2023-01": 3})
    shelf = shelf_of(tmp_path, 100)
    shelf.fill(now, reader)
    assert reader.read == []
    assert shelf.is_settled(now)


def test_what_grows_takes_the_room_of_older_years(tmp_path: Path) -> None:
    """A new year comes, with room for two: the oldest is let go, in memory and on disk; so it is after a restart."""
    size = sizes()
    older = {name: built for name, built in THREE_YEARS.items() if name < "2024"}
    most = max(size[2024] + size[2023], size[2023] + size[2022]) + 1
    shelf = shelf_of(tmp_path, most)
    shelf.fill(directory(older), columns)
    assert set(shelf.resident(directory(older)).segments) == {2022, 2023}
    now = directory(THREE_YEARS, 10)
    shelf.fill(now, columns)
    assert set(shelf.resident(now).segments) == {2023, 2024}
    assert sum(each.nbytes for each in shelf.resident(now).segments.values()) <= most
    assert files_of(tmp_path) == [f"{year}{SUFFIX}" for year in (2023, 2024)]
    smaller = shelf_of(tmp_path, size[2024] + 1)
    smaller.look(now)
    assert set(smaller.resident(now).segments) == {2024}


def test_amounts_that_doubles_cannot_add_up_are_refused_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Told once, tried once; when the year changes it is tried again."""
    monkeypatch.setattr(segment, "EXACT", 1)
    reader, shelf = Reader(), shelf_of(tmp_path)
    for number in (1, 1, 1, 2):
        shelf.fill(directory({"2023-01": number}, number), reader)
    assert reader.read == [2023, 2023]
    assert len(caplog.records) == 2
    monkeypatch.undo()
    shelf.fill(directory({"2023-01": 3}, 3), reader)
    assert shelf.resident(directory({"2023-01": 3}, 3)).months


# Several processes.

FILLS = """
import sys, time
from pathlib import Path
from tests.support.segments import columns, directory, shelf_of
now = directory({"2022-03": 1, "2023-01": 3, "2024-02": 4})
shelf, reads = shelf_of(Path(sys.argv[1])), []
def read(months):
    reads.append(min(months).start.year)
    time.sleep(0.2)
    return columns(months)
print("ready", flush=True)
sys.stdin.readline()
while not shelf.is_settled(now):
    shelf.fill(now, read)
    time.sleep(0.01)
print(len(reads), sorted(shelf.resident(now).segments), sum(map(len, shelf.resident(now).segments.values())))
"""


def test_of_two_processes_that_fill_at_the_same_time_one_builds(tmp_path: Path) -> None:
    """Each year once, in whichever; both end with the same segments."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", FILLS, str(tmp_path)], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for _ in range(3)
    ]  # fmt: skip
    for each in processes:
        assert each.stdout
        assert each.stdout.readline() == "ready\n"
    for each in processes:
        assert each.stdin
        each.stdin.write("go\n")
        each.stdin.flush()
    told = [each.communicate(timeout=60)[0].split(" ", 1) for each in processes]
    assert sum(int(count) for count, _ in told) == 3, told
    assert {rest for _, rest in told} == {"[2022, 2023, 2024] 36\n"}


def test_whoever_comes_for_the_lock_after_another_has_built_builds_nothing(tmp_path: Path) -> None:
    """Both have looked and found nothing; one builds meanwhile."""
    now, reader = directory({"2023-01": 3}), Reader()
    shelf, other = shelf_of(tmp_path), shelf_of(tmp_path)
    look, looks = shelf.look, 0

    def look_and_wait(directory: Directory) -> None:
        nonlocal looks
        looks += 1
        look(directory)
        if looks == 1:
            other.fill(now, columns)

    shelf.look = look_and_wait  # type: ignore[method-assign]
    shelf.fill(now, reader)
    assert reader.read == []
    assert shelf.resident(now).months


def test_while_another_process_builds_nothing_is_waited_for(tmp_path: Path) -> None:
    """The lock is another's: filling ends at once."""
    now, reader = directory({"2023-01": 3}), Reader()
    holder = shelf_of(tmp_path)
    with holder._locked("one") as is_locked:
        assert is_locked
        shelf_of(tmp_path).fill(now, reader)
        assert reader.read == []
    shelf_of(tmp_path).fill(now, reader)
    assert reader.read == [2023]
