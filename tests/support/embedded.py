"""The processes behind an embedded server."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

HEALED_S = 10


def mongod_of(folder: Path) -> int:
    """The process id of the folder's mongod."""
    address = folder / "mongodb" / "address.json"
    assert becomes_true(address.exists, HEALED_S)
    return int(json.loads(address.read_text())["pid"])


def guardian_of(folder: Path) -> int:
    """The process id of the folder's guardian; 0 if there is none."""
    wanted = ["store.embedded.guardian", str(folder / "mongodb")]
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            arguments = (each / "cmdline").read_text().split("\0")
            if all(name in arguments for name in wanted):
                return int(each.name)
    return 0


def becomes_true(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Wait for a condition; returns whether it became true."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()
