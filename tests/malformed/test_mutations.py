"""Mutated files: the loader never fails, and agrees with an independent reading, line by line."""

import os
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from catalog.errors import FileRefused
from loader.load import check
from loader.reading import files
from loader.reading.files import Chunk, Survey, read_chunks
from tests.support.malformed import product, reader
from tests.support.malformed.cases import SETTINGS
from tests.support.malformed.corpus import TOMORROW, ZONE
from tests.support.malformed.mutations import mutated
from tests.support.rows import quietly

SEED = int(os.environ.get("MUTATIONS_SEED", "1"))
FEW, MANY = 300, 10_000


def test_the_loader_reads_mutated_files_as_the_contract_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few hundred; the seed of a failing one is printed, and MUTATIONS_SEED sets the first one."""
    compare_all(tmp_path / "purchases.csv", monkeypatch, FEW)


@pytest.mark.faults
def test_the_loader_reads_ten_thousand_mutated_files_as_the_contract_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same with many."""
    compare_all(tmp_path / "purchases.csv", monkeypatch, MANY)


def compare_all(path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Compare the files of this many seeds, and check that all three outcomes occurred."""
    refused = kept = quarantined = 0
    for seed in range(SEED, SEED + number):
        print(f"MUTATIONS_SEED={seed}")
        path.write_bytes(mutated(seed))
        found = compare(path, monkeypatch, seed)
        refused += found is None
        kept += len(found.kept) if found else 0
        quarantined += len(found.refused) if found else 0
    print(f"{number} files, {refused} refused; {kept} rows kept, {quarantined} quarantined")
    assert number / 20 < refused < number / 2
    assert kept > quarantined > number / 4


def compare(path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> reader.Reading | None:
    """Compare all readings of a file; returns its contents, or None if it is refused."""
    content = path.read_bytes()
    try:
        expected = reader.read(content, TOMORROW, ZONE)
    except reader.Unreadable as fault:
        with pytest.raises(FileRefused):
            pytest.fail(f"{fault}, and still {product.read(path, TOMORROW, ZONE).kept}")
        return None
    found = product.read(path, TOMORROW, ZONE)
    assert found.kept == expected.kept
    assert {each.line: (each.column, each.raw) for each in found.refused} == expected.refused
    assert len(found.refused) == len(expected.refused)

    exact = product.cleaner_of(found.survey, TOMORROW, ZONE)
    for chunk, cleaned in zip(found.chunks, found.cleaned, strict=True):
        slow = exact.clean(replace(chunk, fields=fields_of(chunk)))
        assert cleaned.refused == slow.refused
        assert cleaned.raw == slow.raw
        assert product.Read(found.survey, [], [cleaned]).kept == product.Read(found.survey, [], [slow]).kept

    report = check(path, SETTINGS, quietly)
    ids = {row.transaction_id for row in expected.kept.values()}
    assert (report.inserted, report.already_present) == (len(ids), len(expected.kept) - len(ids))
    assert report.quarantined == len(expected.refused)
    assert report.read == report.inserted + report.already_present + report.quarantined

    random = Random(seed)
    with monkeypatch.context() as patch:
        patch.setattr(files, "CHUNK_BYTES", random.randint(1, len(content)))
        patch.setattr(files, "CHUNK_ROWS", random.randint(1, 10))
        assert records(found.survey) == [
            each for chunk in found.chunks for each in zip(chunk.lines, chunk.raw, fields_of(chunk), strict=True)
        ]
    return expected


def records(survey: Survey) -> list[tuple[int, bytes, list[str]]]:
    """Line, text and fields of each record, resuming after each chunk at its end."""
    found: list[tuple[int, bytes, list[str]]] = []
    start, line = survey.start, survey.start_line
    while chunk := next(read_chunks(survey, start, line), None):
        assert len(chunk.lines) <= files.CHUNK_ROWS
        found += zip(chunk.lines, chunk.raw, fields_of(chunk), strict=True)
        start, line = chunk.end, chunk.end_line
    return found


def fields_of(chunk: Chunk) -> list[list[str]]:
    """Each record's fields."""
    return chunk.fields or [raw.decode().split(",") for raw in chunk.raw]
