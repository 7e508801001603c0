"""Missing parts of the derived data are noticed: every answer over HTTP is correct, with a warning, or an error."""

import logging
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient

from catalog.collections import DATA_VERSION
from catalog.errors import StoreUnavailable
from loader.load import Options, load
from loader.loads.remove import remove
from pipelines.answer.answerer import Answerer
from pipelines.answer.sources import compiled
from pipelines.ask.queries import BY_SLUG, QUERIES
from pipelines.ask.question import Source, ask
from pipelines.derived import pages, presence
from pipelines.derived.refresh import refresh
from pipelines.derived.verification import periods
from pipelines.derived.verify import verify
from pipelines.plan.choose import plan
from pipelines.plan.reads import RollupRead
from pipelines.plan.whole import counts_slices, leaves_days
from service.app import create_app
from service.settings import ServiceSettings
from store.client import Store
from store.schema import read_vocabulary
from store.timing import Timer
from tests.support import oracle
from tests.support.questions import SEED, Parameters, content, random_parameters, random_query
from tests.support.rows import quietly, row, write
from tests.support.stores import directory, new_store

pytestmark = pytest.mark.live

FIRST = date(2022, 11, 1)
DAYS = 486
PART_ROWS = 60
RANGE = {"from": ["2022-12-10"], "to": ["2024-01-20"]}
CUT = {"from": ["2023-03-14"], "to": ["2023-03-16"]}
GIVEN: tuple[Parameters, ...] = (
    {},
    RANGE,
    CUT,
    {"from": ["2023-03-01"], "to": ["2023-03-31"]},
    {"segment": ["Gold", "Basic"]},
    {"not_gender": ["Male"]},
    {"state": ["Texas"], **RANGE},
    {"state": ["Texas", "Ohio", "Utah"], "not_segment": ["Silver"]},
    {"segment": ["Gold"], "payment_method": ["Card"], "gender": ["Male"], **RANGE},
    {"interval": ["month"]},
    {"interval": ["week"], **RANGE},
    {"interval": ["quarter"], "segment": ["Gold"]},
    {"compare": ["previous_period"], "from": ["2023-07-01"], "to": ["2024-01-31"]},
    {"compare": ["previous_year"], "from": ["2023-12-01"], "segment": ["Gold"]},
)
ASKED = [(query.slug, given) for query in QUERIES for given in GIVEN]
PAIRS: tuple[Parameters, ...] = (
    {"by": ["segment", "payment_method"]},
    {"by": ["state", "gender"], **RANGE},
    {"by": ["date", "segment"], **RANGE},
    {"by": ["date", "segment"], "not_segment": ["Gold"], **RANGE},
    {"by": ["segment", "gender"], "segment": ["Gold", "Basic"], "not_gender": ["Male"]},
    {"by": ["segment", "gender", "hour"]},
)

Damage = Callable[[Any], Any]
DAMAGES: dict[str, Damage] = {
    "rollups dropped": lambda db: db.rollups.drop(),
    "pages dropped": lambda db: db.pages.drop(),
    "periods dropped": lambda db: db.periods.drop(),
    "all three dropped": lambda db: [db[name].drop() for name in ("rollups", "pages", "periods")],
    "a month's slices deleted": lambda db: db.rollups.delete_many({"period": "2023-03"}),
    "a month's days deleted": lambda db: db.rollups.delete_many({"period": {"$regex": "^2023-03-"}}),
    "a month's pages deleted": lambda db: db.pages.delete_many({"_id": {"$regex": "^2023-03:"}}),
    "a year's slices deleted": lambda db: db.rollups.delete_many({"period": "2023"}),
    "the slice of a month's all deleted": lambda db: db.rollups.delete_one({"_id": "2023-03:all:0"}),
    "the slice of a month's member deleted": lambda db: db.rollups.delete_one({"_id": "2023-03:segment:2"}),
    "the slice of a year's member deleted": lambda db: db.rollups.delete_one({"_id": "2023:segment:2"}),
    "the slice of a day deleted": lambda db: db.rollups.delete_one({"_id": "2023-03-15:all:0"}),
    "a part of a page deleted": lambda db: db.pages.delete_one({"_id": "2023-03:1"}),
    "the last part of a page deleted": lambda db: db.pages.delete_one({"_id": "2023-03:2"}),
    "a page cut short": lambda db: db.pages.update_one({"_id": "2023-03:0"}, {"$set": {"columns.state": b"\1"}}),
    "a month not recorded": lambda db: db.periods.delete_one({"_id": "2023-03"}),
    "a year not recorded": lambda db: db.periods.delete_one({"_id": "2023"}),
    "a month and its year not recorded": lambda db: db.periods.delete_many({"_id": {"$in": ["2023", "2023-03"]}}),
    "a cell's count changed": lambda db: db.rollups.update_one(
        {"_id": "2023:all:0"}, {"$inc": {"cells.segment.1.n": 1}}
    ),
}
CHANGED = {"a page cut short", "a cell's count changed"}
"""Nothing is missing, so only reads of these data can notice it."""

UNSEEN = {"a year not recorded"}
"""Months are read instead, as before a refresh."""


@pytest.fixture(scope="module", autouse=True)
def small_parts() -> Iterator[None]:
    """Several parts per page."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (pages, presence, periods):
            patch.setattr(module, "PART_ROWS", PART_ROWS)
        yield


@pytest.fixture(scope="module")
def csv_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole year, and two months before and after it, with five purchases a day."""
    random = Random(11)
    lines = [row(random, n, FIRST + timedelta(days=n // 5)) for n in range(DAYS * 5)]
    return write(tmp_path_factory.mktemp("whole") / "purchases.csv", lines)


class Right:
    """The correct answers, from the oracle, each computed once."""

    def __init__(self, path: Path) -> None:
        self._frame = oracle.read(path)
        self._answers: dict[str, Any] = {}

    def answer(self, slug: str, given: Parameters) -> Any:
        """Rows and totals."""
        name = f"{slug} {given}"
        if name not in self._answers:
            self._answers[name] = oracle.answer(self._frame, slug, given)
        return self._answers[name]


@pytest.fixture(scope="module")
def right(csv_file: Path) -> Right:
    """The correct answers for this file."""
    return Right(csv_file)


@pytest.fixture
def own(server: Store, data_dir: Path, csv_file: Path) -> Iterator[Store]:
    """A new database with this file, verified."""
    with new_store(data_dir) as store:
        load(store, csv_file, Options(), 0.0, quietly)
        assert verify(store, quietly).ok
        yield store


@pytest.fixture(scope="module")
def intact(server: Store, data_dir: Path, csv_file: Path) -> Iterator[Store]:
    """The same for tests that leave it unchanged."""
    with new_store(data_dir) as store:
        load(store, csv_file, Options(), 0.0, quietly)
        yield store


@pytest.fixture
def serve() -> Iterator[Callable[[Store], FlaskClient]]:
    """A function that creates a client of a new service."""
    apps = []

    def serve(store: Store) -> FlaskClient:
        apps.append(create_app(store.settings, ServiceSettings()))
        return apps[-1].test_client()

    yield serve
    for app in apps:
        app.extensions["connection"].close()


def unwatched(client: FlaskClient) -> FlaskClient:
    """A client of a service that reads the version each time, so that it is never a second behind."""
    answerer = client.application.extensions["connection"].answerer
    answerer.close()
    answerer.known.watcher = None
    return client


Serve = Callable[[Store], FlaskClient]


def get(client: FlaskClient, path: str, given: Parameters) -> Any:
    """The response to a GET with parameters."""
    return client.get(f"{path}?{urlencode(given, doseq=True)}")


def is_right(client: FlaskClient, right: Right, slug: str, given: Parameters) -> list[str]:
    """Ask, and compare the answer with the oracle's; returns the warnings."""
    response = get(client, f"/v1/queries/{slug}", given)
    assert response.status_code == 200, response.text
    found = response.json
    wanted = right.answer(slug, given)
    assert found["rows"] == wanted["rows"], (slug, given, found["meta"])
    assert found["totals"] == wanted["totals"], (slug, given, found["meta"])
    if found["meta"]["warnings"]:
        assert found["meta"]["verified"] is False
    return list(found["meta"]["warnings"])


def pairs(client: FlaskClient) -> list[Any]:
    """The answers to explorations by two and three dimensions."""
    found = [get(client, "/v1/explore", given).json for given in PAIRS]
    return [(each["rows"], each["totals"]) for each in found]


@pytest.fixture(scope="module")
def right_pairs(intact: Store) -> list[Any]:
    """The same for the database as loaded, from transactions."""
    app = create_app(intact.settings, ServiceSettings())
    client = app.test_client()
    found = [get(client, "/v1/explore", given | {"source": ["raw"]}).json for given in PAIRS]
    app.extensions["connection"].close()
    return [(each["rows"], each["totals"]) for each in found]


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_missing_is_missed(own: Store, right: Right, right_pairs: list[Any], serve: Serve, name: str) -> None:
    """By a service with filled caches and by a new one; monitors are informed, too."""
    before = serve(own)
    for slug, given in ASKED[::7]:
        assert is_right(before, right, slug, given) == []
    DAMAGES[name](own.db)
    for client in (before, serve(own)):
        asked = ASKED[::3] if client is before else ASKED
        warnings = [each for slug, given in asked for each in is_right(client, right, slug, given)]
        assert bool(warnings) or name in UNSEEN or client is before
        assert pairs(client) == right_pairs
        ready = client.get("/readyz")
        assert ready.status_code == 200
    if name not in CHANGED:
        ready = serve(own).get("/readyz")
        assert (ready.json["status"], ready.json["verified"]) == ("incomplete", False)
        assert "analytics_incomplete_periods 0" not in serve(own).get("/metrics").text
    refresh(own)
    assert not verify(own, quietly, repair=True).stale
    refresh(own)
    found = verify(own, quietly)
    assert (found.ok, found.stale) == (True, 0)
    for client in (before, serve(own)):
        assert client.get("/readyz").json["status"] == "ok"
        assert [is_right(client, right, slug, given) for slug, given in ASKED[::5]] == [[]] * len(ASKED[::5])


@pytest.mark.parametrize(
    "name", ["rollups dropped", "pages dropped", "a month's slices deleted", "a month not recorded"]
)
def test_a_source_that_is_asked_for_and_is_incomplete_is_refused(
    own: Store, right: Right, serve: Serve, name: str
) -> None:
    """Or it answers exactly, if what it reads is there."""
    DAMAGES[name](own.db)
    client = serve(own)
    refused = 0
    for source in (Source.ROLLUP, Source.PAGES):
        for slug, given in ASKED:
            asked = given | {"source": [source.value]}
            response = get(client, f"/v1/queries/{slug}", asked)
            if response.status_code == 422:
                refused += "mends it" in response.json["detail"]
            else:
                assert response.status_code == 200
                assert response.json["rows"] == right.answer(slug, given)["rows"]
    assert refused > 10


def test_nothing_is_missed_where_nothing_is_missing(intact: Store, right: Right, serve: Serve) -> None:
    """No question has a warning, and monitors have none."""
    client = serve(intact)
    assert [is_right(client, right, slug, given) for slug, given in ASKED] == [[]] * len(ASKED)
    assert client.get("/readyz").json["status"] == "ok"
    assert client.get("/readyz").json["incomplete"] == []


def test_any_slice_that_a_random_question_reads_is_missed(
    own: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each read is tried complete and with one slice missing: the answer is the same, and the log names the period."""
    random = Random(SEED)
    vocabulary = read_vocabulary(own.outside)
    known = directory(own)
    kinds = set()
    for number in range(300):
        query, parameters = random_query(random), random_parameters(random, vocabulary, most_filters=2)
        parameters.pop("limit", None)
        if number % 4 == 0:
            query, member = BY_SLUG["daily-sales"], random.choice(vocabulary["segment"])
            parameters = {"from": ["2023-02-10"], "to": ["2023-04-20"], "segment": [member]}
        question = ask(query, parameters, vocabulary)
        read = next((each for each in plan(question, known).reads if isinstance(each, RollupRead)), None)
        if read is None:
            continue
        name, pipeline = compiled(question, read)
        slices = list(own.db[name].find(pipeline[0]["$match"]))
        caplog.clear()
        wanted = content(Answerer(own).answer([question], Timer())[0])
        assert not caplog.records, f"seed {SEED}, {number}: {query.slug} {parameters}"
        if not slices:
            continue
        gone = random.choice(slices)
        own.db[name].delete_one({"_id": gone["_id"]})
        found = Answerer(own).answer([question], Timer())[0]
        own.db[name].insert_one(gone)
        assert content(found) == wanted, f"seed {SEED}, {number}: {query.slug} {parameters} without {gone['_id']}"
        assert [each.levelno for each in caplog.records] == [logging.WARNING]
        kinds.add((counts_slices(question, read), leaves_days(question, read), gone["dimension"] == "all"))
    assert {kind[:2] for kind in kinds} == {(True, False), (False, True), (False, False)}, f"seed {SEED}: {kinds}"


def test_a_year_is_built_right_while_a_page_is_missing(own: Store, right: Right, serve: Serve) -> None:
    """From the transactions of that month."""
    own.db.pages.delete_one({"_id": "2023-05:0"})
    own.db.periods.update_one({"_id": "2023"}, {"$unset": {"built": ""}})
    refresh(own)
    assert own.db.periods.find_one({"_id": "2023"})["rows"] == 365 * 5
    assert is_right(serve(own), right, "overall-summary", {"from": ["2023-01-01"], "to": ["2023-12-31"]}) == []


def test_counts_that_were_changed_are_found_and_mended(own: Store) -> None:
    """Reads are checked against them."""
    own.db.periods.update_one({"_id": "2023-03"}, {"$set": {"counts.segment": b"\1\0\0\0"}})
    assert not verify(own, quietly, repair=True).ok
    refresh(own)
    assert verify(own, quietly).ok


def test_a_database_whose_status_was_lost_answers_nothing_until_it_has_a_new_version(
    own: Store, right: Right, serve: Serve, tmp_path: Path
) -> None:
    """Not even from caches; derived data are no longer trusted, as stale periods in lanes may have been lost."""
    before = serve(own)
    assert is_right(before, right, "overall-summary", {}) == []
    epoch = own.db.status.find_one({"_id": DATA_VERSION})["epoch"]
    newest = own.db.periods.find_one({}, sort=[("changed", -1)])["changed"]
    own.db.status.drop()
    for client in (serve(own), before):
        for path in ("/readyz", "/v1/queries/top-states", "/v1/dashboard", "/v1/explore"):
            response = client.get(path)
            assert (response.status_code, "status was lost" in response.json["detail"]) == (503, True)
    refresh(own)
    status = own.db.status.find_one({"_id": DATA_VERSION})
    assert status["epoch"] != epoch
    assert status["version"] > newest
    for client in (serve(own), before):
        assert [is_right(client, right, slug, given) for slug, given in ASKED[::9]] == [[]] * len(ASKED[::9])
    assert verify(own, quietly).ok


def test_a_load_after_the_status_was_lost_trusts_nothing_that_was_built(
    own: Store, serve: Serve, tmp_path: Path
) -> None:
    """The new version is above those of all periods, so that none of them can look fresh by chance."""
    own.db.rollups.update_one({"_id": "2023:all:0"}, {"$inc": {"cells.total.0.r": 1}})
    own.db.status.drop()
    line = row(Random(3), 900_001, date(2024, 5, 5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("loader.load.refresh", lambda *_: None)
        load(own, write(tmp_path / "more.csv", [line]), Options(), 0.0, quietly)
    assert set(directory(own).stale_months) == set(directory(own).months)
    total = get(serve(own), "/v1/queries/overall-summary", {}).json
    assert total["meta"]["source"] == "raw"
    assert total["totals"]["transactions"] == DAYS * 5 + 1
    refresh(own)
    assert verify(own, quietly).ok


def test_transactions_that_are_gone_are_an_error_where_they_are_read(own: Store, right: Right, serve: Serve) -> None:
    """Derived data still answer; the loss is never shown as an empty answer."""
    own.db.transactions.drop()
    client = serve(own)
    for source in ("raw", "auto"):
        for slug, given in ASKED:
            response = get(client, f"/v1/queries/{slug}", given | {"source": [source]})
            if response.status_code == 503:
                assert "transactions is empty" in response.json["detail"]
            else:
                assert source == "auto"
                assert response.json["rows"] == right.answer(slug, given)["rows"]


def test_a_load_that_is_removed_leaves_no_error(own: Store, serve: Serve) -> None:
    """An empty answer is correct then, even before the refresh."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("loader.loads.remove.refresh", lambda *_: None)
        remove(own, own.db.loads.find_one()["_id"], quietly)
    for source in ("raw", "auto"):
        response = get(serve(own), "/v1/queries/top-states", {"source": [source]})
        assert (response.status_code, response.json["rows"]) == (200, [])


@pytest.mark.parametrize(
    "lose",
    [
        lambda db: db.states.drop(),
        lambda db: db.states.delete_many({}),
        lambda db: db.states.delete_one({"_id": 7}),
        lambda db: db.states.delete_one({"_id": 50}),
    ],
    ids=["dropped", "emptied", "one gone", "the last gone"],
)
def test_names_that_are_gone_are_an_error(own: Store, serve: Serve, lose: Damage, tmp_path: Path) -> None:
    """None is shown as Unknown, and no load reuses a code for another name."""
    lose(own.db)
    for path in ("/v1/queries/top-states", "/v1/queries/revenue-by-segment", "/readyz"):
        response = serve(own).get(path)
        assert (response.status_code, "states has lost names" in response.json["detail"]) == (503, True), response.text
    names = list(own.db.states.find())
    line = row(Random(3), 900_001, date(2024, 2, 5), ["Guam"])
    with pytest.raises(StoreUnavailable, match="states has lost names"):
        load(own, write(tmp_path / "more.csv", [line]), Options(new_members="add"), 0.0, quietly)
    assert list(own.db.states.find()) == names


def test_codes_that_no_transaction_has_need_no_name(own: Store, right: Right, serve: Serve) -> None:
    """A name was added manually, with a gap in the codes."""
    own.db.states.insert_one({"_id": 60, "name": "Guam"})
    assert is_right(serve(own), right, "top-states", {}) == []
    own.db.periods.update_one({"_id": "2023-03"}, {"$unset": {"built": ""}})
    own.db.status.update_one({"_id": DATA_VERSION}, {"$inc": {"builds": 1}})
    assert serve(own).get("/v1/queries/top-states").status_code == 503, "not counted, so perhaps lost"
    refresh(own)
    assert is_right(serve(own), right, "top-states", {}) == []


def test_an_answer_is_verified_where_nothing_of_it_has_changed_since(
    own: Store, right: Right, serve: Serve, tmp_path: Path
) -> None:
    """By month: months changed by a later load are not, until the next verification; version and moment are shown."""
    client = unwatched(serve(own))
    spring = {"from": ["2023-03-01"], "to": ["2023-05-31"]}
    summer = {"from": ["2023-06-01"], "to": ["2023-08-31"]}
    beside = {**summer, "compare": ["previous_period"]}

    def meta(given: Parameters) -> Any:
        return get(client, "/v1/queries/top-states", given).json["meta"]

    verified = own.db.status.find_one({"_id": DATA_VERSION})["version"]
    for given in ({}, spring, summer, beside):
        assert (meta(given)["verified"], meta(given)["verification"]["version"]) == (True, verified)
    load(own, write(tmp_path / "more.csv", [row(Random(3), 900_001, date(2023, 4, 5))]), Options(), 0.0, quietly)
    told = {str(given): meta(given)["verified"] for given in ({}, spring, summer, beside)}
    assert list(told.values()) == [False, False, True, False], told
    assert meta({})["verification"] | {"at": ""} == {"ok": True, "version": verified, "at": ""}
    assert client.get("/readyz").json["verified"] is False
    assert "analytics_verified 0.0" in client.get("/metrics").text
    assert verify(own, quietly).ok
    for given in ({}, spring, summer, beside):
        assert (meta(given)["verified"], meta(given)["verification"]["version"]) == (True, verified + 1)
    assert "analytics_verified 1.0" in client.get("/metrics").text
    own.db.rollups.update_one({"_id": "2023-03:all:0"}, {"$inc": {"cells.total.0.r": 1}})
    assert not verify(own, quietly).ok
    assert meta(summer)["verified"] is False
    assert meta(summer)["verification"]["ok"] is False


def test_before_the_first_verification_nothing_is_said_of_it(intact: Store, serve: Serve) -> None:
    """Neither true nor false."""
    meta = get(serve(intact), "/v1/queries/top-states", {}).json["meta"]
    assert (meta["verified"], meta["verification"]) == (None, None)


def test_what_was_stale_when_it_was_verified_is_not_verified_when_it_is_built(own: Store, serve: Serve) -> None:
    """The verification did not cover what was built later, under the same version."""
    own.db.periods.update_one({"_id": "2023-03"}, {"$unset": {"built": ""}})
    own.db.status.update_one({"_id": DATA_VERSION}, {"$inc": {"builds": 1}})
    assert verify(own, quietly).stale == 1
    refresh(own)
    assert get(serve(own), "/v1/queries/top-states", {}).json["meta"]["verified"] is False


def test_pages_of_an_older_version_are_missed(own: Store, right: Right, serve: Serve) -> None:
    """As after a partial restore of a backup: the same number of rows, from another time."""
    own.db.pages.update_many({"_id": {"$regex": "^2023-03:"}}, {"$inc": {"built": -1}})
    given = {"segment": ["Gold"], "payment_method": ["Card"], "gender": ["Male"], **CUT}
    assert is_right(serve(own), right, "top-states", given)
