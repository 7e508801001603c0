"""The newest version that was shown: never lower, in one process and in several, and never half written."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipelines.state.floor import Floor
from pipelines.state.version import Version
from tests.support.places import ROOT


def version(number: int, epoch: str = "one", builds: int = 0) -> Version:
    """A version."""
    return Version(epoch, number, builds)


@pytest.fixture(params=["own", "shared"])
def floor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Floor]:
    """One of a process alone, and one in a file."""
    with closing(Floor() if request.param == "own" else Floor(tmp_path / "newest")) as found:
        yield found


def test_it_is_above_what_is_older_than_what_was_noted(floor: Floor) -> None:
    """And above nothing before; a refresh alone is no newer version, and an older one lowers nothing."""
    assert not floor.is_above(version(1))
    floor.note(version(5))
    floor.note(version(3))
    assert [floor.is_above(version(number)) for number in (4, 5, 6)] == [True, False, False]
    assert not floor.is_above(version(5, builds=9))


def test_another_database_begins_anew(floor: Floor) -> None:
    """Its version 1 is not older than the former one's 5."""
    floor.note(version(5))
    assert not floor.is_above(version(1, "two"))
    floor.note(version(1, "two"))
    assert not floor.is_above(version(1, "two"))
    assert not floor.is_above(version(1))
    floor.note(version(2, "two"))
    assert floor.is_above(version(1, "two"))


def test_what_one_has_noted_another_knows(tmp_path: Path) -> None:
    """Two of the same file, and one that comes later."""
    with closing(Floor(tmp_path / "newest")) as one, closing(Floor(tmp_path / "newest")) as other:
        one.note(version(7))
        assert other.is_above(version(6))
    for name, knows in (("newest", True), ("other", False)):
        with closing(Floor(tmp_path / name)) as later:
            assert later.is_above(version(6)) is knows


NOTES = """
import sys
from pathlib import Path
from pipelines.state.floor import Floor
from pipelines.state.version import Version
floor, begin = Floor(Path(sys.argv[1])), int(sys.argv[2])
floor.note(Version("one", 1, 0))
print("now", flush=True)
for number in range(begin, begin + 300_000):
    floor.note(Version("one", number, 0))
"""


def test_it_never_falls_while_several_processes_raise_it(tmp_path: Path) -> None:
    """Two note newer and newer versions, one of them killed; a reader never sees less than it has seen."""
    path = tmp_path / "newest"
    processes = [
        subprocess.Popen([sys.executable, "-c", NOTES, str(path), begin], cwd=ROOT, stdout=subprocess.PIPE)
        for begin in ("2", "100")
    ]
    for each in processes:
        assert each.stdout
        assert each.stdout.readline() == b"now\n"
    floor, seen, fell, looks = Floor(path), 1, 0, 0
    while processes[1].poll() is None:
        looks += 1
        if floor.is_above(version(seen)):
            seen += 1
        else:
            fell += not floor.is_above(version(seen - 1)) and seen > 1
        if looks == 20_000:
            processes[0].kill()
    for each in processes:
        each.wait()
        assert each.stdout
        each.stdout.close()
    assert not fell
    assert seen > 1_000
    assert floor.is_above(version(300_098))
    floor.close()
