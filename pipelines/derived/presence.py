"""Whether everything that was built is still stored: counted in the indexes, without reading documents."""

from collections.abc import Iterator
from typing import Any

from catalog.calendar import Grain, Period
from catalog.collections import PAGES, ROLLUPS
from catalog.dimensions import day_number, day_of
from catalog.purchases import DATE, PURCHASES
from pipelines.derived.pages import PART_ROWS
from pipelines.state.version import Counts, Directory
from store.client import Reads


def missing_periods(reads: Reads, directory: Directory) -> set[Period]:
    """The fresh months and years with fewer or more slices and pages than they should have. 10 ms for seven years."""
    slices = _count(reads, ROLLUPS.name, "period")
    pages = _count(reads, PAGES.name, "month")
    missing = set()
    for period, counts in directory.counts.items():
        is_month = period.grain is Grain.MONTH
        is_fresh = not directory.months[period].stale if is_month else period in directory.fresh_years
        parts = -(-counts.rows // PART_ROWS) if is_month else 0
        has_slices = all(slices.get(name, 0) == count for name, count in _slices(period, counts))
        has_pages = pages.get(day_of(day_number(period.start)), 0) == parts or not is_month
        if is_fresh and not (has_slices and has_pages):
            missing.add(period)
    return missing


def _slices(period: Period, counts: Counts) -> Iterator[tuple[str, int]]:
    """How many slices a period has, and each of its days."""
    members = sum(1 for dimension in PURCHASES.filterable for rows in counts.of(dimension.name) if rows)
    yield period.name, members + (1 if counts.rows else 0)
    for day, rows in enumerate(counts.of(DATE.name)):
        yield f"{period.name}-{day + 1:02}", int(rows > 0)


def _count(reads: Reads, collection: str, field: str) -> dict[Any, int]:
    """How many documents there are by a field that an index begins with: sorted by it, the index alone is read."""
    pipeline: list[dict[str, Any]] = [
        {"$sort": {field: 1}},
        {"$group": {"_id": f"${field}", "count": {"$sum": 1}}},
    ]
    found = reads.aggregate(collection, pipeline, batch_size=10_000)
    return {each["_id"]: each["count"] for each in found}
