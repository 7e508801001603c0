"""A full disk stops a load with one clear line; with more space, the same command continues."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.embedded import HEALED_S, mongod_of
from tests.support.faults.loads import embedded_environment, environment_of, judged
from tests.support.faults.servers import primary_of, replica_set
from tests.support.process import load_until_done, loader
from tests.support.service import serving

pytestmark = [pytest.mark.live, pytest.mark.faults]

ROOM_MB = 8
"""The free space when the load begins; a load of the long file needs several times as much."""


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
    """Resize the disk."""
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


def test_a_start_on_a_full_disk_is_one_line(disk: Path) -> None:
    """Detected before anything is started, and on the way; both messages name the folder and the remedy."""
    environment = embedded_environment(disk)
    for free_mb in (100, 8):
        resize(disk, free_mb << 20)
        process = loader(environment, "status")
        assert process.wait(60) == 1
        assert re.fullmatch(
            rf"error: The disk of the embedded MongoDB is full: \d+ MB free \({disk}/mongodb\)\. "
            r"Free some space, or set DATA_DIR\.\n",
            process.output,
        ), process.output
    resize(disk, 2 << 30)
    assert loader(environment, "status").wait(60) == 0
    (disk / "ballast").write_bytes(bytes(1 << 20))
    for each in (disk / "mongodb" / "data" / "journal").iterdir():  # mongod now wants more than what is left
        each.unlink()
    resize(disk, shutil.disk_usage(disk).used + (40 << 20))
    process = loader(environment, "status")
    assert process.wait(60) in (0, 1)
    assert process.output.count("\n") == 1 or process.wait() == 0, process.output


def test_a_service_whose_disk_was_full_heals_when_there_is_room_again(disk: Path, short_file: Path) -> None:
    """Its mongod ends for lack of space, and is restarted when there is some."""
    environment = embedded_environment(disk)
    load_until_done(environment, short_file)
    with serving(disk.parent / "service.log", environment | {"WORKERS": "2"}) as service:
        right = service.get("/v1/queries/overall-summary").json["totals"]
        resize(disk, shutil.disk_usage(disk).used + (4 << 20))
        os.kill(mongod_of(disk), 9)
        time.sleep(5)
        away = service.get("/readyz")
        assert away.status == 503
        assert "disk of the embedded MongoDB is full" in away.json["detail"]
        assert service.get("/healthz").status == 200
        process = loader(environment, "status")
        assert process.wait(20) == 1
        assert process.output.startswith("error: The disk of the embedded MongoDB is full")
        assert process.output.count("\n") == 1, process.output
        resize(disk, 2 << 30)
        begin = time.monotonic()
        while service.get("/readyz").status != 200:
            assert time.monotonic() - begin < HEALED_S
            time.sleep(0.05)
        print(f"ready again {time.monotonic() - begin:.1f} s after there was room")
        assert service.get("/v1/queries/overall-summary?source=raw").json["totals"] == right
