"""Outside of `store`, MongoDB is reached only through its objects, which add session and comment to every call."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("catalog", "pipelines", "indexes", "loader", "service", "bench")
GIVEN = ("session", "comment")
KEPT = {"db", "start_session", "start_transaction", "with_transaction", "_session", "client_session"}
"""Attributes that bypass the objects. `client` is checked with its owner, as Flask and Werkzeug have clients, too."""

ALLOWED = {
    ("service/around/rates.py", "client"),  # the rate limiter's library needs a client
    ("bench/load.py", "db"),  # measures MongoDB without our code
    ("bench/load.py", "client"),
}


def leaks(source: str) -> Iterator[str]:
    """The names in a module that bypass the door."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value)
            if node.attr in KEPT and not (node.attr == "_session" and owner == "self"):
                yield node.attr
            if node.attr == "client" and "store" in owner:
                yield node.attr
        elif isinstance(node, ast.arg) and node.annotation and "ClientSession" in ast.unparse(node.annotation):
            yield "ClientSession"
        elif isinstance(node, ast.ImportFrom | ast.Import):
            yield from (each.name for each in node.names if each.name in ("translated", "ClientSession", "MongoClient"))
        elif isinstance(node, ast.keyword) and node.arg in GIVEN and not isinstance(node.value, ast.Constant):
            yield f"{node.arg}="


def test_only_store_touches_the_driver() -> None:
    """Every call from another package goes through a snapshot, a transaction or `outside`."""
    found = {
        (str(path.relative_to(ROOT)), name)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for name in leaks(path.read_text())
    }
    assert found == ALLOWED


OF_BSON = {"BSONError", "Binary", "CodecOptions", "Int64", "ObjectId", "json_util"}
"""Types and options, which reveal nothing about bytes."""


def encoders(source: str) -> Iterator[str]:
    """What a module imports from PyMongo's codec."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.partition(".")[0] == "bson")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "bson":
            yield from (each.name for each in node.names if each.name not in OF_BSON)


def test_one_room_knows_the_bytes_of_bson() -> None:
    """All other modules use it to encode and decode."""
    found = {
        path.relative_to(ROOT).parent.as_posix()
        for package in (*PACKAGES, "store")
        for path in (ROOT / package).rglob("*.py")
        if any(encoders(path.read_text()))
    }
    assert found == {"store/bson"}


@pytest.mark.parametrize(
    "line", ["import bson", "from bson import encode", "from bson.raw_bson import RawBSONDocument"]
)
def test_another_encoder_is_noticed(line: str) -> None:
    """The check can fail, also within a function."""
    assert any(encoders(f"def f():\n    {line}\n"))


@pytest.mark.parametrize(
    ("source", "leak"),
    [
        ("def f(store): return store.db['loads'].find_one()", "db"),
        ("with store.client.start_session() as session: pass", "start_session"),
        ("from store.faults import translated", "translated"),
        ("def f(reads, session): reads.find('loads', session=session)", "session="),
        ("def f(reads): reads.find('loads', comment=comment())", "comment="),
        ("def f(session: ClientSession): pass", "ClientSession"),
        ("current_store().client.admin.command('ping')", "client"),
    ],
)
def test_a_way_past_the_door_is_noticed(source: str, leak: str) -> None:
    """The check can fail."""
    assert leak in set(leaks(source))
