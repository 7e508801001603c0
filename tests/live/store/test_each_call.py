"""Every call to MongoDB has a comment that names its command, and its store's patience."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from catalog.purchases import PURCHASES
from service.app import create_app
from store.client import Store
from store.settings import Settings
from tests.support.places import ROOT

pytestmark = pytest.mark.live

GOOD = "2024-05-17T13:45:00,Female,39,Single,Ohio,Gold,workers,Card"
COMMANDS = (
    ("loader load", ("load", "{path}")),
    ("loader load", ("{path}",)),
    ("loader refresh", ("refresh",)),
    ("loader verify", ("verify", "--csv", "{path}")),
    ("loader status", ("status",)),
    ("loader rename", ("rename", "state", "1", "Elsewhere")),
    ("loader remove", ("remove", "{load}")),
    ("indexes apply", ("apply",)),
    ("indexes verify", ("verify",)),
    ("indexes usage", ("usage",)),
    ("pipelines run", ("run", "top-states", "--state", "Ohio")),
    ("pipelines explain", ("explain", "top-states")),
)


def _commands(store: Store, since: Any) -> Sequence[tuple[str, str, Any]]:
    """Collection, operation and comment of the commands in MongoDB's profiler."""
    noted = store.db["system.profile"].find(
        {"appName": "customer-analytics", "ts": {"$gte": since}, "ns": {"$not": {"$regex": "system.profile"}}}
    )
    return [
        (each["ns"].partition(".")[2], each["op"], each["command"].get("comment"))
        for each in noted
        if "aggregate" not in each["command"] or each["command"]["aggregate"] != "system.profile"
    ]


def test_each_command_line_names_itself_in_each_command(store: Store, data_dir: Path, tmp_path: Path) -> None:
    """So that the origin of a slow command in MongoDB's profiler is known."""
    path = tmp_path / "a.csv"
    path.write_text("\n".join([",".join(PURCHASES.header), *(f"{n},{GOOD},{n}" for n in (1, 2, 2)), f"2,{GOOD},7", ""]))
    environment = os.environ | {
        "DATA_DIR": str(data_dir), "MONGODB_DATABASE": store.settings.database, "MONGODB_URI": "",
    }  # fmt: skip
    store.db.create_collection("system.profile", capped=True, size=64 << 20)
    store.db.command("profile", 2)
    try:
        seen = set()
        for name, arguments in COMMANDS:
            load = store.db.loads.find_one(comment="test") or {"_id": "-"}
            since = store.client.admin.command("hello")["localTime"]
            module = name.split()[0]
            told = [each.format(path=path, load=load["_id"]) for each in arguments]
            done = subprocess.run(
                [sys.executable, "-m", module, *told], cwd=ROOT, env=environment, capture_output=True, text=True,
                timeout=60, check=False,
            )  # fmt: skip
            assert "error: MongoDB" not in done.stderr, (name, done.stderr)
            assert "Traceback" not in done.stderr, (name, done.stderr)
            mine = [each for each in _commands(store, since) if each[2] is None or each[2] == name]
            assert mine, name
            assert not [each for each in mine if each[2] is None], name
            seen |= {operation for _, operation, _ in mine}
    finally:
        store.db.command("profile", 0)
    assert seen >= {"query", "insert", "update", "remove", "command"}


def test_the_watcher_names_itself(store: Store) -> None:
    """As application name, and in its repeated command."""
    with store.client.start_session():
        watcher = store.watch("status", {"$gte": "data"})
        try:
            deadline = time.monotonic() + 10
            found: list[Any] = []
            while not found and time.monotonic() < deadline:
                pipeline: list[dict[str, Any]] = [
                    {"$currentOp": {"allUsers": True, "idleCursors": True}},
                    {"$match": {"appName": "customer-analytics-watch", "ns": f"{store.settings.database}.status"}},
                ]
                found = list(store.client.admin.aggregate(pipeline))
                time.sleep(0.05)
            asked = [each.get("cursor", {}).get("originatingCommand") or each["command"] for each in found]
            assert {each.get("comment") for each in asked} == {"watch"}
        finally:
            watcher.close()


@pytest.mark.parametrize("path", ["/v1/loads", "/v1/loads/0", "/v1/queries/top-states", "/v1/dimensions", "/readyz"])
def test_without_mongodb_a_request_is_answered_within_its_patience(path: str) -> None:
    """Two seconds, instead of the five that the driver would wait under a request's deadline."""
    app = create_app(Settings(uri="mongodb://127.0.0.1:1/?replicaSet=none"))
    try:
        begin = time.monotonic()
        reply = app.test_client().get(path)
        seconds = time.monotonic() - begin
    finally:
        app.extensions["connection"].close()
    assert reply.status_code == 503
    assert 1.5 < seconds < 4
