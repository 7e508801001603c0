"""Segments as files that all processes of a machine map into memory: written once, by whoever needs them first.

A file is a magic number, the length of the header and its checksum, the header as JSON, then the arrays, each at a
multiple of 64 bytes. It is written under another name, synced and renamed, so under its own name it is always whole.
Whoever has mapped it keeps it, also when a newer one takes its place.
"""

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from catalog.calendar import parse
from catalog.purchases import PURCHASES
from pipelines.derived.groups import Array
from pipelines.resident.segment import Segment

MAGIC = b"CACOLS02"
ALIGNMENT = 64
_PREFIX = len(MAGIC) + 8


class Unreadable(Exception):
    """A file that is not a whole segment of this database and declaration."""


def write(path: Path, segment: Segment, epoch: str) -> None:
    """Write a segment so that under `path` there is either all of it or what was there before.

    Raises:
        OSError: the disk is full or cannot be written; nothing is left behind.
    """
    arrays = dict(_arrays(segment))
    layout, at, checksum = {}, 0, 0
    for name, array in arrays.items():
        padded = _padded(array.nbytes)
        layout[name] = (array.dtype.str, array.shape, at)
        at += padded
        checksum = zlib.crc32(bytes(padded - array.nbytes), zlib.crc32(array.data, checksum))
    header = json.dumps(
        {
            "epoch": epoch, "declared": PURCHASES.fingerprint, "year": segment.year, "sizes": dict(segment.sizes),
            "months": {month.name: built for month, built in segment.months.items()},
            "arrays": layout, "bytes": at, "checksum": checksum,
        }
    ).encode()  # fmt: skip
    begin = _padded(_PREFIX + len(header))
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(MAGIC + len(header).to_bytes(4, "little") + zlib.crc32(header).to_bytes(4, "little") + header)
            for name, array in arrays.items():
                file.seek(begin + layout[name][2])
                file.write(array.data)
            file.truncate(begin + at)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read(path: Path, epoch: str) -> Segment:
    """Map a segment into memory.

    Raises:
        Unreadable: it is of another database, form or declaration, or damaged.
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        prefix = file.read(_PREFIX)
        length = int.from_bytes(prefix[len(MAGIC) : len(MAGIC) + 4], "little")
        header = file.read(length) if prefix.startswith(MAGIC) else b""
        if not header or zlib.crc32(header).to_bytes(4, "little") != prefix[-4:]:
            raise Unreadable(f"{path} is not a file of columns")
        said: Mapping[str, Any] = json.loads(header)
        begin = _padded(_PREFIX + length)
        is_ours = (said["epoch"], said["declared"]) == (epoch, PURCHASES.fingerprint)
        if not is_ours or os.fstat(file.fileno()).st_size != begin + said["bytes"]:
            raise Unreadable(f"{path} belongs to another database or is not whole")
        data = np.memmap(file, np.uint8, "r", begin, (said["bytes"],))
    if zlib.crc32(data.data) != said["checksum"]:
        raise Unreadable(f"{path} is damaged")
    found = {}
    for name, (kind, shape, at) in said["arrays"].items():
        count = int(np.prod(shape, dtype=np.int64))
        found[name] = np.frombuffer(data, np.dtype(kind), count, at).reshape(shape)
    of = {kind: {name[len(kind) :]: each for name, each in found.items() if name.startswith(kind)} for kind in "#+"}
    return Segment(
        said["year"],
        {parse(name): built for name, built in said["months"].items()},
        found["days"],
        of["#"],
        found["cents"],
        said["sizes"],
        {tuple(filter(None, names.split(","))): each for names, each in of["+"].items()},
    )


def _arrays(segment: Segment) -> Iterator[tuple[str, Array]]:
    """The arrays by name: codes begin with `#`, running sums with `+`."""
    yield "days", np.ascontiguousarray(segment.days)
    yield "cents", np.ascontiguousarray(segment.cents)
    for name, codes in segment.codes.items():
        yield f"#{name}", np.ascontiguousarray(codes)
    for names, sums in segment.running.items():
        yield f"+{','.join(names)}", np.ascontiguousarray(sums)


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
