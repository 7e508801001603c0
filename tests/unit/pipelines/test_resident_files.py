"""Files of columns: what is written is read, and what is not whole is never taken for a segment."""

import errno
import os
import signal
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from catalog.purchases import PURCHASES
from pipelines.resident import files
from pipelines.resident.files import Unreadable, read, write
from pipelines.resident.segment import Segment, build
from tests.support.columns import columns_of
from tests.support.places import ROOT
from tests.support.segments import directory, of_year, same, shelf_of

EPOCH = "one"


@pytest.fixture(scope="module")
def segment() -> Segment:
    """Two months of 2023."""
    return of_year(m2023_02=3, m2023_11=7)


@pytest.fixture
def path(tmp_path: Path, segment: Segment) -> Path:
    """Its file."""
    write(tmp_path / "2023.columns", segment, EPOCH)
    return tmp_path / "2023.columns"


def test_what_is_written_is_read(path: Path, segment: Segment) -> None:
    """Every array, the months and their versions; the arrays cannot be written to, and no other file is left."""
    found = read(path, EPOCH)
    assert same(found, segment)
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    with pytest.raises(ValueError, match="read-only"):
        found.cents[0] = 1
    assert all(each.__array_interface__["data"][0] % files.ALIGNMENT == 0 for each in found.running.values())


def test_a_year_without_rows_is_a_file_too(tmp_path: Path) -> None:
    """A month whose rows were all removed."""
    empty = build(2023, dict(of_year(m2023_02=3).months), columns_of([]))
    write(tmp_path / "empty", empty, EPOCH)
    assert same(read(tmp_path / "empty", EPOCH), empty)


def test_a_file_that_is_cut_off_anywhere_is_unreadable(path: Path) -> None:
    """After a few bytes, in the header, in an array, before the last byte; empty; and one byte too long."""
    whole = path.read_bytes()
    random = Random(1)
    for length in (0, 1, 8, 12, 15, 16, 17, 100, *random.sample(range(len(whole)), 60), len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(Unreadable):
            read(path, EPOCH)
    path.write_bytes(whole + b"\0")
    with pytest.raises(Unreadable):
        read(path, EPOCH)


def test_a_flipped_bit_anywhere_is_seen(path: Path, segment: Segment) -> None:
    """In the prefix, in the header, in the arrays. Padding alone belongs to nobody."""
    whole = bytearray(path.read_bytes())
    length = int.from_bytes(whole[8:12], "little")
    random, harmless = Random(2), 0
    places = (range(20), random.sample(range(20, 16 + length + 64), 40), random.sample(range(len(whole)), 60))
    for at in chain(*places):
        bit = 1 << random.randrange(8)
        whole[at] ^= bit
        path.write_bytes(whole)
        whole[at] ^= bit
        try:
            found = read(path, EPOCH)
        except Unreadable:
            continue
        assert same(found, segment)
        harmless += 1
        del found
    assert harmless <= 2 * files.ALIGNMENT


def test_a_file_of_another_database_or_declaration_is_unreadable(
    path: Path, segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each alone; and one of another form."""
    with pytest.raises(Unreadable, match="another database"):
        read(path, "two")
    monkeypatch.setitem(vars(PURCHASES), "fingerprint", "another")
    with pytest.raises(Unreadable, match="another database"):
        read(path, EPOCH)
    monkeypatch.undo()
    monkeypatch.setattr(files, "MAGIC", b"CACOLS99")
    with pytest.raises(Unreadable):
        read(path, EPOCH)
    monkeypatch.undo()
    assert same(read(path, EPOCH), segment)


def test_what_is_no_file_is_an_error_of_the_system(tmp_path: Path, segment: Segment) -> None:
    """A folder in its place, nothing, and a folder that is not there; nothing is left behind."""
    (tmp_path / "folder").mkdir()
    for name in ("folder", "nothing", "nowhere/file"):
        with pytest.raises(OSError, match=name.partition("/")[0]):
            read(tmp_path / name, EPOCH)
    for name in ("folder", "nowhere/file"):
        with pytest.raises(OSError, match=name.partition("/")[0]):
            write(tmp_path / name, segment, EPOCH)
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_disk_that_is_full_leaves_what_was_there(
    path: Path, segment: Segment, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """The former file stays as it is, and no temporary file beside it."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (Path, "rename")), full)
    for name in (path.name, "2024.columns"):
        with pytest.raises(OSError, match="No space left"):
            write(path.with_name(name), of_year(m2023_02=4), EPOCH)
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert same(read(path, EPOCH), segment)


def test_whoever_has_mapped_a_file_keeps_it_when_a_newer_one_takes_its_place(path: Path, segment: Segment) -> None:
    """Replaced and removed, it stays what it was."""
    found = read(path, EPOCH)
    write(path, of_year(m2023_02=4, m2023_11=7), EPOCH)
    newer = read(path, EPOCH)
    path.unlink()
    assert same(found, segment)
    assert dict(newer.months) != dict(found.months)


WRITES = """
import os, sys
from itertools import chain
from pathlib import Path
from pipelines.resident import files
from tests.support.segments import of_year
segment = of_year(m2023_02=4)
def hang(*_):
    print("now", flush=True)
    sys.stdin.read()
os.fsync = hang
files.write(Path(sys.argv[1]), segment, "one")
"""


def test_a_writer_that_is_killed_leaves_nothing_that_is_read(tmp_path: Path) -> None:
    """Kill -9 before it is on the disk: the next builder removes what it left, and builds."""
    folder = tmp_path / "columns" / EPOCH
    folder.mkdir(parents=True)
    target = folder / "2023.columns"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITES, str(target)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout
    assert process.stdout.readline() == b"now\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    left = [each.name for each in folder.iterdir()]
    assert left == [f".2023.columns.{process.pid}"]
    shelf = shelf_of(tmp_path)
    now = directory({"2023-02": 4})
    shelf.look(now)
    assert not shelf.resident(now).months
    shelf.fill(now, lambda months: columns_of([]))
    assert [each.name for each in folder.iterdir()] == ["2023.columns"]
    assert shelf.resident(now).months


OVER_AND_OVER = """
import sys
from itertools import chain
from pathlib import Path
from pipelines.resident.files import write
from tests.support.segments import of_year
segments = [of_year(m2023_02=version) for version in (1, 2)]
print("now", flush=True)
while True:
    for each in segments:
        write(Path(sys.argv[1]), each, "one")
"""


@pytest.mark.slow
def test_a_writer_killed_at_any_moment_leaves_a_whole_file_or_none(tmp_path: Path) -> None:
    """Thirty times: what is read is one of the two that it writes in turn."""
    wanted = [of_year(m2023_02=version) for version in (1, 2)]
    random = Random(3)
    for _ in range(30):
        path = tmp_path / "2023.columns"
        path.unlink(missing_ok=True)
        process = subprocess.Popen([sys.executable, "-c", OVER_AND_OVER, str(path)], cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout
        process.stdout.readline()
        time.sleep(random.uniform(0, 0.05))
        process.kill()
        process.communicate()
        try:
            found = read(path, EPOCH)
        except FileNotFoundError:
            continue
        assert any(same(found, each) for each in wanted)


def test_an_array_with_another_byte_in_it_is_seen_as_such(segment: Segment) -> None:
    """The comparison can fail."""
    cents = np.array(segment.cents)
    cents[-1] += 1
    assert not same(segment, Segment(**{**vars(segment), "cents": cents}))
