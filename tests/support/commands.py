"""Runs our commands on a store's database."""

import subprocess
import sys
from pathlib import Path

from store.client import Store
from tests.support.places import ROOT


def command(
    store: Store, data_dir: Path, environment: dict[str, str], *arguments: str
) -> "subprocess.CompletedProcess[str]":
    """Run `python -m loader ...` on a store's database."""
    return run(store, data_dir, environment, "loader", "verify", *arguments)


def run(
    store: Store, data_dir: Path, environment: dict[str, str], *arguments: str
) -> "subprocess.CompletedProcess[str]":
    """Run `python -m ...` on a store's database."""
    mine = environment | {"DATA_DIR": str(data_dir), "MONGODB_DATABASE": store.settings.database}
    line = [sys.executable, "-m", *arguments]
    return subprocess.run(line, cwd=ROOT, env=mine, capture_output=True, text=True, timeout=120, check=False)
