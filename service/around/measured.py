"""The times of answers in this process, measured on real requests."""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import ceil
from typing import Any, NamedTuple

from flask import Flask, current_app

from pipelines.ask.queries import BY_SLUG

RECENT = 512
"""The number of recent times that are kept for each query and source."""

KEPT, UNCHANGED = "kept", "unchanged"
"""The sources of a cached answer, and of a 304, which needs none."""

PERCENTILES = (50, 95, 99)


class Taken(NamedTuple):
    """The times of one answer, in milliseconds."""

    mongo_ms: float
    total_ms: float


class Measurements:
    """The recent times of each query, by source; thread-safe."""

    def __init__(self) -> None:
        self.since = datetime.now(UTC)
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], int] = {}
        self._recent: dict[tuple[str, str], deque[Taken]] = {}

    def add(self, slug: str, source: str, timing_ms: Mapping[str, float]) -> None:
        """Record the times of an answer."""
        key = (slug, source)
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + 1
            self._recent.setdefault(key, deque(maxlen=RECENT)).append(
                Taken(timing_ms.get("mongo", 0.0), timing_ms["total"])
            )

    def summary(self) -> list[dict[str, Any]]:
        """For each query and source, the number of answers and the percentiles of the recent ones."""
        with self._lock:
            recent = {key: tuple(times) for key, times in sorted(self._recent.items())}
            counts = dict(self._counts)
        return [
            {
                "slug": slug, "source": source, "count": counts[slug, source], "recent": len(times),
                "mongo_ms": percentiles([each.mongo_ms for each in times]),
                "total_ms": percentiles([each.total_ms for each in times]),
                "estimate_ms": BY_SLUG[slug].estimate_ms if slug in BY_SLUG else None,
            }
            for (slug, source), times in recent.items()
        ]  # fmt: skip


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """The 50th, 95th and 99th percentile (nearest rank: the smallest value that this many percent do not exceed)."""
    ordered = sorted(values)
    return {f"p{each}": ordered[ceil(len(ordered) * each / 100) - 1] for each in PERCENTILES}


def measurements() -> Measurements:
    """Those of the current application."""
    return measurements_of(current_app)


def measurements_of(app: Flask) -> Measurements:
    """Those of an application."""
    found: Measurements = app.extensions.setdefault("measurements", Measurements())
    return found
