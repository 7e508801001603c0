"""The loader's texts: its help is enough to operate it, and each message says what to do."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from catalog.errors import TooManyQuarantined
from loader.__main__ import main
from loader.load import load
from loader.loads.options import Options
from store.client import Store
from store.command import run
from tests.support.malformed.corpus import FIRST, changed, text
from tests.support.malformed.reader import COLUMNS
from tests.support.rows import quietly


def said_by(*arguments: str) -> str:
    """The help of a command, as running text."""
    done = CliRunner().invoke(main, [*arguments, "--help"], prog_name="python -m loader", terminal_width=80)
    assert done.exit_code == 0
    assert max(map(len, done.output.splitlines())) <= 80
    return " ".join(done.output.split())


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("again", "continues where it stopped", "no row counts twice"), id="resume"),
        pytest.param(("already loaded", "skipped"), id="the same file again"),
        pytest.param(("quarantine LOAD", "--csv", "corrected", "python -m loader status"), id="quarantine"),
        pytest.param(("--new-members", "refuse", "add", "check"), id="new members"),
        pytest.param(("--customers", "profile", "gender, age and marital status"), id="customers"),
        pytest.param(("STORE_TIMEZONE", "UTC", "offset"), id="time zone"),
        pytest.param(("MONGODB_URI ", "MONGODB_URI_FILE", "MONGODB_DATABASE", "DATA_DIR"), id="environment"),
        pytest.param(("0 done", "1 failure", "2 usage", "3 file refused", "4 too many"), id="exit codes"),
        pytest.param(("--max-quarantined", "1%", "10,000", "higher share"), id="too many refused"),
        pytest.param(COLUMNS, id="columns"),
        pytest.param(("remove LOAD", "gzip", "UTF-8", "--json"), id="the rest"),
    ],
)
def test_the_help_of_load_is_enough_to_operate_it(words: tuple[str, ...]) -> None:
    """`load --help` alone explains how to continue, what happens to which rows, and what an exit code means."""
    said = said_by("load")
    assert not [word for word in words if word not in said]


def test_a_misspelt_command_is_not_taken_for_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a usage error with a hint, unless there is a file with that name."""
    done = CliRunner().invoke(main, ["verfy"])
    assert done.exit_code == 2
    assert "Did you mean verify?" in done.output
    monkeypatch.chdir(tmp_path)
    Path("verfy").write_bytes(b"")
    assert "the file is empty" in str(CliRunner().invoke(main, ["check", "verfy"]).exception)


def test_a_check_does_not_send_its_reader_to_a_quarantine(tmp_path: Path) -> None:
    """Nothing was written, so there is no quarantine to inspect."""
    path = tmp_path / "purchases.csv"
    path.write_bytes(text(changed("Age", "x")))
    error = CliRunner().invoke(main, ["check", str(path)]).exception
    assert isinstance(error, TooManyQuarantined)
    assert "1 of 1 rows were refused, more than the 1.00% allowed. The report counts them by reason" in str(error)
    assert "loader quarantine" not in str(error)


@pytest.mark.live
def test_a_listed_row_does_nothing_to_a_terminal(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Escape sequences, line ends and reordering characters are escaped, and each row is on its own line."""
    path = tmp_path / "purchases.csv"
    path.write_bytes(text(FIRST, changed("Gender", "\x1b[2J\u202e"), changed("Gender", '"a\r\nb"')))
    report = load(store, path, Options(), 1, quietly)
    monkeypatch.setenv("DATA_DIR", str(store.settings.data_dir))
    monkeypatch.setenv("MONGODB_DATABASE", store.settings.database)
    monkeypatch.setattr("sys.argv", ["loader", "quarantine", report.load_id])
    with pytest.raises(SystemExit) as caught:
        run(main)
    lines = capsys.readouterr().out.splitlines()
    assert (caught.value.code, len(lines)) == (0, 5)
    assert all(line.isprintable() for line in lines)
    assert r"\x1b[2J\u202e" in lines[1]
    assert r'"a\r\nb"' in lines[3]
