"""Each file of the corpus gives exactly the expected result, with `check` and with the exact and the fast path."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from catalog.errors import FileRefused
from loader.load import check
from loader.reading import files
from loader.reading.clean import Refused
from tests.support.malformed import product, reader
from tests.support.malformed.cases import READ, REFUSED, SETTINGS, write
from tests.support.malformed.corpus import CASES, FIRST, TOMORROW, ZONE, Bad, Case
from tests.support.rows import quietly

QUOTABLE = [
    pytest.param(case, id=case.name)
    for case in CASES
    if not case.is_refused and (case.content or b"").count(FIRST.encode()) == 1
]


def assert_refused(refused: list[Refused], expected: tuple[Bad, ...]) -> None:
    """Check that these rows are refused, with line, column, reason, message and exact text."""
    told = [(each.line, each.column, each.reason, each.raw) for each in refused]
    assert told == [(bad.line, bad.column, bad.reason, bad.raw) for bad in expected]
    for each, bad in zip(refused, expected, strict=True):
        assert bad.phrase in each.message
        assert each.message.isprintable(), "a message shows no character that is not seen"


def test_the_corpus_is_as_large_as_it_says() -> None:
    """Names are unique, so that no case replaces another, and all three outcomes occur."""
    assert len({case.name for case in CASES}) == len(CASES)
    assert len(REFUSED) >= 40
    assert sum(bool(case.bad) for case in CASES) >= 100
    assert sum(not case.bad for case in CASES) - len(REFUSED) >= 50


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_at_fault_is_refused_in_one_clear_line(tmp_path: Path, case: Case) -> None:
    """`check` refuses it, naming file, place and remedy; so does the reader, from the contract alone."""
    path = write(tmp_path, case)
    with pytest.raises(FileRefused) as caught:
        check(path, SETTINGS, quietly)
    error = caught.value
    assert (error.place, error.exit_code) == (case.place, 3)
    assert case.phrase in error.problem
    assert error.remedy
    assert str(error).isprintable(), "one line, and nothing that a terminal would obey"
    assert len(str(error)) < 600, "a line that a person reads"
    if case.content is not None:
        with pytest.raises(reader.Unreadable):
            reader.read(case.content, TOMORROW, ZONE)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    """A folder instead of a file."""
    with pytest.raises(FileRefused, match="Is a directory"):
        check(tmp_path, SETTINGS, quietly)


@pytest.mark.parametrize("case", READ)
def test_a_file_is_read_as_the_table_says(tmp_path: Path, case: Case) -> None:
    """The exact values of valid rows by line; line, column, reason, message and text of the others."""
    found = product.read(write(tmp_path, case), TOMORROW, ZONE)
    repeated = {bad.line for bad in case.conflicts}
    kept = {line: row for line, row in found.kept.items() if line not in repeated}
    assert without_repeats(kept, case) == case.kept
    assert_refused(found.refused, case.bad)


@pytest.mark.parametrize("case", READ)
def test_the_contract_says_the_same(tmp_path: Path, case: Case) -> None:
    """The independent reader agrees with the table, so it can be trusted with files outside of it."""
    assert case.content is not None
    found = reader.read(case.content, TOMORROW, ZONE)
    repeated = {bad.line for bad in case.conflicts}
    kept = {line: row for line, row in found.kept.items() if line not in repeated}
    assert without_repeats(kept, case) == case.kept
    assert found.refused == {bad.line: (bad.column, bad.raw) for bad in case.bad}


@pytest.mark.parametrize("case", QUOTABLE)
def test_quotes_elsewhere_change_nothing(tmp_path: Path, case: Case) -> None:
    """With one quoted field, the whole file takes the exact path, with the same result."""
    assert case.content is not None
    quoted = FIRST.replace("Female", '"Female"').encode()
    spelt = replace(case, content=case.content.replace(FIRST.encode(), quoted))
    found = product.read(write(tmp_path, spelt), TOMORROW, ZONE)
    assert all(chunk.fields is not None for chunk in found.chunks)
    assert found.kept.items() >= case.kept.items()
    assert_refused(found.refused, case.bad)


@pytest.mark.parametrize("case", READ)
def test_a_check_counts_as_the_table_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    """Every row is accounted for, with its reason, even in chunks of one or two rows."""
    monkeypatch.setattr(files, "CHUNK_BYTES", 200)
    monkeypatch.setattr(files, "CHUNK_ROWS", 2)
    report = check(write(tmp_path, case), SETTINGS, quietly)
    assert report.inserted == len(case.kept)
    assert report.already_present == case.present
    assert report.reasons == Counter(bad.reason for bad in case.bad)
    assert report.read == len(case.kept) + case.present + len(case.bad)


def without_repeats(kept: dict[int, reader.Row], case: Case) -> dict[int, reader.Row]:
    """The rows without repeats of earlier ones, whose number must be that in the table."""
    seen = {row.transaction_id: line for line, row in reversed(kept.items())}
    firsts = {line: row for line, row in kept.items() if seen[row.transaction_id] == line}
    assert len(kept) - len(firsts) == case.present - len(case.conflicts)
    return firsts
