"""Expensive questions pass one at a time; cheap ones at once."""

import threading
from contextlib import suppress
from typing import Any, cast

import pytest

from service.around.problems import Overloaded
from service.fast import lane
from service.fast.lane import WAITING, Lane

DIRECTORY = cast(Any, None)


@pytest.fixture(autouse=True)
def _costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question is here what it costs."""
    monkeypatch.setattr(lane, "cost_us", lambda question, _: question)
    monkeypatch.setattr(lane, "WAIT_S", 0.05)


def enter(of: Lane, cost: float) -> Any:
    """The context of a question of that cost."""
    return of.enter(cast(Any, cost), DIRECTORY)


def test_a_cheap_question_passes_beside_an_expensive_one() -> None:
    """However many there are."""
    tried = Lane()
    with enter(tried, lane.HEAVY_US), enter(tried, lane.HEAVY_US - 1), enter(tried, 0):
        pass


def test_a_second_expensive_one_waits_for_its_turn_and_not_for_ever() -> None:
    """It is refused when its time is over, and passes when the first has ended."""
    tried = Lane()
    with enter(tried, lane.HEAVY_US), pytest.raises(Overloaded), enter(tried, lane.HEAVY_US):
        pass
    with enter(tried, lane.HEAVY_US):
        pass


def test_more_than_may_wait_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One is answered, WAITING wait, and all of them pass in the end; a failing one gives its turn back."""
    monkeypatch.setattr(lane, "WAIT_S", 30.0)
    tried, passed = Lane(), []

    def wait() -> None:
        with enter(tried, lane.HEAVY_US):
            passed.append(1)

    with suppress(ZeroDivisionError), enter(tried, lane.HEAVY_US):
        threads = [threading.Thread(target=wait) for _ in range(WAITING)]
        for each in threads:
            each.start()
        while tried._places._value:
            pass
        with pytest.raises(Overloaded), enter(tried, lane.HEAVY_US):
            pass
        assert not passed
        raise ZeroDivisionError
    for each in threads:
        each.join()
    assert len(passed) == WAITING
