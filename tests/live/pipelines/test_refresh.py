"""A refresh rebuilds what a batch makes stale: exactly, once, whatever runs beside it and however it ends."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from catalog.dimensions import day_number, day_of
from loader.load import Options, load
from pipelines.derived import refresh as refreshing
from pipelines.derived.refresh import refresh
from pipelines.derived.verify import Verification, verify
from pipelines.state.directory import bump_version
from store.client import Reads, Store, Transaction
from store.settings import Settings
from tests.support.places import ROOT
from tests.support.rows import quietly, row, write
from tests.support.stores import directory, make_all_stale, new_store

pytestmark = pytest.mark.live

SEED = int(os.environ.get("REFRESH_SEED") or time.time_ns() % 2**32)
FIRST, DAYS = date(2022, 11, 1), 150
"""Five months, two years."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 600 purchases."""
    random = Random(1)
    lines = [row(random, n, FIRST + timedelta(days=n * DAYS // 600)) for n in range(600)]
    return write(tmp_path_factory.mktemp("base") / "base.csv", lines)


@pytest.fixture(scope="module")
def shared(server: Store, data_dir: Path, base: Path) -> Iterator[Store]:
    """A store with these."""
    with new_store(data_dir) as store:
        load(store, base, Options(), 0.0, quietly)
        yield store


@pytest.fixture
def filled(shared: Store) -> Store:
    """The same, refreshed, with whatever earlier tests have added."""
    refresh(shared)
    return shared


def stale(store: Store) -> tuple[list[str], list[str]]:
    """The names of the stale months and years."""
    found = directory(store)
    return [month.name for month in found.stale_months], sorted(year.name for year in found.stale_years)


def add_batch(store: Store, path: Path, days: list[date], first_id: int) -> None:
    """Load purchases on these days, one each, without a refresh."""
    random = Random(first_id)
    lines = [row(random, first_id + n, day) for n, day in enumerate(days)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("loader.load.refresh", lambda *_: None)
        load(store, write(path, lines), Options(), 0.0, quietly)


def verified(store: Store) -> Verification:
    """The result of a verification, which must find nothing wrong."""
    found = verify(store, quietly)
    assert found.shown == []
    assert found.ok
    assert found.stale or found.rows == store.db.transactions.count_documents({})
    return found


def periods(store: Store) -> tuple[int, int]:
    """The numbers of months and years."""
    found = directory(store)
    return len(found.months), len(found.fresh_years | found.stale_years)


def dump(store: Store) -> dict[str, list[Any]]:
    """Everything that a refresh may change, except times."""
    names = ("rollups", "pages", "periods", "transactions", "customers")
    found = {name: list(store.db[name].find().sort("_id")) for name in names}
    return found | {"status": list(store.db.status.find({"_id": "data"}, {"committed_at": 0}))}


def test_a_load_ends_with_nothing_stale(filled: Store) -> None:
    """Five months and two years are built and correct."""
    assert stale(filled) == ([], [])
    found = verified(filled)
    assert (found.months, found.years, found.rows, found.stale) == (5, 2, 600, 0)
    assert found.cells > 1_000


def test_a_batch_makes_exactly_its_months_and_years_stale(filled: Store, tmp_path: Path) -> None:
    """Of an existing year and of a new one; the others stay fresh."""
    add_batch(filled, tmp_path / "a.csv", [date(2023, 2, 3), date(2023, 2, 28), date(2024, 2, 29)], 10_000)
    assert stale(filled) == (["2023-02", "2024-02"], ["2023", "2024"])
    assert directory(filled).fresh_years
    assert refresh(filled) == refreshing.Refreshed(2, 2, 0)
    assert stale(filled) == ([], [])
    verified(filled)


def test_a_batch_that_fails_makes_nothing_stale(filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stale periods are recorded in its own transaction and vanish with it, like the transactions and the version."""
    before = dump(filled)

    def fail(*_: Any) -> Any:
        raise RuntimeError("the last write of the transaction")

    monkeypatch.setattr("loader.writing.batches._quarantined", fail)
    lines = [row(Random(2), 20_000, date(2023, 1, 1)), row(Random(2), 20_001, date(2023, 1, 1)).replace("2023-", "x")]
    with pytest.raises(RuntimeError, match="the last write"):
        load(filled, write(tmp_path / "b.csv", lines), Options(), 1.0, quietly)
    assert dump(filled) == before


def test_marks_are_seen_with_their_transactions_and_never_before(filled: Store) -> None:
    """Within an open transaction nobody else sees the stale periods; after it, everybody does."""

    def mark(transaction: Transaction) -> None:
        bump_version(transaction, [day_number(date(2023, 1, 5))])
        assert stale(filled) == ([], [])

    filled.transaction(mark)
    assert stale(filled) == (["2023-01"], ["2023"])


def test_refreshing_again_changes_nothing(filled: Store, tmp_path: Path) -> None:
    """Not a single document, not even `builds`."""
    add_batch(filled, tmp_path / "c.csv", [date(2023, 3, 1)], 30_000)
    refresh(filled)
    before = dump(filled)
    assert refresh(filled) == refreshing.Refreshed(0, 0, 0)
    assert dump(filled) == before


def test_building_anew_what_was_right_gives_the_same(filled: Store) -> None:
    """Every document of rollups and pages, except for the counter."""
    before = dump(filled)
    make_all_stale(filled)
    assert refresh(filled) == refreshing.Refreshed(*periods(filled), 0)
    after = dump(filled)
    assert {name: after[name] for name in after if name != "status"} == {n: before[n] for n in before if n != "status"}


def test_a_month_that_comes_in_many_replies_is_built_the_same(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One document per reply, then eleven: with array positions of one and two digits."""
    before = dump(filled)
    for size in (1, 11):
        monkeypatch.setattr("store.replies.BATCH", size)
        make_all_stale(filled)
        refresh(filled)
        after = dump(filled)
        assert (after["rollups"], after["pages"]) == (before["rollups"], before["pages"])


def test_transactions_with_their_fields_in_another_order_are_read_as_well(filled: Store) -> None:
    """Another program may have written them; some documents of a reply, or all."""
    before = dump(filled)
    for some in (before["transactions"][::3], before["transactions"]):
        for document in some:
            turned = dict(reversed(document.items()))
            filled.db.transactions.replace_one({"_id": document["_id"]}, turned)
        make_all_stale(filled)
        refresh(filled)
        after = dump(filled)
        assert (after["rollups"], after["pages"]) == (before["rollups"], before["pages"])


def test_a_refresh_reads_only_what_is_stale(filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For one stale month, no other month is read from the transactions."""
    read: list[str] = []
    original = refreshing.read_columns

    def spy(reads: Reads, first: date, last: date) -> Any:
        read.append(f"{first} {last}")
        return original(reads, first, last)

    add_batch(filled, tmp_path / "d.csv", [date(2022, 12, 24)], 40_000)
    monkeypatch.setattr(refreshing, "read_columns", spy)
    refresh(filled)
    assert read == ["2022-12-01 2022-12-31"]


def test_progress_counts_every_period(filled: Store) -> None:
    """From zero to the total."""
    make_all_stale(filled)
    seen: list[tuple[int, int]] = []
    refresh(filled, lambda done, total: seen.append((done, total)))
    total = sum(periods(filled))
    assert seen == [(number, total) for number in range(total + 1)]


def test_two_refreshes_at_once_build_each_period_once(filled: Store, data_dir: Path) -> None:
    """Neither rebuilds what the other has built; nothing is wrong or duplicated."""
    for _ in range(2):
        make_all_stale(filled)
        with Store(Settings(database=filled.settings.database, data_dir=data_dir)) as other:
            with ThreadPoolExecutor(2) as pool:
                done = list(pool.map(refresh, (filled, other)))
            assert sum(each.months for each in done) == periods(filled)[0]
        refresh(filled)  # a year stays stale if the other was building one of its months
        assert stale(filled) == ([], [])
        verified(filled)


def test_a_refresh_that_was_overtaken_writes_nothing(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch commits between its read and its write: the month stays stale, with its old rollups."""
    add_batch(filled, tmp_path / "e.csv", [date(2023, 1, 10)], 50_000)
    original: Callable[..., bool] = refreshing._write
    overtaken = []

    def write_later(store: Store, *built: Any) -> bool:
        if not overtaken:
            overtaken.append(True)
            add_batch(filled, tmp_path / "f.csv", [date(2023, 1, 11)], 50_001)
        return original(store, *built)

    monkeypatch.setattr(refreshing, "_write", write_later)
    before = dump(filled)["rollups"]
    done = refresh(filled)
    assert overtaken
    assert (done.months, done.years, done.overtaken) == (0, 0, 2)
    assert dump(filled)["rollups"] == before
    assert stale(filled) == (["2023-01"], ["2023"])
    verified(filled)
    monkeypatch.undo()
    assert refresh(filled) == refreshing.Refreshed(1, 1, 0)
    verified(filled)


def test_a_year_that_was_overtaken_is_not_written(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for a year."""
    add_batch(filled, tmp_path / "g.csv", [date(2023, 1, 10)], 60_000)
    original: Callable[..., bool] = refreshing._write
    calls = []

    def write_later(store: Store, *built: Any) -> bool:
        calls.append(True)
        if len(calls) == 2:
            add_batch(filled, tmp_path / "h.csv", [date(2023, 3, 11)], 60_001)
        return original(store, *built)

    monkeypatch.setattr(refreshing, "_write", write_later)
    done = refresh(filled)
    assert (done.months, done.years, done.overtaken) == (1, 0, 1)
    assert stale(filled) == (["2023-03"], ["2023"])
    verified(filled)
    monkeypatch.undo()
    refresh(filled)
    assert verified(filled).years == periods(filled)[1]


def test_refreshing_beside_a_load_leaves_everything_right(filled: Store, data_dir: Path, tmp_path: Path) -> None:
    """Batches into the same months, with refreshes all the time; fresh data are always correct."""
    random = Random(SEED)
    print(f"seed {SEED}")
    before = filled.db.transactions.count_documents({})
    ended = []

    def load_many() -> None:
        try:
            with Store(Settings(database=filled.settings.database, data_dir=data_dir)) as store:
                for number in range(6):
                    lines = [
                        row(random, 70_000 + number * 100 + n, FIRST + timedelta(days=random.randrange(DAYS)))
                        for n in range(40)
                    ]
                    load(store, write(tmp_path / f"{number}.csv", lines), Options(), 0.0, quietly)
        finally:
            ended.append(True)

    rounds = 0
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load_many)
        while not ended:
            refresh(filled)
            rounds += 1
            if rounds % 5 == 0:
                assert verify(filled, quietly).shown == []
        loading.result()
    refresh(filled)
    assert stale(filled) == ([], [])
    assert verified(filled).rows == before + 6 * 40


def kill_refreshes(store: Store, data_dir: Path, kills: int) -> None:
    """Kill `python -m pipelines refresh` at random moments; fresh data are correct after each, and all at the end."""
    random = Random(SEED)
    environment = os.environ | {"DATA_DIR": str(data_dir), "MONGODB_DATABASE": store.settings.database}
    environment = {name: value for name, value in environment.items() if not name.startswith("MONGODB_URI")}
    command = [sys.executable, "-m", "loader", "refresh"]

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)

    interrupted, left, total = 0, [], sum(periods(store))
    for _ in range(kills):
        make_all_stale(store)
        process = start()
        wait_for = random.randrange(total)  # until this many periods are built, and a moment more
        deadline = time.monotonic() + 30
        while len(stale(store)[0]) + len(stale(store)[1]) > total - wait_for and time.monotonic() < deadline:
            if process.poll() is not None:
                break
        time.sleep(random.random() * 0.03)
        process.kill()
        interrupted += process.wait() != 0
        store.client.admin.command("killAllSessions", [])  # its transaction would stay open for a minute
        left.append(len(stale(store)[0]))
        verified(store)
    print(f"seed {SEED}: {interrupted} of {kills} were interrupted, months left stale: {left}")
    assert interrupted
    assert start().wait(timeout=120) == 0
    assert stale(store) == ([], [])
    assert (verified(store).months, len(stale(store)[0])) == (periods(store)[0], 0)


def test_a_killed_refresh_does_no_harm(filled: Store, data_dir: Path) -> None:
    """SIGKILL at a few random moments."""
    before = dump(filled)
    kill_refreshes(filled, data_dir, 3)
    assert {name: dump(filled)[name] for name in ("rollups", "pages", "periods")} == {
        name: before[name] for name in ("rollups", "pages", "periods")
    }


@pytest.mark.slow
def test_many_killed_refreshes_do_no_harm(filled: Store, data_dir: Path) -> None:
    """SIGKILL at many random moments."""
    kill_refreshes(filled, data_dir, 25)


KILLED_WITHIN = """
import time
from pipelines.derived import refresh
from store.client import Store
from store.settings import Settings
def bump_builds(transaction):
    print("in the transaction", flush=True)
    time.sleep(600)
refresh.bump_builds = bump_builds
with Store(Settings.from_environment()) as store:
    refresh.refresh(store)
"""


@pytest.mark.slow
def test_a_refresh_after_one_that_was_killed_within_its_transaction_is_not_held_up(
    filled: Store, data_dir: Path, environment: dict[str, str]
) -> None:
    """The transaction that the killed one has left open does not block its successor for a minute."""
    make_all_stale(filled)
    mine = environment | {"DATA_DIR": str(data_dir), "MONGODB_DATABASE": filled.settings.database}
    command = [sys.executable, "-c", KILLED_WITHIN]
    with subprocess.Popen(command, cwd=ROOT, env=mine, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "in the transaction\n"
        process.kill()
    start = time.monotonic()
    refresh(filled)
    seconds = time.monotonic() - start
    assert stale(filled) == ([], [])
    verified(filled)
    print(f"done after {seconds:.1f} s")
    assert seconds < 40  # an open transaction lives for 60 s


def test_a_month_that_has_lost_all_its_transactions_is_built_empty(filled: Store) -> None:
    """No slices, no page, no rows; the year is the sum of the others."""
    january = {"day": {"$gte": date_time(2023, 1, 1), "$lt": date_time(2023, 2, 1)}}

    def lose(transaction: Transaction) -> None:
        transaction.delete("transactions", january)
        bump_version(transaction, [day_number(date(2023, 1, 1))])

    filled.transaction(lose)
    refresh(filled)
    assert stale(filled) == ([], [])
    assert all(each.remedy for each in verify(filled, quietly).shown)  # no sum differs, only load and customers
    assert filled.db.rollups.count_documents({"_id": {"$regex": "^2023-01"}}) == 0
    assert filled.db.pages.count_documents({"_id": {"$regex": "^2023-01"}}) == 0


def date_time(year: int, month: int, day: int) -> Any:
    """The stored form of a date."""

    return day_of(day_number(date(year, month, day)))
