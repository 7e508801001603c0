"""What `present` means to a client: how old an answer may be, that none goes back, and that `no-cache` asks MongoDB."""

import logging
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pytest
from flask import Flask

from catalog.dimensions import day_number
from loader.load import Options, load
from pipelines.derived.refresh import refresh
from pipelines.state.directory import bump_version
from service.app import create_app
from service.settings import ServiceSettings
from store.client import Store
from store.settings import Settings
from tests.support.counted import Counted
from tests.support.process import loader
from tests.support.rows import quietly, random_days, row, write
from tests.support.service import Service, serving
from tests.support.stores import new_store

pytestmark = pytest.mark.live

PATHS = (
    "/v1/queries/top-states",
    "/v1/queries/overall-summary?hour=3",
    "/v1/queries/top-states?compare=previous_year&from=2021-01-01&to=2021-03-31",
    "/v1/explore?by=gender&by=hour",
    "/v1/dashboard",
)


@pytest.fixture(scope="module")
def filled(server: Store, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A small database, which the tests change."""
    random = Random(1)
    lines = [row(random, number, day) for number, day in enumerate(random_days(random, 2_000))]
    with new_store(data_dir) as store:
        load(store, write(tmp_path_factory.mktemp("present") / "base.csv", lines), Options(), 0.0, quietly)
        yield store


def bump(store: Store) -> int:
    """Commit a new version, as a batch does."""
    return store.transaction(lambda transaction: bump_version(transaction, [day_number(date(2020, 1, 1))]))


def version(body: bytes) -> int:
    """The data version that a reply is of; the only one of a dashboard."""
    (found,) = set(re.findall(rb'"data_version": (\d+)', body))
    return int(found)


def eventually(condition: Any, seconds: float = 15) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def service(filled: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two workers, both of which have their columns."""
    folder = tmp_path_factory.mktemp("service")
    environment = {
        "DATA_DIR": str(filled.settings.data_dir), "MONGODB_DATABASE": filled.settings.database, "WORKERS": "2",
        "COLUMNS_MAX_MB": "100",
    }  # fmt: skip
    with serving(folder / "log", environment) as running:
        eventually(lambda: all_from_columns(running))
        yield running


def from_columns(service: Service) -> bool:
    """Whether a question that was not asked before is answered from columns alone."""
    hour = time.monotonic_ns() % 24
    reply = service.get(f"/v1/queries/top-states?hour={hour}&limit={time.monotonic_ns() % 99_999 + 1}")
    return bool(reply.json["meta"]["source"] == "columns")


def all_from_columns(service: Service) -> bool:
    """Whether all workers do so: several ask at the same time, so that each has something to do."""
    with ThreadPoolExecutor(4) as several:
        return all(several.map(from_columns, [service] * 24))


def test_an_answer_is_of_a_new_version_within_a_second_of_its_commit_and_none_goes_back(
    service: Service, filled: Store
) -> None:
    """Whichever worker answers, computed or kept: the delay is measured from the commit's return."""
    delays = []
    newest = 0
    for _ in range(12):
        wanted = bump(filled)
        committed = time.monotonic()
        found = 0
        while found < wanted:
            for path in PATHS[:2]:
                found = version(service.get(path).body)
                assert found >= newest, "an older version after a newer one"
                newest = found
        delays.append(time.monotonic() - committed)
    refresh(filled)
    print(f"of the new version after {sorted(round(each * 1000) for each in delays)} ms")
    assert max(delays) < 1.0


def test_a_load_in_another_process_is_in_the_next_answers(service: Service, filled: Store, tmp_path: Path) -> None:
    """Its rows are counted within a second of the command's end, and soon from columns again."""
    settings = filled.settings
    environment = {"DATA_DIR": str(settings.data_dir), "MONGODB_DATABASE": settings.database, "PATH": "/usr/bin:/bin"}
    rows = service.get("/v1/queries/overall-summary").json["totals"]["transactions"]
    path = write(tmp_path / "more.csv", [row(Random(2), 50_000, date(2020, 5, 6))])
    process = loader(environment, "load", path)
    assert process.wait(60) == 0, process.output
    start = time.monotonic()
    eventually(lambda: service.get("/v1/queries/overall-summary").json["totals"]["transactions"] == rows + 1, 1.0)
    eventually(lambda: all_from_columns(service))
    print(f"from columns again {time.monotonic() - start:.2f} s after the load")


def test_columns_are_shared_by_all_workers(service: Service) -> None:
    """Each has the files mapped, and no page of them for itself alone that it has written to."""
    told = {}
    children = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()
    for child in children:
        size, private = mapped_columns(int(child))
        if size:
            told[child] = (size, private)
    print(f"mapped and dirty bytes of columns by worker: {told}")
    assert len(told) == 2
    for size, private in told.values():
        assert size > 1 << 20
        assert private == 0


def mapped_columns(pid: int) -> tuple[int, int]:
    """How many bytes of columns a process has mapped, and how many of these are dirty and its own."""
    size = private = 0
    is_ours = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, *rest = line.split()
        if not name.endswith(":"):
            is_ours = line.endswith(".columns")
        elif is_ours and name in ("Size:", "Private_Dirty:"):
            size += int(rest[0]) << 10 if name == "Size:" else 0
            private += int(rest[0]) << 10 if name == "Private_Dirty:" else 0
    return size, private


# Within one process.


class Lying:
    """A watcher that goes on to vouch for what it last heard."""

    def __init__(self, said: Any) -> None:
        self._documents = said[0]
        self.changes = 0

    @property
    def said(self) -> Any:
        """The same as ever, as of now."""
        return self._documents, time.monotonic()

    def current(self) -> Any:
        """The same as ever."""
        return self._documents

    def wait(self, seen: int, timeout_s: float) -> int:
        """Nothing ever happens."""
        time.sleep(timeout_s)
        return self.changes

    def close(self) -> None:
        """Nothing to end."""


@pytest.fixture(params=["computed", "from columns"])
def deceived(filled: Store, request: pytest.FixtureRequest) -> Iterator[Counted]:
    """An application whose watcher does not hear of anything new; with columns of its own, or without."""
    app = Counted(filled, ServiceSettings(columns_mb=100 if request.param == "from columns" else 0))
    connection = app.flask.extensions["connection"]
    connection.warm()
    app.wait()
    if request.param == "from columns":
        limits = iter(range(1, 90_000))
        eventually(
            lambda: app.get(f"/v1/queries/top-states?limit={next(limits)}").get_json()["meta"]["source"] == "columns"
        )
    for path in PATHS:
        app.get(path)
        app.get(path)
    watcher = connection.answerer.known.watcher
    said = watcher.said
    watcher.close()
    connection.answerer.known.watcher = Lying(said)
    yield app
    connection.close()


def test_no_cache_is_answered_with_the_version_that_mongodb_has(deceived: Counted, filled: Store) -> None:
    """Though the watcher vouches for an older one, and the reply to the same question is kept."""
    old = version(deceived.get(PATHS[0]).data)
    for path in PATHS:
        for text in ("no-cache", "max-age=0, No-Cache"):
            wanted = bump(filled)
            assert version(deceived.get(path, Cache_Control=text).data) == wanted
    wanted = bump(filled)
    reply = deceived.get("/v1/queries/top-states.csv", Cache_Control="no-cache")
    assert reply.headers["ETag"].split("-")[1] == str(wanted)
    refresh(filled)
    assert wanted > old


def test_after_no_cache_nothing_older_is_shown(deceived: Counted, filled: Store) -> None:
    """Neither kept replies nor kept answers nor columns, though the watcher still vouches for them."""
    before = {path: version(deceived.get(path).data) for path in PATHS}
    wanted = bump(filled)
    assert {path: version(deceived.get(path).data) for path in PATHS} == before  # it is deceived
    assert version(deceived.get("/v1/queries/hourly-sales", Cache_Control="no-cache").data) == wanted
    for path in PATHS:
        assert version(deceived.get(path).data) == wanted
    refresh(filled)


def test_what_the_client_has_is_not_confirmed_with_no_cache(deceived: Counted, filled: Store) -> None:
    """The ETag of the version before is none of the present one."""
    etag = deceived.get(PATHS[0]).headers["ETag"]
    assert deceived.get(PATHS[0], If_None_Match=etag).status_code == 304
    bump(filled)
    assert deceived.get(PATHS[0], If_None_Match=etag, Cache_Control="no-cache").status_code == 200
    refresh(filled)


# Settings.


def asked(app: Flask) -> set[str]:
    """The sources of some questions that were not asked before."""
    replies = [app.test_client().get(f"/v1/queries/top-states?hour={hour}") for hour in range(3)]
    return {reply.json["meta"]["source"] for reply in replies}


@pytest.mark.parametrize("case", ["none", "unwritable"])
def test_without_columns_rollups_answer(
    filled: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """COLUMNS_MAX_MB=0 keeps none and writes nothing; an unwritable folder is reported once."""
    monkeypatch.setattr("pipelines.answer.keeper.TROUBLE_S", 0.1)
    uri = filled._uri
    app = create_app(
        Settings(database=filled.settings.database, data_dir=tmp_path, uri=uri),
        ServiceSettings(columns_mb=0 if case == "none" else 100),
    )
    if case == "unwritable":
        (tmp_path / "columns").write_text("a file in the folder's place")
    connection = app.extensions["connection"]
    try:
        with caplog.at_level(logging.WARNING):
            connection.warm()
            time.sleep(1.0)
            assert asked(app) == {"rollup"}
        warnings = [each.getMessage() for each in caplog.records if "columns" in each.getMessage()]
        assert len(warnings) == (case == "unwritable"), warnings
        assert case == "none" or str(tmp_path / "columns") in warnings[0]
        assert [each.name for each in tmp_path.iterdir()] == ([] if case == "none" else ["columns"])
    finally:
        connection.close()
