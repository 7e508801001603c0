"""Small segments, and the directories that they are of."""

from collections.abc import Mapping
from pathlib import Path
from random import Random

import numpy as np

from catalog.calendar import Period, parse
from pipelines.derived.columns import Columns
from pipelines.derived.pages import read_whole_pages
from pipelines.resident.segment import Segment, build
from pipelines.resident.shelf import Months, Shelf
from pipelines.state.version import Directory, Month, Version
from store.client import Store
from tests.support.columns import Row, columns_of, random_rows
from tests.support.stores import directory as read

ROWS = 12
ROOM = 1 << 30


def rows_of(months: Months) -> list[Row]:
    """The rows of some months as they are in these versions: the same each time."""
    return [
        row
        for month, built in sorted(months.items())
        for row in random_rows(Random(f"{month.name} {built}"), month, ROWS)
    ]


def columns(months: Months) -> Columns:
    """The same as columns."""
    return columns_of(rows_of(months))


def of_year(**months: int) -> Segment:
    """A segment of months given as `m2023_01=version`."""
    named = {parse(name[1:].replace("_", "-")): built for name, built in months.items()}
    return build(min(named).start.year, named, columns(named))


def directory(months: Mapping[str, int], number: int = 9, epoch: str = "one", stale: tuple[str, ...] = ()) -> Directory:
    """A directory of months, by name, in these versions."""
    states = {
        parse(name): Month(ROWS, built, None if name in stale else built) for name, built in sorted(months.items())
    }
    return Directory(Version(epoch, number, 0), states)


class Reader:
    """Reads months for a shelf, and remembers which."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def __call__(self, months: Months) -> Columns:
        """The columns of the months of a year."""
        self.read.append(min(months).start.year)
        return columns(months)


def shelf_of(folder: Path, max_bytes: int = ROOM) -> Shelf:
    """A shelf in a folder."""
    return Shelf(folder / "columns", max_bytes)


def same(one: Segment, other: Segment) -> bool:
    """Whether two segments say the same."""
    return (
        (one.year, dict(one.months), dict(one.sizes)) == (other.year, dict(other.months), dict(other.sizes))
        and np.array_equal(one.days, other.days)
        and np.array_equal(one.cents, other.cents)
        and _equal(one.codes, other.codes)
        and _equal(one.running, other.running)
    )


def _equal(one: Mapping[object, object], other: Mapping[object, object]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(each, other[key]) for key, each in one.items())


def period(name: str) -> Period:
    """A month by its name."""
    return parse(name)


def kept_columns(store: Store, folder: Path) -> Shelf:
    """All that is fresh in a database, in columns."""
    shelf, now = Shelf(folder, ROOM), read(store)
    with store.snapshot() as snapshot:
        shelf.fill(
            now,
            lambda months: read_whole_pages(snapshot, {m: (now.months[m].rows, now.months[m].changed) for m in months}),
        )
    return shelf
