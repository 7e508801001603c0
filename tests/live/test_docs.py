"""The commands in the documents work, and print what the documents show."""

import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loader.load import load
from loader.loads.options import Options
from loader.sample import write_sample
from store.client import Store
from store.settings import Settings
from tests.support.documents import (
    COMMAND,
    CONSOLE,
    DOCUMENTS,
    PROMPT,
    Block,
    Mask,
    blocks,
    differences,
    lengthened,
    masked,
    own,
)
from tests.support.places import ROOT, SAMPLE_ROWS
from tests.support.rows import quietly
from tests.support.service import Service, serving

pytestmark = pytest.mark.live

ALL = [block for path in DOCUMENTS for block in blocks(path)]
NOT_RUN: dict[tuple[str, str], str] = {
    ("README.md", "make run "): "sets up an environment and serves until Ctrl-C; tests/faults/test_make.py runs it",
    ("CONTRIBUTING.md", "make setup"): "sets up the environment that this runs in",
    ("CONTRIBUTING.md", "make test "): "it is this run",
    ("CONTRIBUTING.md", ".venv/bin/python -m bench"): "measures for minutes, against systems that may not be here",
    ("CONTRIBUTING.md", "python -m pipelines run transactions-by-state"): "a query that the reader has just declared",
    ("CONTRIBUTING.md", "python -m pipelines explain transactions-by-state"): "the same",
    ("CONTRIBUTING.md", "curl 'http://127.0.0.1:8000/v1/queries/transactions-by-state"): "the same",
    ("CONTRIBUTING.md", "python -m pytest "): "the same, and a test run inside of this one",
    ("docs/operate.md", "python -m service.keys new"): "listens on every address; shows a key on a terminal alone",
}
"""Commands that are not run here, by document and beginning, with the reason."""

ENDLESS = {"curl -N "}
"""Commands that print something and do not end."""

HOST = "http://127.0.0.1:8000"
NAME = re.compile(r'W/"[^"]+"')
LONGEST_S, ENDLESS_S = 300, 5


def reason(block: Block) -> str | None:
    """Why a block is not run, or None if it is."""
    told = [why for (path, start), why in NOT_RUN.items() if block.document == path and block.first.startswith(start)]
    return told[0] if told else None


RUN = [pytest.param(block, id=block.name) for block in ALL if block.language == CONSOLE and reason(block) is None]


class Reader:
    """Types the commands of the documents, each block in a new folder with a `purchases.csv`.

    Attributes:
        folder: the parent of these folders.
        service: the service at the documents' address.
    """

    def __init__(self, folder: Path, service: Service, environment: dict[str, str]) -> None:
        self.folder = folder
        self.service = service
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environment = {"PATH": path, "HOME": str(folder), "PYTHONPATH": str(ROOT), **environment}

    def type(self, command: str, folder: Path) -> "subprocess.CompletedProcess[str]":
        """Run a line in a shell."""
        line = command.replace(HOST, f"http://127.0.0.1:{self.service.port}")
        if command.startswith(tuple(ENDLESS)):
            line = f"timeout {ENDLESS_S} {line}"
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line], cwd=folder, env=self._environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=LONGEST_S, check=False,
        )  # fmt: skip

    def follow(self, block: Block, mask: Mask) -> list[str]:
        """Run the commands of a block; returns the differences from the documented output."""
        wrong = []
        names: dict[str, str] = {}
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        (folder / "purchases.csv").symlink_to(self.folder / "purchases.csv")
        for command, wanted in block.commands:
            goes_on = command.startswith(tuple(ENDLESS))
            for written, real in names.items():
                command = command.replace(written, real)
            done = self.type(command, folder)
            ended = {124} if goes_on else {1, 2, 3, 4} if "error: " in wanted else {0}
            if done.returncode not in ended:
                wrong.append(f"{command!r} ended with {done.returncode}: {done.stderr}")
            elif wanted:
                said = done.stdout + (done.stderr if "error: " in wanted else "")
                wrong += differences(wanted, said, mask, goes_on=goes_on)
            names |= dict(zip(NAME.findall(wanted), NAME.findall(done.stdout), strict=False))
        return wrong


def await_columns(service: Service) -> None:
    """Wait until the service has its columns, as it has seconds after its start."""
    limits = itertools.count(1)  # no question twice: what was answered before stays the answer
    deadline = time.monotonic() + 60
    while service.get(f"/v1/explore?limit={next(limits)}").json["meta"]["source"] != "columns":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def reader_of(rows: int, seed: int, data_dir: Path, folder: Path) -> Iterator[Reader]:
    """A reader with a loaded and verified sample, as in the documents' examples."""
    path = folder / "purchases.csv"
    write_sample(path, rows, seed, quietly)
    with Store(Settings(database=f"documented-{rows}", data_dir=data_dir)) as store:
        load(store, path, Options(), 0.01, quietly)
        environment = {"DATA_DIR": str(data_dir), "MONGODB_DATABASE": store.settings.database}
        try:
            with serving(folder / "service.log", environment | {"COLUMNS_MAX_MB": "256"}) as service:
                await_columns(service)
                reader = Reader(folder, service, environment)
                assert reader.type("python -m loader verify", folder).returncode == 0
                yield reader
        finally:
            store.client.drop_database(store.settings.database)


@pytest.fixture(scope="module")
def reader(server: Store, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader with a small sample, whose figures differ from the documents."""
    yield from reader_of(SAMPLE_ROWS, 42, data_dir, tmp_path_factory.mktemp("documented"))


@pytest.fixture(scope="module")
def exact_reader(server: Store, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader with the sample of `make run`."""
    yield from reader_of(1_000_000, 42, data_dir, tmp_path_factory.mktemp("documented"))


def require_curl(block: Block) -> None:
    """Skip if a command needs curl, and it is not installed."""
    if "curl" in block.text and not shutil.which("curl"):
        pytest.skip("curl is not here")


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
