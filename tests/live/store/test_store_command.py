"""`python -m store COMMAND`: what follows COMMAND belongs to it, and so does the exit code."""

import subprocess
import sys

import pytest

from tests.support.places import ROOT

pytestmark = pytest.mark.live


def store(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command."""
    command = [sys.executable, "-m", "store", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_command_gets_its_own_options(environment: dict[str, str]) -> None:
    """Including options that `store` also has."""
    code = "import sys; print(sys.argv[1:]); sys.exit(7)"
    done = store(environment, sys.executable, "-c", code, "--version", "-x", "--", "a b")
    assert (done.returncode, done.stdout) == (7, "['--version', '-x', '--', 'a b']\n"), done.stderr


@pytest.mark.parametrize("command", ["no-such-command", "/", "./setup.cfg"])
def test_what_cannot_be_run_is_one_line(environment: dict[str, str], command: str) -> None:
    """A missing file, a folder, a file that is not executable."""
    done = store(environment, command, "--help")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {command} cannot be run (")
