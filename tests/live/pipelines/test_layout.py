"""A database with a layout that this program does not know is refused; an older one is upgraded."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catalog.collections import DATA_VERSION, LAYOUT
from indexes.manage import apply
from loader.load import Options, load
from pipelines.derived.refresh import refresh
from pipelines.derived.verify import verify
from pipelines.state.directory import begin
from service.app import create_app
from service.settings import ServiceSettings
from store.client import Store
from store.layout import NewerLayout
from tests.support.counted import Counted
from tests.support.places import ROOT
from tests.support.rows import quietly
from tests.support.stores import directory, new_store

pytestmark = pytest.mark.live

PATH = "/v1/queries/overall-summary"
SENTENCE = f"written by a newer release (layout {LAYOUT + 1}, this program knows {LAYOUT}). Upgrade the program."
COMMANDS = (
    "loader load {csv}",
    "loader remove {load}",
    "loader refresh",
    "loader verify",
    "loader verify --repair",
    "loader status",
    "loader quarantine {load}",
    "pipelines run top-states",
    "pipelines explain top-states",
    "pipelines refresh",
    "pipelines verify",
    "indexes apply",
    "indexes verify",
    "indexes usage",
)


@pytest.fixture(scope="module")
def newer(server: Store, data_dir: Path, sample: Path) -> Iterator[Store]:
    """A database written by a newer release."""
    with new_store(data_dir) as store:
        load(store, sample, Options(), 0.01, quietly)
        set_layout(store, LAYOUT + 1)
        yield store


def set_layout(store: Store, layout: int) -> None:
    """Set the layout like a release with that layout; it need not change any counter that is known here."""
    store.db.status.update_one({"_id": DATA_VERSION}, {"$set": {"schema": layout}})


def dump(store: Store) -> Any:
    """The status documents of the database, and its validators."""
    documents = [list(store.db[name].find().sort("_id")) for name in ("status", "loads", "periods", "states")]
    return documents, sorted(store.db.list_collections(), key=lambda each: each["name"])


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_refuses_a_newer_layout_and_changes_nothing(
    newer: Store, data_dir: Path, environment: dict[str, str], tmp_path: Path, sample: Path, line: str
) -> None:
    """With one line that names both layouts and the remedy."""
    before = dump(newer)
    some = tmp_path / "some.csv"
    some.write_text("".join(sample.read_text().splitlines(keepends=True)[:20]))
    load_id = newer.db.loads.find_one()["_id"]
    arguments = line.format(csv=some, load=load_id).split()
    mine = environment | {"DATA_DIR": str(data_dir), "MONGODB_DATABASE": newer.settings.database}
    command = [sys.executable, "-m", *arguments]
    found = subprocess.run(command, cwd=ROOT, env=mine, capture_output=True, text=True, timeout=120, check=False)
    assert (found.returncode, found.stderr) == (1, f"error: This database was {SENTENCE}\n"), found.stderr
    assert found.stdout == ""
    assert dump(newer) == before


def test_the_service_refuses_a_newer_layout(newer: Store) -> None:
    """Every answer and readiness fail; it stays alive, and monitors see that it cannot answer."""
    app = create_app(newer.settings, ServiceSettings())
    client = app.test_client()
    answers = ("/readyz", PATH, f"{PATH}/explain", f"{PATH}.csv", "/v1/dashboard", "/v1/explore")
    for path in (*answers, "/v1/dimensions", "/v1/loads", "/v1/loads/any"):
        response = client.get(path)
        assert (response.status_code, SENTENCE in response.json["detail"]) == (503, True), path
    assert client.get("/healthz").status_code == 200
    assert "analytics_mongodb_up 0.0" in client.get("/metrics").text
    app.extensions["connection"].close()


def test_a_service_that_runs_refuses_it_too(server: Store, data_dir: Path, sample: Path) -> None:
    """Also cached answers: the change stream reports the layout."""
    with new_store(data_dir) as store:
        load(store, sample, Options(), 0.01, quietly)
        service = Counted(store)
        service.get(PATH)
        service.wait()
        assert [service.get(PATH).status_code for _ in range(3)] == [200] * 3
        asked = service.asked
        service.get(PATH)
        assert service.asked == asked, "nothing was kept"
        set_layout(store, LAYOUT + 1)
        watcher = service.flask.extensions["connection"].answerer.known.watcher
        for _ in range(50):
            if any(each.get("schema") == LAYOUT + 1 for each in watcher.current()):
                break
            watcher.wait(watcher.changes, 0.1)
        for path in (PATH, "/v1/queries/top-states", "/readyz"):
            response = service.get(path)
            assert (response.status_code, SENTENCE in response.json["detail"]) == (503, True)
        set_layout(store, LAYOUT)
        for _ in range(50):
            if service.get(PATH).status_code == 200:
                break
            watcher.wait(watcher.changes, 0.1)
        assert service.get(PATH).status_code == 200
        service.flask.extensions["connection"].close()


def test_a_loader_that_is_overtaken_by_a_newer_release_stops(server: Store, data_dir: Path, sample: Path) -> None:
    """In its next transaction."""
    with new_store(data_dir) as store:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("loader.load.refresh", lambda store: (set_layout(store, LAYOUT + 1), refresh(store)))
            with pytest.raises(NewerLayout):
                load(store, sample, Options(), 0.01, quietly)
        assert store.db.rollups.find_one() is None


def make_older(store: Store) -> None:
    """Turn it into a database of the previous layout: another name of a counter, no counts, no schema."""
    options = {"bypass_document_validation": True}
    store.db.command("collMod", "status", validator={})
    store.db.command("collMod", "periods", validator={})
    store.db.status.update_one(
        {"_id": DATA_VERSION}, {"$rename": {"builds": "layout"}, "$unset": {"schema": "", "recorded": ""}}, **options
    )
    store.db.periods.update_many({}, {"$set": {"format": 1}, "$unset": {"counts": ""}}, **options)


@pytest.mark.parametrize("by", ["indexes apply", "refresh", "load"])
def test_an_older_layout_is_answered_right_and_brought_up_to_date(
    server: Store, data_dir: Path, sample: Path, by: str
) -> None:
    """From transactions until the refresh. Programs that know only the older layout find no counter and fail."""
    with new_store(data_dir) as store:
        load(store, sample, Options(), 0.01, quietly)
        app = create_app(store.settings, ServiceSettings())
        client = app.test_client()
        right = client.get(PATH).json
        make_older(store)
        app.extensions["connection"].close()
        app = create_app(store.settings, ServiceSettings())
        client = app.test_client()
        found = client.get(PATH).json
        assert (found["rows"], found["meta"]["source"]) == (right["rows"], "raw")
        if by == "load":
            load(store, sample, Options("profile"), 1.0, quietly)
        else:
            apply(store)
        status = store.db.status.find_one({"_id": DATA_VERSION})
        assert (status["schema"], "layout" in status) == (LAYOUT, False)
        if by != "indexes apply":
            refresh(store)
            assert not directory(store).stale_months
        assert client.get(PATH).json["rows"] == right["rows"]
        assert verify(store, quietly).ok
        app.extensions["connection"].close()


def test_a_new_database_has_the_layout_from_its_first_commit_on(store: Store) -> None:
    """Without data, there is no layout."""
    apply(store)
    assert store.db.status.find_one() is None
    store.transaction(begin)
    assert store.db.status.find_one({"_id": DATA_VERSION})["schema"] == LAYOUT
