"""CONTRIBUTING.md's entries, written into a copy of the program, do what the document says."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from loader.load import load
from loader.loads.options import Options
from loader.sample import write_sample
from store.client import Store
from tests.support.contributor import (
    COLUMN,
    DOCUMENT,
    QUERY,
    add_the_column,
    add_the_query,
    copy_of_the_program,
    section,
)
from tests.support.documents import CONSOLE, Block, masked, own
from tests.support.places import SAMPLE_ROWS
from tests.support.reader import Reader, reader_of, require_curl, typed
from tests.support.rows import quietly

pytestmark = pytest.mark.live

SLUG = "transactions-by-state"
BLOCKS = section(QUERY, CONSOLE)
TESTS = [block for block in BLOCKS if block.first.startswith("python -m pytest ")]
ASKED = [pytest.param(block, id=block.first) for block in BLOCKS if block not in TESTS]


@pytest.fixture(scope="module")
def with_the_query(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program with the eleventh query."""
    tree = copy_of_the_program(tmp_path_factory.mktemp("query"))
    add_the_query(tree)
    return tree


@pytest.fixture(scope="module")
def reader(
    server: Store, data_dir: Path, tmp_path_factory: pytest.TempPathFactory, with_the_query: Path
) -> Iterator[Reader]:
    """A reader who has declared it, with a small sample."""
    yield from reader_of(SAMPLE_ROWS, data_dir, tmp_path_factory.mktemp("contributing"), with_the_query)


@pytest.fixture(scope="module")
def exact_reader(
    server: Store, data_dir: Path, tmp_path_factory: pytest.TempPathFactory, with_the_query: Path
) -> Iterator[Reader]:
    """The same with the sample that `make run` makes."""
    yield from reader_of(1_000_000, data_dir, tmp_path_factory.mktemp("contributing"), with_the_query)


@pytest.mark.parametrize("block", ASKED)
def test_the_eleventh_query_answers_as_the_document_says(reader: Reader, block: Block) -> None:
    """In the terminal, explained, and over HTTP; figures and members aside, as the sample is a smaller one."""
    require_curl(block)
    assert reader.follow(block, masked) == []


@pytest.mark.slow
@pytest.mark.parametrize("block", ASKED)
def test_the_eleventh_query_answers_exactly_as_the_document_says(exact_reader: Reader, block: Block) -> None:
    """On the sample that the document speaks of: every figure, but for times and the data version."""
    require_curl(block)
    assert exact_reader.follow(block, own) == []


def test_the_eleventh_query_is_wherever_the_document_says(reader: Reader) -> None:
    """In the OpenAPI document with both paths, in the list, and on the page."""
    paths = reader.service.get("/openapi.json").json["paths"]
    assert {f"/v1/queries/{SLUG}", f"/v1/queries/{SLUG}/explain"} <= paths.keys()
    listed = {each["slug"]: each["question"] for each in reader.service.get("/v1/queries").json["queries"]}
    assert listed[SLUG] in reader.service.get("/").body.decode()


def test_the_eleventh_query_is_in_the_tests_already(reader: Reader, with_the_query: Path) -> None:
    """As the document runs them, in the program that has it; afterwards OpenAPI has its examples."""
    (block,) = TESTS
    for command, _ in block.commands:
        done = reader.type(command, with_the_query)
        passed = re.search(r"(\d+) passed", done.stdout)
        assert done.returncode == 0, done.stdout
        assert passed
        assert int(passed[1]) > 1
    examples = json.loads((with_the_query / "service" / "api" / "examples.json").read_text())
    assert {f"/v1/queries/{SLUG}", f"/v1/queries/{SLUG}/explain"} <= examples.keys()


def test_a_column_and_a_dimension_are_there_as_the_document_says(
    store: Store, data_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In a database from before: answered from transactions, and from rollups after the command that stands there."""
    folder = tmp_path_factory.mktemp("column")
    tree = copy_of_the_program(folder)
    add_the_column(tree)
    (refresh,) = re.findall(r"`(python -m [a-z]+ refresh[^`]*)`", DOCUMENT.read_text())
    write_sample(folder / "purchases.csv", 2_000, 7, quietly)
    load(store, folder / "purchases.csv", Options(), 0.01, quietly)
    environment = {"DATA_DIR": str(data_dir), "MONGODB_DATABASE": store.settings.database}

    def said(command: str) -> str:
        done = typed(command, folder, environment, tree)
        assert done.returncode == 0, done.stderr
        return done.stdout

    asked = "python -m pipelines run revenue-by-segment --quarter q2 --channel unknown"
    first = said(asked)
    assert "raw, data version" in first
    assert said(refresh).startswith("built ")
    assert first.partition("raw, ")[0] == said(f"{asked} --source pages").partition("pages, ")[0]
    said("python -m loader sample new.csv --rows 50")
    assert "Channel" in (folder / "new.csv").read_text().partition("\n")[0].split(",")
    assert section(COLUMN, CONSOLE) == [], "blocks to be run here"
