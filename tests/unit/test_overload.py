"""The bound on simultaneous work: so many work, some wait, the rest is refused at once."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from flask import Flask, g

from service import overload
from service.overload import Overloaded, Places


def begin(stack: ExitStack, path: str = "/v1/queries/top-states") -> None:
    """Begin a request within others. Each has an application of its own: Flask's `g` is one for each of these."""
    stack.enter_context(Flask(__name__).test_request_context(path))
    g.ending = stack.enter_context(ExitStack())


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends what the test has begun."""
    with ExitStack() as entered:
        yield entered


def test_a_place_is_free_again_when_its_request_ends() -> None:
    """Also for a request that asks several times: it holds one place."""
    places = Places(1)
    for _ in range(3):
        with ExitStack() as stack:
            begin(stack)
            places.take()
            places.take()


def test_what_is_above_the_bound_is_refused(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """And counted as shed; it holds no place."""
    monkeypatch.setattr(overload, "WAIT_MS", 1)
    places = Places(2)
    for _ in range(2):
        begin(stack)
        places.take()
    for _ in range(3):
        begin(stack)
        with pytest.raises(Overloaded):
            places.take()
        assert g.is_shed


@pytest.mark.parametrize("path", ["/readyz", "/metrics"])
def test_monitors_are_never_refused(stack: ExitStack, path: str) -> None:
    """They ask above all when there is too much to do."""
    places = Places(1)
    begin(stack)
    places.take()
    begin(stack, path)
    places.take()


def test_never_more_than_the_places_work_and_only_some_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 20 requests at once 2 work, 8 wait, and 10 are refused before anyone is done."""
    monkeypatch.setattr(overload, "WAIT_MS", 20_000)
    places, done, refused = Places(2), threading.Event(), threading.Semaphore(0)

    def ask() -> str:
        with ExitStack() as stack:
            begin(stack)
            try:
                places.take()
            except Overloaded:
                refused.release()
                return "refused"
            done.wait()
            return "answered"

    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(ask) for _ in range(20)]
        for _ in range(10):
            assert refused.acquire(timeout=30)
        assert not any(each.done() and each.result() == "answered" for each in asked)
        done.set()
        results = [each.result() for each in asked]
    assert (results.count("answered"), results.count("refused")) == (10, 10)
