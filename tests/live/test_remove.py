"""Taking a load out again, mending what was refused, and adding members: on the real server."""

from pathlib import Path

import pytest

from catalog.purchases import PURCHASES
from loader.load import load
from loader.loads.options import Options
from loader.loads.quarantine import export, refused_rows
from loader.loads.remove import remove
from pipelines.answer.answerer import Executor
from pipelines.ask.queries import BY_SLUG
from pipelines.ask.question import Question
from pipelines.derived.verify import verify
from pipelines.state.directory import read_directory
from store.client import Store
from store.timing import Timer

pytestmark = pytest.mark.live


def quietly(done: int, total: int) -> None:
    """No progress is shown."""


def write(path: Path, *rows: str) -> Path:
    """A CSV of these rows."""
    path.write_text("\n".join([",".join(PURCHASES.header), *rows]) + "\n")
    return path


def row(number: int, state: str = "Texas", amount: str = "10.50") -> str:
    """A row that is right but for what is given."""
    return f"{number},2020-01-0{number % 9 + 1},Male,20,Single,{state},Gold,workers,Card,1,{amount}"


def run(store: Store, path: Path, options: Options | None = None) -> str:
    """Load a file; gives the load's id."""
    return load(store, path, options or Options(), 1.0, quietly).load_id


def total(store: Store) -> tuple[int, ...]:
    """Transactions, priced ones and cents, as an executor of its own answers them."""
    return tuple(Executor(store).answer(Question(BY_SLUG["overall-summary"]), Timer()).total)


def test_a_removed_load_leaves_the_others_and_can_be_loaded_again(store: Store, tmp_path: Path) -> None:
    """Transactions, customers and quarantine of that load are gone; derived data are right; the file loads anew."""
    first = run(store, write(tmp_path / "first.csv", row(1), row(2), row(3, amount="oops")))
    run(store, write(tmp_path / "second.csv", row(4, amount="1.00")))
    assert total(store) == (3, 3, 2200)
    assert remove(store, first, quietly) == 2
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
    """The four explaining columns are passed over, and a formula is made harmless."""
    refused = run(store, write(tmp_path / "bad.csv", row(1, state="Texs"), row(2, amount="=1+1"), row(3)))
    assert [each["line"] for each in refused_rows(store, refused)] == [2, 3]
    out = tmp_path / "out.csv"
    assert export(store, refused, out) == 2
    assert ",'=1+1," in out.read_text()
    out.write_text(out.read_text().replace("Texs,", "Texas,").replace("'=1+1", "2.00"))
    run(store, out)
    assert total(store) == (3, 3, 2300)


def test_a_new_member_is_refused_or_added_as_asked(store: Store, tmp_path: Path) -> None:
    """Added, it has the next code, a name in any filter, and answers of its own."""
    path = write(tmp_path / "new.csv", row(1, state="Puerto Rico"), row(2, state="puerto rico"))
    run(store, path)
    assert total(store) == (0, 0, 0)
    run(store, path, Options(new_members="add"))
    with store.snapshot() as session:
        vocabulary = read_directory(store, session).vocabulary
    assert vocabulary["state"][-1] == "Puerto Rico"
    found = Executor(store).answer(Question(BY_SLUG["top-states"]), Timer())
    assert [(key, parts.transactions) for key, parts in found.rows] == [(("Puerto Rico",), 2)]
    assert verify(store, quietly).ok
