"""Removing a load, correcting refused rows, and adding members, on the real server."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import permutations
from pathlib import Path

import pytest
from pymongo import monitoring

import loader.reading.files
from catalog.errors import LoadError
from catalog.purchases import PURCHASES
from loader.load import load
from loader.loads.options import Options
from loader.loads.quarantine import export, refused_rows
from loader.loads.remove import _remove_batch, remove
from pipelines.answer.answerer import Answerer
from pipelines.ask.queries import BY_SLUG
from pipelines.ask.question import Question
from pipelines.derived.verify import verify
from pipelines.state.directory import read_directory
from store.client import Store
from store.holder import _born, myself
from store.timing import Timer
from tests.support.process import Process
from tests.support.rows import quietly

pytestmark = pytest.mark.live


def write(path: Path, *rows: str) -> Path:
    """A CSV of these rows."""
    path.write_text("\n".join([",".join(PURCHASES.header), *rows]) + "\n")
    return path


def row(number: int, state: str = "Texas", amount: str = "10.50") -> str:
    """A valid row, except for the given fields."""
    return f"{number},2020-01-0{number % 9 + 1},Male,20,Single,{state},Gold,workers,Card,1,{amount}"


def run(store: Store, path: Path, options: Options | None = None) -> str:
    """Load a file; returns the load's id."""
    return load(store, path, options or Options(), 1.0, quietly).load_id


def total(store: Store) -> tuple[int, ...]:
    """Transactions, priced transactions and cents, from a new answerer."""
    return tuple(Answerer(store).answer([Question(BY_SLUG["overall-summary"])], Timer())[0].total)


def test_a_removed_load_leaves_the_others_and_can_be_loaded_again(store: Store, tmp_path: Path) -> None:
    """Transactions, customers and quarantine of that load are gone; derived data are correct; the file loads again."""
    first = run(store, write(tmp_path / "first.csv", row(1), row(2), row(3, amount="oops")))
    run(store, write(tmp_path / "second.csv", row(4, amount="1.00")))
    assert total(store) == (3, 3, 2200)
    assert remove(store, first, quietly).removed == 2
    assert total(store) == (1, 1, 100)
    assert [each["_id"] for each in store.db.customers.find()] == [4]
    assert store.db.quarantine.count_documents({}) == 0
    assert verify(store, quietly).ok
    assert run(store, tmp_path / "first.csv") == first
    assert total(store) == (3, 3, 2200)


def test_removing_profiles_keeps_those_that_still_have_transactions(store: Store, tmp_path: Path) -> None:
    """A profile that two loads share stays until the last of them is gone."""
    options = Options(customers="profile")
    loads = [run(store, write(tmp_path / f"{n}.csv", row(n)), options) for n in (1, 2)]
    assert store.db.customers.count_documents({}) == 1
    remove(store, loads[0], quietly)
    assert store.db.customers.count_documents({}) == 1
    remove(store, loads[1], quietly)
    assert store.db.customers.count_documents({}) == 0


def test_an_exported_quarantine_can_be_mended_and_loaded(store: Store, tmp_path: Path) -> None:
    """The four explanatory columns are ignored, and a formula is made harmless."""
    refused = run(store, write(tmp_path / "bad.csv", row(1, state="Texs"), row(2, amount="=1+1"), row(3)))
    assert [each["line"] for each in refused_rows(store, refused)] == [2, 3]
    out = tmp_path / "out.csv"
    assert export(store, refused, out) == 2
    assert ",'=1+1," in out.read_text()
    out.write_text(out.read_text().replace("Texs,", "Texas,").replace("'=1+1", "2.00"))
    run(store, out)
    assert total(store) == (3, 3, 2300)


def test_a_new_member_is_refused_or_added_as_asked(store: Store, tmp_path: Path) -> None:
    """If added, it has the next code, works in filters, and has its own answers."""
    path = write(tmp_path / "new.csv", row(1, state="Puerto Rico"), row(2, state="puerto rico"))
    run(store, path)
    assert total(store) == (0, 0, 0)
    run(store, path, Options(new_members="add"))
    with store.snapshot() as snapshot:
        vocabulary = read_directory(snapshot).vocabulary
    assert vocabulary["state"][-1] == "Puerto Rico"
    found = Answerer(store).answer([Question(BY_SLUG["top-states"])], Timer())[0]
    assert [(key, parts.transactions) for key, parts in found.rows] == [(("Puerto Rico",), 2)]
    assert verify(store, quietly).ok


# Rows in the files of several loads.


def account(store: Store) -> dict[str, tuple[int, int, int]]:
    """By file: inserted, already present and quarantined according to each load, checked against the stored rows."""
    told = {}
    for each in store.db.loads.find({"status": {"$ne": "removed"}}):
        counts = each["counts"]
        assert counts["read"] == counts["inserted"] + counts["already_present"] + counts["quarantined"], each
        assert counts["inserted"] == store.db.transactions.count_documents({"load_id": each["_id"]}), each
        assert counts["quarantined"] == store.db.quarantine.count_documents({"load_id": each["_id"]}), each
        assert counts["quarantined"] == sum(each["reasons"].values()), each
        told[each["file"]] = counts["inserted"], counts["already_present"], counts["quarantined"]
    customers = {each["_id"] for each in store.db.customers.find({}, {"_id": 1})}
    assert customers == set(store.db.transactions.distinct("customer_id"))
    assert verify(store, quietly).ok
    return told


def test_a_row_that_another_load_also_brought_becomes_its(store: Store, tmp_path: Path) -> None:
    """It stays, with its customer; the other load's report stays correct; the file loads again."""
    first = run(store, write(tmp_path / "first.csv", row(1), row(2)))
    second = run(store, write(tmp_path / "second.csv", row(2), row(3), row(2)))
    assert account(store) == {"first.csv": (2, 0, 0), "second.csv": (1, 2, 0)}
    removal = remove(store, first, quietly)
    assert (removal.removed, dict(removal.kept)) == (1, {second: 1})
    assert str(removal).splitlines() == [
        "1 transactions removed",
        f"1 kept: second.csv also contains them, they now belong to load {second}",
    ]
    assert total(store) == (2, 2, 2100)
    assert account(store) == {"second.csv": (2, 1, 0)}
    run(store, tmp_path / "first.csv")
    assert account(store) == {"first.csv": (1, 1, 0), "second.csv": (2, 1, 0)}


def test_a_row_of_three_loads_is_gone_with_the_last_of_them(store: Store, tmp_path: Path) -> None:
    """In whatever order they are removed."""
    names = ("a.csv", "b.csv", "c.csv")
    for order in permutations(range(3)):
        loads = [run(store, write(tmp_path / name, row(1), row(at + 2))) for at, name in enumerate(names)]
        for left, at in zip((3, 2, 0), order, strict=True):
            remove(store, loads[at], quietly)
            assert total(store)[0] == left
            assert sum(inserted for inserted, _, _ in account(store).values()) == left
        assert store.db.repeats.count_documents({}) == 0


def test_a_row_is_kept_for_an_interrupted_load_that_had_counted_it(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The load continues at its checkpoint, and its final report is correct."""
    monkeypatch.setattr(loader.reading.files, "CHUNK_BYTES", 200)
    first = run(store, write(tmp_path / "first.csv", *map(row, range(1, 20))))
    second = write(tmp_path / "second.csv", *map(row, range(1, 40)))

    def interrupt(done: int, size: int) -> None:
        if done > size // 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(store, second, Options(), 1.0, interrupt)
    kept = remove(store, first, quietly).kept.total()
    assert 0 < kept < 19
    run(store, second)
    assert account(store) == {"second.csv": (39, 0, 0)}
    assert total(store)[0] == 39


@pytest.mark.parametrize("customers", [("transaction", "profile"), ("profile", "transaction"), ("profile", "profile")])
def test_kept_rows_keep_their_customers(store: Store, tmp_path: Path, customers: tuple[str, str]) -> None:
    """With both kinds of customers in either load."""
    first = run(store, write(tmp_path / "first.csv", row(1), row(2)), Options(customers=customers[0]))
    run(store, write(tmp_path / "second.csv", row(2), row(3)), Options(customers=customers[1]))
    remove(store, first, quietly)
    assert account(store) == {"second.csv": (2, 0, 0)}


# Conflicts.


def test_a_conflict_of_a_removed_load_is_taken_up_when_its_file_is_loaded_again(store: Store, tmp_path: Path) -> None:
    """Of two such rows with the same id, the first is inserted; what still conflicts stays refused."""
    first = run(store, write(tmp_path / "first.csv", row(1), row(2)))
    rows = row(1, amount="2.00"), row(1, amount="3.00"), row(1, amount="2.00"), row(4), row(4, amount="5.00")
    second = write(tmp_path / "second.csv", *rows)
    of_second = run(store, second)
    assert account(store)["second.csv"] == (1, 0, 4)
    removal = remove(store, first, quietly)
    assert dict(removal.released) == {of_second: 3}
    assert "3 refused rows of second.csv" in str(removal)
    report = load(store, second, Options(), 1.0, quietly)
    assert not report.repeated
    assert (report.inserted, report.already_present, report.quarantined) == (2, 1, 2)
    assert account(store) == {"second.csv": (2, 1, 2)}
    assert [each["line"] for each in refused_rows(store, of_second)] == [3, 6]
    assert total(store) == (2, 2, 1250)
    assert load(store, second, Options(), 1.0, quietly).repeated


def test_a_conflict_stays_refused_while_another_load_holds_the_id(store: Store, tmp_path: Path) -> None:
    """The stored row was kept for a third load."""
    first = run(store, write(tmp_path / "first.csv", row(1)))
    second = write(tmp_path / "second.csv", row(1, amount="2.00"))
    run(store, second)
    third = run(store, write(tmp_path / "third.csv", row(1), row(5)))
    assert not remove(store, first, quietly).released
    assert load(store, second, Options(), 1.0, quietly).repeated
    remove(store, third, quietly)
    run(store, second)
    assert account(store) == {"second.csv": (1, 0, 0)}


# Side by side.


class Meanwhile(monitoring.CommandListener):
    """At the first command with this name, starts something in another thread and gives it a moment."""

    def __init__(self, command: str, collection: str, work: Callable[[], object]) -> None:
        self._command, self._collection = command, collection
        self._started = threading.Event()
        self.thread = threading.Thread(target=work, daemon=True)

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Before a command is sent."""

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """After its reply has arrived."""
        of = event.reply.get("cursor", {}).get("ns", f".{self._collection}").partition(".")[2]
        if event.command_name == self._command and of == self._collection and not self._started.is_set():
            self._started.set()
            self.thread.start()
            self.thread.join(1)

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Ignored."""

    def end(self) -> None:
        """Wait for its end."""
        assert self._started.is_set()
        self.thread.join(60)
        assert not self.thread.is_alive()


@pytest.fixture
def second_store(store: Store) -> Iterator[Store]:
    """Another connection to the same database."""
    with Store(store.settings) as another:
        yield another


def listening(store: Store, listener: Meanwhile) -> Store:
    """A connection to the same database that reports its commands to the listener."""
    monitoring.register(listener)
    try:
        return Store(store.settings)
    finally:
        monitoring._LISTENERS.command_listeners.remove(listener)


def test_a_row_that_is_removed_while_it_is_counted_as_present_is_not_lost(
    store: Store, second_store: Store, tmp_path: Path
) -> None:
    """The removal begins after the loader has seen the row and before it commits."""
    first = run(store, write(tmp_path / "first.csv", row(1), row(2)))
    second = write(tmp_path / "second.csv", row(2), row(3))
    removal = Meanwhile("find", "transactions", lambda: remove(second_store, first, quietly))
    with listening(store, removal) as listened:
        run(listened, second)
    removal.end()
    assert account(store) == {"second.csv": (2, 0, 0)}


def test_a_row_that_is_counted_as_present_while_it_is_removed_is_not_lost(
    store: Store, second_store: Store, tmp_path: Path
) -> None:
    """The load begins after the removal has deleted the row and before it commits."""
    first = run(store, write(tmp_path / "first.csv", row(1), row(2)))
    second = write(tmp_path / "second.csv", row(2), row(3))
    loading = Meanwhile("delete", "transactions", lambda: run(second_store, second))
    with listening(store, loading) as listened:
        remove(listened, first, quietly)
    loading.end()
    assert account(store) == {"second.csv": (2, 0, 0)}


def test_a_profile_that_is_removed_during_a_load_that_knows_it_is_made_again(
    store: Store, second_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that another loader creates meanwhile is not created twice."""
    monkeypatch.setattr(loader.reading.files, "CHUNK_BYTES", 200)
    profiles = Options(customers="profile")
    first = run(store, write(tmp_path / "first.csv", row(1)), profiles)
    women = [row(number).replace("Male", "Female") for number in range(10, 20)]
    men = [row(number) for number in range(20, 30)]
    done: list[str] = []

    def meanwhile(_done: int, _size: int) -> None:
        if not done:
            done.append(first)
            remove(second_store, first, quietly)
            run(second_store, third, profiles)

    third = write(tmp_path / "third.csv", row(40).replace("Single", "Married"), row(41))
    second = write(tmp_path / "second.csv", *women, *men, row(42).replace("Single", "Married"))
    loading = threading.Thread(target=load, args=(store, second, profiles, 1.0, meanwhile), daemon=True)
    loading.start()
    loading.join(60)
    assert not loading.is_alive()
    assert account(store) == {"second.csv": (21, 0, 0), "third.csv": (2, 0, 0)}


# Concurrent removals, and earlier releases.


def test_a_removal_that_is_under_way_is_not_begun_twice(store: Store, tmp_path: Path) -> None:
    """It is held by another living process."""
    first = run(store, write(tmp_path / "first.csv", row(1)))
    other = Process(["-c", "import time; time.sleep(60)"], {})
    holder = myself() | {"pid": other._process.pid, "born": _born(other._process.pid)}
    store.db.loads.update_one({"_id": first}, {"$set": {"status": "removing", "holder": holder}})
    with pytest.raises(LoadError, match=f"being removed by process {other._process.pid} on"):
        remove(store, first, quietly)
    other.kill()
    assert remove(store, first, quietly).removed == 1


def test_a_removal_that_another_process_has_gone_on_with_writes_nothing_more(store: Store, tmp_path: Path) -> None:
    """Even if the file has been loaded again meanwhile."""
    first = run(store, write(tmp_path / "first.csv", row(1), row(2)))
    overtaken = {"_id": first, "status": "removing", "session": store.db.loads.find_one()["session"]}  # type: ignore[index]
    remove(store, first, quietly)
    run(store, tmp_path / "first.csv")
    with pytest.raises(LoadError, match="taken over this removal"):
        store.transaction(partial(_remove_batch, store, overtaken))
    assert account(store) == {"first.csv": (2, 0, 0)}


def test_a_load_of_an_earlier_release_is_to_be_removed_first(store: Store, tmp_path: Path) -> None:
    """It did not record which rows it repeats; the message says what to do, and following it loses nothing."""
    first = run(store, write(tmp_path / "first.csv", row(1), row(2)))
    second = write(tmp_path / "second.csv", row(2), row(3))
    of_second = run(store, second)
    store.db.loads.update_many({}, {"$unset": {"adopted": ""}})
    store.db.repeats.drop()
    with pytest.raises(LoadError) as caught:
        remove(store, first, quietly)
    assert str(caught.value) == (
        "The load of second.csv was made by an earlier release, which did not record which of its rows other "
        f"loads had inserted (1 were already present). Run `python -m loader remove {of_second}` first, then remove "
        "this load, then load second.csv again."
    )
    assert account(store) == {"first.csv": (2, 0, 0), "second.csv": (1, 1, 0)}
    remove(store, of_second, quietly)
    remove(store, first, quietly)
    run(store, second)
    assert account(store) == {"second.csv": (2, 0, 0)}
