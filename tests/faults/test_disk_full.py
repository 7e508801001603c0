"""A disk that is full stops a load with one clear line; with more room the same command goes on."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.mongod import primary_of, replica_set
from tests.faults.process import load_until_done, loader
from tests.faults.test_kill_server import environment_of, judged

pytestmark = [pytest.mark.live, pytest.mark.faults]

ROOM_MB = 8
"""What the disk has left when the load begins; a load of the long file needs several times as much."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk."""
    path = tmp_path / "disk"
    path.mkdir()
    if os.geteuid() != 0 or _mount("-t", "tmpfs", "-o", "size=2g", "tmpfs", str(path)):
        pytest.skip("a small disk takes the right to mount one")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def _mount(*arguments: str) -> int:
    return subprocess.run(["mount", *arguments], stderr=subprocess.DEVNULL, check=False).returncode


def resize(disk: Path, size_bytes: int) -> None:
    """Give the disk another size."""
    assert _mount("-o", f"remount,size={size_bytes}", str(disk)) == 0


def test_a_load_that_fills_the_disk_stops_and_goes_on_with_more_room(disk: Path, long_file: Path) -> None:
    """One line and exit code 1; nothing lost, nothing twice."""
    with replica_set(disk, 1) as (mongod,):
        environment = environment_of(mongod, "full")
        resize(disk, shutil.disk_usage(disk).used + (ROOM_MB << 20))
        process = loader(environment, "load", long_file)
        begin = time.monotonic()
        while process.runs and mongod.runs:
            time.sleep(0.05)
        print(f"after {time.monotonic() - begin:.0f} s the server {'runs' if mongod.runs else 'has ended'}")
        assert process.wait() == 1
        print(f"after {time.monotonic() - begin:.0f} s: {process.output!r}")
        assert process.output.startswith("error: ")
        assert process.output.count("\n") == 1
        mongod.kill()
        resize(disk, 2 << 30)
        mongod.start()
        primary_of([mongod])
        _, output = load_until_done(environment, long_file)
        assert judged(mongod, "full", long_file, output) == []
