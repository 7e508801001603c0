"""What was measured, and what follows from it: medians, rates, ratios to the best peer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

OURS = "ours"
RAW = "raw"
"""This service, and the same with `source=raw`, which is no peer."""


@dataclass
class Latency:
    """Answers to one client: ms of those with 200, and how many others there were."""

    ms: list[float] = field(default_factory=list)
    refused: int = 0

    def add(self, milliseconds: Iterable[float], statuses: Iterable[int]) -> None:
        """Count some more answers."""
        for ms, status in zip(milliseconds, statuses, strict=True):
            if status == 200:
                self.ms.append(ms)
            else:
                self.refused += 1

    @property
    def p50(self) -> float | None:
        """The median; None where nothing was answered."""
        return median(self.ms) if self.ms else None

    @property
    def p95(self) -> float | None:
        """The 95th percentile."""
        return quantiles(self.ms, n=20, method="inclusive")[-1] if len(self.ms) > 1 else self.p50


@dataclass
class Throughput:
    """Answers to many clients: a second, by round, and how many were refused."""

    rates: list[float] = field(default_factory=list)
    refused: int = 0

    def add(self, told: Sequence[Mapping[str, Any]], clients: int, seconds: float) -> None:
        """Count what several processes of clients tell.

        Where hardly any client was answered in time, all answers count, by the time until the last one.
        """
        answered, elapsed = sum(each["in_time"] for each in told), seconds
        statuses = [status for each in told for status in each["statuses"]]
        if answered < clients:
            answered, elapsed = statuses.count(200), max(each["elapsed_s"] for each in told)
        self.rates.append(answered / elapsed)
        self.refused += len(statuses) - statuses.count(200)

    @property
    def rate(self) -> float | None:
        """The median of the rounds."""
        return median(self.rates) if self.rates else None


@dataclass(frozen=True)
class Ratio:
    """This service beside the best peer.

    Attributes:
        what: the class of questions or the number of clients.
        ours, best: ms or answers a second.
        peer: who is best.
        ratio: ours by best.
        is_lost: whether we are behind.
    """

    what: str
    ours: float
    best: float
    peer: str
    ratio: float
    is_lost: bool


def ratios(figures: Mapping[str, Mapping[str, float | None]], *, is_time: bool) -> list[Ratio]:
    """Of figures by what and by peer; `is_time` says that less is better. Left out where one side has none."""
    found = []
    for what, by_peer in figures.items():
        ours = by_peer.get(OURS)
        others = {name: value for name, value in by_peer.items() if name not in (OURS, RAW) and value}
        if ours is None or not others:
            continue
        peer, best = (min if is_time else max)(others.items(), key=lambda each: each[1])
        found.append(Ratio(what, ours, best, peer, ours / best, ours > best if is_time else ours < best))
    return found
