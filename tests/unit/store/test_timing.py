"""The timer, with a clock set by the test."""

import re

import pytest

from store.timing import Timer


class Clock:
    """A clock that moves only when set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_stretches_of_one_name_add_up_beside_the_total() -> None:
    """Milliseconds by name; the total also includes time outside of all stretches."""
    clock = Clock()
    timer = Timer(clock)
    for name, seconds in (("plan", 0.001), ("mongo", 0.0025), ("mongo", 0.0035)):
        with timer.stretch(name):
            clock.now += seconds
    clock.now += 0.5
    assert timer.timing_ms() == {"plan": 1.0, "mongo": 6.0, "total": 507.0}


def test_a_stretch_that_fails_is_timed_too() -> None:
    """Errors carry their timing, so the block's time counts whether or not it raises."""
    clock = Clock()
    timer = Timer(clock)

    def fail() -> None:
        with timer.stretch("mongo"):
            clock.now += 0.25
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert timer.timing_ms() == {"mongo": 250.0, "total": 250.0}


def test_the_header_follows_server_timing() -> None:
    """Names with durations in milliseconds, separated by commas."""
    clock = Clock()
    timer = Timer(clock)
    with timer.stretch("plan"):
        clock.now += 0.0001234567
    assert timer.header() == "plan;dur=0.123, total;dur=0.123"


def test_a_long_request_is_not_written_with_an_exponent() -> None:
    """Server-Timing takes plain decimal numbers, also for a request of 25 minutes."""
    clock = Clock()
    timer = Timer(clock)
    clock.now += 1500.123
    assert re.fullmatch(r"total;dur=\d+(\.\d+)?", timer.header())


def test_a_timer_without_a_clock_uses_a_real_one() -> None:
    """Time never runs backwards."""
    timer = Timer()
    first = timer.timing_ms()["total"]
    assert 0 <= first <= timer.timing_ms()["total"]
