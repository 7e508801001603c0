"""A reader of the documents, who types the commands that they show."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from loader.load import load
from loader.loads.options import Options
from loader.sample import write_sample
from store.client import Store
from store.settings import Settings
from tests.support.documents import Block, Mask, differences
from tests.support.places import ROOT
from tests.support.rows import quietly
from tests.support.service import Service, await_columns, serving

ENDLESS = {"curl -N "}
"""Commands that print something and do not end."""

HOST = "http://127.0.0.1:8000"
NAME = re.compile(r'W/"[^"]+"')
LONGEST_S, ENDLESS_S = 300, 5
SEED = 42
"""The seed of the sample of `make run`."""


def typed(
    line: str, folder: Path, environment: Mapping[str, str], root: Path = ROOT
) -> "subprocess.CompletedProcess[str]":
    """Run a line in a shell, in a folder, with the program at `root`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=LONGEST_S, check=False,
        env={"PATH": path, "HOME": str(folder), "PYTHONPATH": str(root), **environment},
    )  # fmt: skip


class Reader:
    """Types the commands of the documents, each block in a new folder with a `purchases.csv`.

    Attributes:
        folder: the parent of these folders.
        service: the service at the documents' address.
    """

    def __init__(self, folder: Path, service: Service, environment: dict[str, str], root: Path = ROOT) -> None:
        self.folder = folder
        self.service = service
        self._environment, self._root = environment, root

    def type(self, command: str, folder: Path) -> "subprocess.CompletedProcess[str]":
        """Run a line in a shell."""
        line = command.replace(HOST, f"http://127.0.0.1:{self.service.port}")
        if command.startswith(tuple(ENDLESS)):
            line = f"timeout {ENDLESS_S} {line}"
        return typed(line, folder, self._environment, self._root)

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


def reader_of(rows: int, data_dir: Path, folder: Path, root: Path = ROOT) -> Iterator[Reader]:
    """A reader with a loaded and verified sample, as in the documents' examples, and the program at `root`.

    Attributes:
        rows: the size of the sample; the documents show 1,000,000.
    """
    path = folder / "purchases.csv"
    write_sample(path, rows, SEED, quietly)
    with Store(Settings(database=f"documented-{uuid.uuid4().hex[:8]}", data_dir=data_dir)) as store:
        load(store, path, Options(), 0.01, quietly)
        environment = {"DATA_DIR": str(data_dir), "MONGODB_DATABASE": store.settings.database}
        try:
            with serving(folder / "service.log", environment | {"COLUMNS_MAX_MB": "256"}, root) as service:
                await_columns(service)
                reader = Reader(folder, service, environment, root)
                assert reader.type("python -m loader verify", folder).returncode == 0
                yield reader
        finally:
            store.client.drop_database(store.settings.database)


def require_curl(block: Block) -> None:
    """Skip if a command needs curl, and it is not installed."""
    if "curl" in block.text and not shutil.which("curl"):
        pytest.skip("curl is not here")
