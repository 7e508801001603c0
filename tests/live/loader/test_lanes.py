"""Batches written side by side are seen, counted and stored as if they came one after the other."""

import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

import loader.reading.files
from loader.load import Options, load
from loader.loads.report import LoadReport
from loader.writing.turns import Turns
from pipelines.derived.refresh import refresh
from pipelines.derived.verify import verify
from pipelines.state.directory import read_directory, read_version
from pipelines.state.lanes import read_loads
from pipelines.state.version import Directory
from store.client import Store
from tests.support.rows import plain_row as row
from tests.support.rows import quietly, write

pytestmark = pytest.mark.live

BATCH_ROWS = 200
ROWS = 12 * BATCH_ROWS


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many batches in a small file."""
    monkeypatch.setattr(loader.reading.files, "CHUNK_ROWS", BATCH_ROWS)


def dated(number: int, **changes: str) -> str:
    """A row with a date that depends on its number, so that batches change several months."""
    return row(number, Transaction_date=f"2024-{number % 12 + 1:02}-05T10:00:00", **changes)


def seen(store: Store) -> Directory:
    """The current directory."""
    with store.snapshot() as snapshot:
        return read_directory(snapshot)


def loaded(store: Store, path: Path, then: Callable[[int, int], None] = quietly) -> LoadReport:
    """Load a file, regardless of the share of refused rows."""
    return load(store, path, Options(), 1.0, then)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Delay every second batch, so that the next one inserts first; returns the batches that had to go alone."""
    found: list[int] = []
    enter = Turns.enter

    def enter_late(self: Turns, number: int, *, alone: bool) -> None:
        enter(self, number, alone=alone)
        if alone:
            found.append(number)
        elif number % 2 == 0:
            time.sleep(0.08)

    monkeypatch.setattr(Turns, "enter", enter_late)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_of_two_rows_with_one_id_the_first_in_the_file_stays(
    store: Store, tmp_path: Path, seed: int, alone: list[int]
) -> None:
    """Even if they are in neighbouring batches, and the later one is inserted first."""
    random = Random(seed)
    rows = [dated(number) for number in range(ROWS)]
    other: list[int] = []
    same: list[int] = []
    for batch in sorted(random.sample(range(1, ROWS // BATCH_ROWS, 2), 3)):
        before = random.randrange((batch - 1) * BATCH_ROWS, batch * BATCH_ROWS)
        here = random.randrange(batch * BATCH_ROWS, (batch + 1) * BATCH_ROWS)
        is_other = random.random() < 0.7
        rows[here] = dated(before, Amount_spent="99.99") if is_other else rows[before]
        (other if is_other else same).append(here)
    report = loaded(store, write(tmp_path / "a.csv", rows))
    assert alone, "nothing was inserted too early"
    assert report.counts == {
        "read": ROWS, "inserted": ROWS - len(other) - len(same), "already_present": len(same),
        "quarantined": len(other),
    }  # fmt: skip
    refused = sorted(each["line"] for each in store.db.quarantine.find())
    assert refused == sorted(here + 2 for here in other)
    assert store.db.transactions.count_documents({"amount_cents": 99_99}) == 0
    assert store.db.customers.count_documents({}) == report.inserted
    assert verify(store, quietly).ok


def test_after_each_commit_a_load_tells_what_is_there(store: Store, tmp_path: Path) -> None:
    """Checkpoint, version and stale periods agree in one snapshot, each time."""
    versions: list[int] = []

    def look(done: int, total: int) -> None:
        with store.snapshot() as snapshot:
            (state,) = read_loads(snapshot, snapshot.find("loads"))
            there = snapshot.count("transactions")
            directory = read_directory(snapshot)
        assert state["counts"]["inserted"] == there
        assert state["offset"] == done
        assert set(directory.stale_months) == set(directory.months) != set()
        versions.append(directory.version.number)

    report = loaded(store, write(tmp_path / "a.csv", [dated(number) for number in range(ROWS)]), look)
    assert report.inserted == ROWS
    assert versions == list(range(versions[0], versions[0] + ROWS // BATCH_ROWS))
    assert read_version(store.outside).number == versions[-1]
    assert store.db.status.count_documents({"load_id": {"$exists": True}}) == 0, "a lane is left"
    assert not seen(store).stale_months


def test_a_refresh_in_the_middle_takes_the_marks_and_leaves_the_version(store: Store, tmp_path: Path) -> None:
    """Afterwards every month is fresh until the next commit; the lanes continue as if nothing had happened."""
    commits = 0

    def interfere(done: int, total: int) -> None:
        nonlocal commits
        commits += 1
        if commits not in (1, 4):
            return
        before = seen(store)
        assert before.stale_months
        refresh(store)
        after = seen(store)
        assert after.version.has_data_of(before.version)
        assert not after.stale_months
        assert not after.stale_years
        assert verify(store, quietly).ok

    report = loaded(store, write(tmp_path / "a.csv", [dated(number) for number in range(ROWS)]), interfere)
    assert report.counts == {"read": ROWS, "inserted": ROWS, "already_present": 0, "quarantined": 0}
    assert commits == ROWS // BATCH_ROWS
    assert not seen(store).stale_months
    assert verify(store, quietly).ok
