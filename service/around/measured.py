"""How long answers took in this process, measured on the requests themselves."""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import ceil
from typing import Any, NamedTuple

from flask import Flask, current_app

from pipelines.ask.queries import BY_SLUG

RECENT = 512
"""So many of the last times are kept of each query and source."""

KEPT, UNCHANGED = "kept", "unchanged"
"""The sources of an answer that was known already, and of a 304, which needs none."""

PERCENTILES = (50, 95, 99)


class Taken(NamedTuple):
    """What one answer took, in milliseconds."""

    mongo_ms: float
    total_ms: float


class Measurements:
    """The last times of each query by source; may be used by several threads."""

    def __init__(self) -> None:
        self.since = datetime.now(UTC)
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], int] = {}
        self._recent: dict[tuple[str, str], deque[Taken]] = {}

    def add(self, slug: str, source: str, timing_ms: Mapping[str, float]) -> None:
        """Note what an answer took."""
        key = (slug, source)
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + 1
            self._recent.setdefault(key, deque(maxlen=RECENT)).append(
                Taken(timing_ms.get("mongo", 0.0), timing_ms["total"])
            )

    def summary(self) -> list[dict[str, Any]]:
        """By query and source: how many, and the percentiles of the last ones."""
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
    """The 50th, 95th and 99th percentile: the least value that so many percent do not exceed (nearest rank)."""
    ordered = sorted(values)
    return {f"p{each}": ordered[ceil(len(ordered) * each / 100) - 1] for each in PERCENTILES}


def measurements() -> Measurements:
    """Those of the current application."""
    return measurements_of(current_app)


def measurements_of(app: Flask) -> Measurements:
    """Those of an application."""
    found: Measurements = app.extensions.setdefault("measurements", Measurements())
    return found
