"""`loader verify` finds what is broken, says where, repairs what it can, and has a matching exit code."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import bson
import pytest
from bson.codec_options import CodecOptions
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument

from catalog.dimensions import day_number, day_of
from loader.load import Options, load
from loader.loads.control import compare_with_files
from pipelines.answer.answerer import Answerer
from pipelines.ask.queries import BY_SLUG
from pipelines.ask.question import Question, Source
from pipelines.derived import refresh as refreshing
from pipelines.derived.refresh import refresh
from pipelines.derived.verify import SHOWN, verify
from pipelines.state.directory import read_version
from store.client import Store
from store.timing import Timer
from tests.support.commands import command, run
from tests.support.questions import content
from tests.support.rows import quietly, row, write
from tests.support.stores import directory, make_all_stale, new_store

pytestmark = pytest.mark.live

ROWS = 240


@pytest.fixture(scope="module")
def csv_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four months over a new year."""
    random = Random(8)
    lines = [row(random, n, date(2022, 11, 1) + timedelta(days=n // 2)) for n in range(ROWS)]
    return write(tmp_path_factory.mktemp("verify") / "purchases.csv", lines)


@pytest.fixture(scope="module")
def checked(server: Store, data_dir: Path, csv_file: Path) -> Iterator[Store]:
    """A store with these; a test that breaks it repairs it."""
    with new_store(data_dir) as store:
        load(store, csv_file, Options(), 0.0, quietly)
        yield store


@contextmanager
def restored(store: Store) -> Iterator[None]:
    """Whatever the block does to the documents is undone at its end."""
    names = ("rollups", "pages", "transactions", "customers", "periods", "status")
    as_stored = store.db.with_options(CodecOptions(RawBSONDocument))  # decoding would turn an int64 into an int32
    kept = {name: {each["_id"]: each for each in as_stored[name].find()} for name in names}
    try:
        yield
    finally:
        for name, documents in kept.items():
            now = {each["_id"]: each for each in as_stored[name].find()}
            for id_, each in documents.items():
                if id_ not in now or now[id_].raw != each.raw:
                    as_stored[name].replace_one({"_id": id_}, each, upsert=True)
            store.db[name].delete_many({"_id": {"$in": [id_ for id_ in now if id_ not in documents]}})


@pytest.fixture
def own(checked: Store) -> Iterator[Store]:
    """The same for a test that breaks it."""
    with restored(checked):
        yield checked


def test_a_database_as_it_was_loaded_has_no_difference(checked: Store) -> None:
    """And everything has been compared."""
    found = verify(checked, quietly)
    assert (found.ok, found.differences, found.shown, found.repaired) == (True, 0, [], 0)
    assert (found.months, found.years, found.rows, found.stale) == (4, 2, ROWS, 0)
    cells = sum(len(cells) for slice_ in checked.db.rollups.find() for cells in slice_["cells"].values())
    assert found.cells == cells


# Faults: each changes one thing and returns where it must be found.

Fault = Callable[[Any], str]


def cell(period: str, part: str) -> Fault:
    """One more (or fewer) in a cell of some slice of a day, month or year."""

    def plant(db: Any) -> str:
        by = Random(len(period) + ord(part)).choice(("gender", "state", "hour"))
        found = db.rollups.find_one({"_id": {"$regex": f"^{period}:"}, f"cells.{by}.0": {"$exists": True}})
        db.rollups.update_one({"_id": found["_id"]}, {"$inc": {f"cells.{by}.0.{part}": 1}})
        return f"rollup {found['_id']}, {by} {found['cells'][by][0]['k']}"

    return plant


def without_slice(period: str, dimension: str) -> Fault:
    """A slice is gone."""

    def plant(db: Any) -> str:
        found = db.rollups.find_one({"_id": {"$regex": f"^{period}:{dimension}:"}})
        db.rollups.delete_one({"_id": found["_id"]})
        return f"rollup {found['_id']}, "

    return plant


def a_cell_too_many(db: Any) -> str:
    """A cell of a member that has no transactions."""
    found = db.rollups.find_one({"_id": "2022-12:all:0"})
    found["cells"]["state"].append({"k": 60, "n": 1, "p": 0, "r": 0})
    db.rollups.replace_one({"_id": found["_id"]}, found)
    return "rollup 2022-12:all:0, state 60"


def a_slice_too_many(db: Any) -> str:
    """A slice of a member that has no transactions."""
    found = db.rollups.find_one({"_id": "2022-12:all:0"})
    db.rollups.insert_one(found | {"_id": "2022-12:state:60", "dimension": "state", "member": 60})
    return "rollup 2022-12:state:60, "


def byte_of(column: str, at: int) -> Fault:
    """One bit of a page's column flips."""

    def plant(db: Any) -> str:
        page = db.pages.find_one({"_id": "2022-12:0"})
        data = bytearray(page["columns"][column])
        data[at] ^= 1
        db.pages.update_one({"_id": page["_id"]}, {"$set": {f"columns.{column}": bytes(data)}})
        return "page"

    return plant


def shorter_page(db: Any) -> str:
    """A column has lost its last byte."""
    page = db.pages.find_one({"_id": "2023-01:0"})
    db.pages.update_one({"_id": page["_id"]}, {"$set": {"columns.gender": page["columns"]["gender"][:-1]}})
    return "page"


def without_page(db: Any) -> str:
    """A page is gone."""
    db.pages.delete_one({"_id": "2023-01:0"})
    return "page"


def other_amount(db: Any) -> str:
    """An amount was changed."""
    found = db.transactions.find_one(
        {"amount_cents": {"$gt": 0}, "day": {"$lt": day_of(day_number(date(2022, 12, 1)))}}
    )
    db.transactions.update_one({"_id": found["_id"]}, {"$inc": {"amount_cents": 1}})
    return "rollup 2022-11"


def other_gender(db: Any) -> str:
    """An attribute was changed, which leaves the totals unchanged."""
    found = db.transactions.find_one({"gender": "Male"})
    db.transactions.update_one({"_id": found["_id"]}, {"$set": {"gender": "Female"}})
    return "rollup "


def without_transaction(db: Any) -> str:
    """A transaction is gone."""
    db.transactions.delete_one({"_id": 5})
    return "rollup 2022-11"


def one_transaction_more(db: Any) -> str:
    """A transaction that no batch has inserted, in an existing month."""
    found = db.transactions.find_one({"_id": 6}) | {
        "_id": Int64(999_999),
        "customer_id": Int64(5),
        "amount_cents": None,
    }
    db.transactions.insert_one(found)
    return "rollup 2022-11"


def unknown_reference(db: Any) -> str:
    """A transaction refers to a state that does not exist."""
    db.transactions.update_one({"_id": 5}, {"$set": {"state_id": 77}})
    return "state_id"


def without_customer(db: Any) -> str:
    """A transaction's customer is gone."""
    db.customers.delete_one({"_id": 5})
    return "customer 5"


MENDABLE: dict[str, Fault] = {
    **{f"{part} of a {grain}'s cell": cell(period, part)
       for grain, period in (("day", "2022-12-24"), ("month", "2022-12"), ("year", "2022")) for part in "npr"},
    "a month's slice is gone": without_slice("2022-12", "hour"),
    "a month's total slice is gone": without_slice("2022-12", "all"),
    "a day's slice is gone": without_slice("2022-12-24", "all"),
    "a year's slice is gone": without_slice("2023", "gender"),
    "a cell too many": a_cell_too_many,
    "a slice too many": a_slice_too_many,
    "a byte of a page's codes": byte_of("gender", 3),
    "a byte of a page's cents": byte_of("cents", 8),
    "a byte of a page's dates": byte_of("date", 0),
    "a page that is too short": shorter_page,
    "a page is gone": without_page,
    "an amount was changed": other_amount,
    "a customer is gone": without_customer,
}  # fmt: skip
"""After a repair and a refresh nothing differs; the changed amount is then found only by comparing with the file."""

LASTING: dict[str, Fault] = {
    "an attribute was changed": other_gender,
    "a transaction is gone": without_transaction,
    "a transaction more": one_transaction_more,
    "an unknown reference": unknown_reference,
}
FAULTS = MENDABLE | LASTING


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_is_found_and_told(checked: Store, fault: Fault) -> None:
    """With the period, the place, and the stored and the expected value; nothing once it is undone."""
    with restored(checked):
        place = fault(checked.db)
        found = verify(checked, quietly)
        assert not found.ok
        assert found.differences >= len(found.shown) > 0
        assert any(place in each.what for each in found.shown) or found.differences > SHOWN, found.shown
        assert all(each.stored != each.expected for each in found.shown)


def test_once_the_faults_are_undone_nothing_differs(checked: Store) -> None:
    """So each of them was found on its own, not one left over from before."""
    assert verify(checked, quietly).ok


def test_what_can_be_mended_is_mended(own: Store) -> None:
    """All faults of a kind: marked as stale by `repair`, rebuilt by a refresh, correct again."""
    names = list(MENDABLE)
    for some in (names[:9], names[9:13], names[13:15], names[15:]):
        for name in some:
            MENDABLE[name](own.db)
        found = verify(own, quietly, repair=True)
        assert found.repaired, some
        assert directory(own).stale_months, some
        refresh(own)
        again = verify(own, quietly)
        assert (again.stale, again.shown) == (0, []), some


def test_a_transaction_of_a_month_that_nobody_knows_is_found(own: Store) -> None:
    """Inserted directly into a month without any other: raw answers count it, so verify must find it."""
    of_nobody = {"_id": Int64(999_999), "customer_id": Int64(5), "amount_cents": None}
    then = {"day": day_of(day_number(date(2020, 5, 17)))}
    stranger = own.db.transactions.find_one({"_id": 5}) | of_nobody | then
    own.db.transactions.insert_one(stranger)
    assert not verify(own, quietly).ok


def test_after_a_repair_no_cache_gives_the_wrong_answer_any_more(own: Store) -> None:
    """An answerer that has used a wrong cell and cached a wrong page answers correctly once both are repaired."""
    answerer = Answerer(own)
    summary = BY_SLUG["overall-summary"]
    questions = [
        Question(summary, date(2022, 12, 1), date(2022, 12, 31), source=source)
        for source in (Source.ROLLUP, Source.PAGES)
    ]
    right = content(
        Answerer(own).answer([Question(summary, date(2022, 12, 1), date(2022, 12, 31), source=Source.RAW)], Timer())[0]
    )
    own.db.rollups.update_one({"_id": "2022-12:all:0"}, {"$inc": {"cells.total.0.r": 1}})
    byte_of("cents", 0)(own.db)
    wrong = [content(answerer.answer([question], Timer())[0]) for question in questions]
    assert right not in wrong
    assert verify(own, quietly, repair=True).repaired
    refresh(own)
    assert verify(own, quietly).ok
    assert [content(answerer.answer([question], Timer())[0]) for question in questions] == [right, right]


def test_a_refresh_that_a_repair_overtakes_leaves_nothing_wrong(own: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A year is added up from a wrong month, which is found and marked before the year is written."""
    own.db.rollups.update_one({"_id": "2023-01:all:0"}, {"$inc": {"cells.total.0.r": 1}})
    own.db.periods.update_one({"_id": "2023"}, {"$unset": {"built": ""}})
    own.db.status.update_one({"_id": "data"}, {"$inc": {"builds": 1}})
    original = refreshing._write

    def write_later(store: Store, *built: Any) -> bool:
        monkeypatch.undo()
        assert verify(own, quietly, repair=True).repaired
        return original(store, *built)

    monkeypatch.setattr(refreshing, "_write", write_later)
    refresh(own)
    refresh(own)
    found = verify(own, quietly)
    assert (found.stale, found.shown) == (0, [])


def test_stale_months_are_counted_and_not_compared(own: Store) -> None:
    """They are wrong by design until the refresh."""
    cell("2022-12", "n")(own.db)
    make_all_stale(own)
    found = verify(own, quietly)
    assert (found.ok, found.stale, found.months, found.years) == (True, 4, 0, 0)


def test_many_differences_are_counted_all_and_shown_in_part(own: Store) -> None:
    """Twenty are shown in full."""
    own.db.rollups.delete_many({"_id": {"$regex": "^2022-12:"}})
    found = verify(own, quietly)
    assert len(found.shown) == SHOWN < found.differences


def test_the_last_result_is_in_the_directory(own: Store) -> None:
    """None before the first; then the result, also for an answerer that has already read the directory."""
    own.db.status.delete_one({"_id": "verification"})
    answerer = Answerer(own)
    question = Question(BY_SLUG["overall-summary"])

    def seen() -> Any:
        with own.snapshot() as snapshot:
            return answerer.known.as_of(snapshot).verification

    answerer.answer([question], Timer())[0]
    assert seen() is None
    verify(own, quietly)
    assert (seen()["ok"], seen()["differences"], seen()["months"]) == (True, 0, 4)
    cell("2022", "n")(own.db)
    verify(own, quietly)
    assert (seen()["ok"], seen()["differences"]) == (False, 1)
    assert directory(own).verification == seen()


def test_control_totals_are_those_of_the_file(own: Store, csv_file: Path) -> None:
    """Equal as loaded; different if a transaction is missing or has another amount."""
    (found,) = compare_with_files(own, [csv_file])
    assert (found.ok, found.rows, found.stored_rows) == (True, ROWS, ROWS)
    assert found.cents == found.stored_cents > 0
    own.db.transactions.update_one({"amount_cents": {"$gt": 5}}, {"$inc": {"amount_cents": -1}})
    assert compare_with_files(own, [csv_file])[0].stored_cents == found.cents - 1
    own.db.transactions.delete_one({"_id": 3})
    (gone,) = compare_with_files(own, [csv_file])
    assert (gone.ok, gone.rows, gone.stored_rows) == (False, ROWS, ROWS - 1)


def test_the_command_exits_with_0_where_all_is_well_and_with_1_where_not(
    own: Store, data_dir: Path, environment: dict[str, str], csv_file: Path
) -> None:
    """Compared with the file: equal, then broken, then repaired."""
    well = command(own, data_dir, environment, "--csv", str(csv_file))
    assert (well.returncode, well.stderr) == (0, "")
    assert "no difference" in well.stdout
    assert f"{ROWS} transactions" in well.stdout
    assert "equal" in well.stdout
    place = cell("2022-12", "r")(own.db)
    broken = command(own, data_dir, environment, "--json")
    assert broken.returncode == 1
    assert "--repair" in broken.stderr
    told = json.loads(broken.stdout)
    assert (told["ok"], told["differences"]) == (False, 1)  # the year is compared with the pages
    assert [each["what"] for each in told["shown"]] == [place]
    mended = command(own, data_dir, environment, "--repair")
    assert mended.returncode == 0
    assert "no difference" in mended.stdout


def test_refresh_and_verify_are_commands_of_pipelines_too(
    own: Store, data_dir: Path, environment: dict[str, str], csv_file: Path
) -> None:
    """Both spellings do the same; only the loader's compares files, and the other one points to it."""

    def both(*arguments: str) -> tuple[int, str, str]:
        ours, loaders = (run(own, data_dir, environment, module, *arguments) for module in ("pipelines", "loader"))
        assert (ours.returncode, ours.stdout, ours.stderr) == (loaders.returncode, loaders.stdout, loaders.stderr)
        return ours.returncode, ours.stdout, ours.stderr

    assert both("refresh") == (0, "built 0 months and 0 years\n", "")
    code, said, _ = both("verify")
    assert (code, said.splitlines()[-1]) == (0, "no difference")
    cell("2022-12", "r")(own.db)
    code, said, error = both("verify")
    assert (code, said.splitlines()[-1]) == (1, "1 difference")
    assert "python -m pipelines verify --repair" in error
    pointed = run(own, data_dir, environment, "pipelines", "verify", "--csv", str(csv_file))
    assert pointed.returncode == 2
    assert "python -m loader verify --csv FILE" in pointed.stderr


def test_the_command_says_where_the_file_and_the_database_differ(
    own: Store, data_dir: Path, environment: dict[str, str], csv_file: Path
) -> None:
    """After a repair, a missing transaction is missing from the rollups, too; its load and the file still count it."""
    own.db.transactions.delete_one({"_id": 3})
    found = command(own, data_dir, environment, "--repair", "--csv", str(csv_file))
    assert found.returncode == 1
    assert f"transactions stored: {ROWS - 1}, expected {ROWS}" in found.stdout
    assert "DIFFERENT" in found.stdout
    assert "transaction 3 is missing" in found.stdout


def test_a_repair_reports_one_json_document(own: Store, data_dir: Path, environment: dict[str, str]) -> None:
    """So that programs can parse it."""
    cell("2022-12", "r")(own.db)
    found = command(own, data_dir, environment, "--repair", "--json")
    assert found.returncode == 0
    assert json.loads(found.stdout)["ok"] is True


@pytest.mark.parametrize("fault", LASTING.values(), ids=LASTING)
def test_what_a_repair_cannot_mend_is_told_with_its_remedy_and_stays(
    own: Store, data_dir: Path, environment: dict[str, str], fault: Fault
) -> None:
    """Repaired twice: loaded data are unchanged, and the second repair finds nothing more to rebuild."""
    fault(own.db)
    found = verify(own, quietly, repair=True)
    assert found.lasting
    assert all(each.remedy for each in found.shown if each.period in ("transactions", "customers", "loads"))
    refresh(own)
    version = read_version(own.outside).number
    again = verify(own, quietly, repair=True)
    assert (again.ok, again.lasting, again.differences, again.repaired) == (False, found.lasting, found.lasting, 0)
    assert read_version(own.outside).number == version
    told = command(own, data_dir, environment, "--repair")
    assert told.returncode == 1
    assert "a refresh cannot repair that" in told.stderr
    assert "python -m loader remove" in told.stdout or "restore a backup" in told.stdout


def test_a_missing_customer_is_made_again_and_the_data_version_stays(own: Store) -> None:
    """It is identical to the byte; no answer changes, so the version does not either."""
    as_stored = own.db.with_options(CodecOptions(RawBSONDocument)).customers
    before = {each["_id"]: each.raw for each in as_stored.find()}
    version = directory(own).version.number
    own.db.customers.delete_many({"_id": {"$in": [5, 6, 100]}})
    assert verify(own, quietly, repair=True).repaired == 3
    assert verify(own, quietly).ok
    assert {each["_id"]: each.raw for each in as_stored.find()} == before
    assert directory(own).version.number == version


def test_a_missing_profile_is_made_again_from_its_id(store: Store, csv_file: Path) -> None:
    """All of the profiles are missing."""
    load(store, csv_file, Options(customers="profile"), 0.0, quietly)
    before = {each["_id"]: each for each in store.db.customers.find()}
    assert len(before) > 10
    store.db.customers.delete_many({})
    assert verify(store, quietly, repair=True).repaired == len(before)
    assert verify(store, quietly).ok
    assert {each["_id"]: each for each in store.db.customers.find()} == before


def test_documents_of_another_form_with_the_same_content_are_equal(own: Store) -> None:
    """With fields in another order, documents are read one by one, and the rest of the reply at once."""
    for name in ("transactions", "customers"):
        as_stored = own.db.with_options(CodecOptions(RawBSONDocument))[name]
        document = bson.decode(as_stored.find_one({"_id": 7}).raw)  # keeps an int64 what it is
        as_stored.replace_one({"_id": 7}, dict(reversed(document.items())))
    found = verify(own, quietly)
    assert (found.shown, found.rows) == ([], ROWS)
