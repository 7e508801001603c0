"""A timer for one request: named sections in milliseconds, for `meta` and `Server-Timing`."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Timer:
    """Adds up the milliseconds spent in named sections. Tests can pass another clock (in seconds)."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._start = clock()
        self._spent_ms: dict[str, float] = {}

    @contextmanager
    def stretch(self, name: str) -> Iterator[None]:
        """Time the block and add it to `name`, also when it raises."""
        start = self._clock()
        try:
            yield
        finally:
            self._spent_ms[name] = self._spent_ms.get(name, 0.0) + (self._clock() - start) * 1000

    def timing_ms(self) -> dict[str, float]:
        """Milliseconds by stretch so far, and `total` since the timer was made, to the microsecond."""
        spent = self._spent_ms | {"total": (self._clock() - self._start) * 1000}
        return {name: round(ms, 3) for name, ms in spent.items()}

    def header(self) -> str:
        """The value of a `Server-Timing` header (W3C Server Timing)."""
        return ", ".join(f"{name};dur={ms:.3f}" for name, ms in self.timing_ms().items())
