"""The commands in the documents work, and print what the documents show."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.client import Store
from tests.support.documents import (
    COMMAND,
    CONSOLE,
    DOCUMENTS,
    PROMPT,
    Block,
    blocks,
    differences,
    lengthened,
    masked,
    own,
)
from tests.support.places import ROOT, SAMPLE_ROWS
from tests.support.reader import Reader, reader_of, require_curl

pytestmark = pytest.mark.live

ALL = [block for path in DOCUMENTS for block in blocks(path)]
NOT_RUN: dict[tuple[str, str], str] = {
    ("README.md", "make run "): "sets up an environment and serves until Ctrl-C; tests/faults/test_make.py runs it",
    ("CONTRIBUTING.md", "make setup"): "sets up the environment that this runs in",
    ("CONTRIBUTING.md", "make test "): "it is this run",
    ("CONTRIBUTING.md", ".venv/bin/python -m bench"): "measures for minutes, against systems that may not be here",
    ("docs/benchmarks.md", "make setup"): "measures for minutes, against systems that may not be here",
    ("CONTRIBUTING.md", "python -m pipelines run transactions-by-state"): "tests/live/test_contributing.py runs it",
    ("CONTRIBUTING.md", "python -m pipelines explain transactions-by-state"): "the same",
    ("CONTRIBUTING.md", "curl 'http://127.0.0.1:8000/v1/queries/transactions-by-state"): "the same",
    ("CONTRIBUTING.md", "python -m pytest "): "the same",
    ("docs/operate.md", "python -m service.keys new"): "listens on every address; shows a key on a terminal alone",
}
"""Commands that are not run here, by document and beginning, with the reason."""


def reason(block: Block) -> str | None:
    """Why a block is not run, or None if it is."""
    told = [why for (path, start), why in NOT_RUN.items() if block.document == path and block.first.startswith(start)]
    return told[0] if told else None


RUN = [pytest.param(block, id=block.name) for block in ALL if block.language == CONSOLE and reason(block) is None]


@pytest.fixture(scope="module")
def reader(server: Store, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader with a small sample, whose figures differ from the documents."""
    yield from reader_of(SAMPLE_ROWS, data_dir, tmp_path_factory.mktemp("documented"))


@pytest.fixture(scope="module")
def exact_reader(server: Store, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader with the sample of `make run`."""
    yield from reader_of(1_000_000, data_dir, tmp_path_factory.mktemp("documented"))


@pytest.mark.parametrize("block", RUN)
def test_a_command_says_what_the_document_says(reader: Reader, block: Block) -> None:
    """Except for figures, members and ids, as the sample is smaller."""
    require_curl(block)
    assert reader.follow(block, masked) == []


@pytest.mark.slow
@pytest.mark.parametrize("block", RUN)
def test_a_command_says_exactly_what_the_document_says(exact_reader: Reader, block: Block) -> None:
    """On the documented sample: every figure, except times and the data version."""
    require_curl(block)
    assert exact_reader.follow(block, own) == []


def test_every_block_of_commands_is_run_or_is_argued_about() -> None:
    """None is skipped because of its markup, and no reason is left without its block."""
    commands = [block for block in ALL if COMMAND.match(block.text)]
    assert [b.name for b in commands if b.language != CONSOLE and not reason(b)] == []
    assert [b.name for b in ALL if b.language == CONSOLE and not b.text.startswith(PROMPT)] == []
    assert [b.name for b in ALL if b.language != CONSOLE and re.search(r"^\$ ", b.text, re.MULTILINE)] == []
    used = {key for key in NOT_RUN for b in commands if b.document == key[0] and b.first.startswith(key[1])}
    assert used == set(NOT_RUN)
    assert len(RUN) >= 8


def test_what_the_documents_name_is_there() -> None:
    """Targets of make, and test files."""
    texts = "\n".join(path.read_text() for path in DOCUMENTS)
    targets = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[0].split()
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", texts, re.MULTILINE))
    assert {"run", "test"} <= named <= set(targets)
    files = set(re.findall(r"tests/[\w/]+\.py", texts))
    assert files
    assert [name for name in sorted(files) if not (ROOT / name).exists()] == []


SAID = '{"a": [1, 2, 3], "b": {"c": "Texas sells most: $5.00.", "d": true}, "e": null, "rows": [{"n": 1}, {"m": "x"}]}'


@pytest.mark.parametrize(
    "wanted",
    [
        '{"a": [9, ...], "b": {...}, "e": null, "rows": [..., {"m": "x"}]}',
        '{"a": [4, 5, 6], "b": {"c": "Ohio sells most: $12,345.00.", ...}, ...}',
        '{..., "b": {"c": "Utah sells ...", "d": true}, ...}',
    ],
)
def test_a_shortened_reply_is_the_reply(wanted: str) -> None:
    """`...` stands for omissions: entries, elements, the end of a text."""
    assert differences(wanted, SAID, masked) == []
    assert lengthened('{"a": ["...", ...]}') == '{"a": ["...", "..."]}'


@pytest.mark.parametrize(
    "wanted",
    [
        '{"a": [1, 2], ...}', '{"b": {...}, "a": [...], ...}', '{"a": [...], "b": {...}, "e": null}', '{"z": 1, ...}',
        '{"b": {"d": false, ...}, ...}', '{"b": {"c": "Texas buys most: $5.00.", ...}, ...}', '{"e": 0, ...}',
        '{"rows": [{"m": "x"}, {"n": 1}, ...], ...}', '{"rows": [{"m": "y"}, ...], ...}',
    ],
)  # fmt: skip
def test_another_reply_is_told(wanted: str) -> None:
    """Another entry, element, order, word or type."""
    assert differences(wanted, SAID, masked)


def test_another_line_is_told() -> None:
    """Another word, an extra line, a missing line; figures and members may differ, the status may not."""
    assert not differences("Texas sells most: 1,234.50", "Ohio  sells most: 7.00\n", masked)
    for one, two in (("a 1", "b 1"), ("a\nb", "a"), ("a", "a\nb"), ("HTTP/1.1 304 X", "HTTP/1.1 200 X")):
        assert differences(one, two, masked)
    assert differences("sold 12", "sold 13", own)
    assert not differences("data version 4, 1.5 ms", "data version 5, 12.0 ms", own)


def test_a_wrong_command_is_told(reader: Reader) -> None:
    """A document that differs from the program."""
    text = "$ python -m pipelines run top-states --stat texas\nTop 5 States by Total Sales\n"
    assert "ended with 2" in reader.follow(Block("a.md", 1, CONSOLE, text), masked)[0]
    text = "$ python -m pipelines run overall-summary\nOverall Summary\n"
    assert "Overall Transaction Summary" in reader.follow(Block("a.md", 1, CONSOLE, text), masked)[0]
