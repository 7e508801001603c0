"""Every command line has the same base: --version, usage errors, and errors as one line and an exit code."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from catalog import VERSION
from tests.support.places import ROOT

MODULES = ["loader", "store", "indexes", "pipelines", "bench", "service.keys"]


def call(monkeypatch: pytest.MonkeyPatch, module: str, *arguments: str) -> object:
    """Run a module like `python -m`; returns its exit code."""
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    for name in (module, f"{module}.__main__"):  # another test may have imported it
        if name in sys.modules and not hasattr(sys.modules[name], "__path__"):
            monkeypatch.delitem(sys.modules, name)
    with pytest.raises(SystemExit) as caught:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    return caught.value.code


@pytest.mark.parametrize("module", MODULES)
def test_every_command_tells_its_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: str
) -> None:
    """It prints the release, without a database."""
    monkeypatch.setenv("MONGODB_URI", "nonsense")
    assert call(monkeypatch, module, "--version") == 0
    assert capsys.readouterr().out == f"customer-analytics {VERSION}\n"


def test_the_version_is_that_of_the_latest_release_in_the_changelog() -> None:
    """It is written in one place, and the changelog says what it contains."""
    releases = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert releases[0] == VERSION


@pytest.mark.parametrize("module", MODULES)
def test_an_unknown_option_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: str
) -> None:
    """Also for `store`, whose other arguments belong to another command."""
    assert call(monkeypatch, module, "--nonsense") == 2
    told = capsys.readouterr().err
    assert "--nonsense" in told
    assert told.startswith("Usage: ")


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("loader", ["status"]), ("store", ["true"]), ("indexes", ["apply"]), ("pipelines", ["run", "top-states"]),
        ("bench", ["refresh"]),
    ],
)  # fmt: skip
def test_an_unusable_setting_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: str, arguments: list[str]
) -> None:
    """On standard error, with exit code 2."""
    monkeypatch.setenv("MONGODB_DATABASE", "a.b")
    assert call(monkeypatch, module, *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: MONGODB_DATABASE: ")


def test_the_loader_reads_a_dotenv_file_and_says_what_is_wrong_there(tmp_path: Path) -> None:
    """As a process in the folder of that file; nothing of the line is shown."""
    (tmp_path / ".env").write_text("# ours\nMONGODB_URI mongodb://admin:hunter2@db/\n")
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "loader", "status"],
        cwd=tmp_path, env=kept | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: .env, line 2: not of the form NAME=value.\n"
