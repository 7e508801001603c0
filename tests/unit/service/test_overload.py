"""The limit on concurrent work: some requests work, some wait, the rest is refused at once."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import cast

import pytest
from flask import Flask, Response

from pipelines.answer.answer import Answer
from service.around.context import Context, Given, context
from service.around.context import begin as begin_request
from service.around.problems import Overloaded
from service.fast import admission
from service.fast.admission import Admission, Places


def begin(stack: ExitStack, path: str = "/v1/queries/top-states") -> None:
    """Begin a request within others. Each has its own application, as a context belongs to one."""
    stack.enter_context(Flask(__name__).test_request_context(path))
    stack.enter_context(begin_request(Context()).ending)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends the requests that the test has begun."""
    with ExitStack() as entered:
        yield entered


def test_a_place_is_free_again_when_its_request_ends() -> None:
    """A request that takes it several times holds only one."""
    places = Places(1)
    for _ in range(3):
        with ExitStack() as stack:
            begin(stack)
            places.take()
            places.take()


def test_what_is_above_the_bound_is_refused(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted as shed and holds no place."""
    monkeypatch.setattr(admission, "WAIT_MS", 1)
    places = Places(2)
    for _ in range(2):
        begin(stack)
        places.take()
    for _ in range(3):
        begin(stack)
        with pytest.raises(Overloaded):
            places.take()
        assert context().is_shed


@pytest.mark.parametrize("path", ["/readyz", "/metrics"])
def test_monitors_are_never_refused(stack: ExitStack, path: str) -> None:
    """They matter most under overload."""
    places = Places(1)
    begin(stack)
    places.take()
    begin(stack, path)
    places.take()


def test_never_more_than_the_places_work_and_only_some_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 20 concurrent requests, 2 work, 8 wait, and 10 are refused before any is done."""
    monkeypatch.setattr(admission, "WAIT_MS", 20_000)
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


def test_the_last_to_come_is_the_first_to_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """If too many wait, the first to arrive is refused."""
    monkeypatch.setattr(admission, "WAIT_MS", 20_000)
    monkeypatch.setattr(admission, "WAITING", 3)
    places, order = Places(1), []

    def ask(number: int) -> None:
        with ExitStack() as stack:
            begin(stack)
            try:
                places.take()
                order.append(number)
            except Overloaded:
                order.append(-number)

    with ThreadPoolExecutor(4) as pool:
        with ExitStack() as stack:
            begin(stack)
            places.take()
            asked = []
            for number in range(1, 5):
                asked.append(pool.submit(ask, number))
                while len(places._waiting) + len(order) < number:
                    time.sleep(0.001)
        for each in asked:
            each.result()
    assert order == [-1, 4, 3, 2]


@pytest.mark.parametrize(
    ("target", "may_need"),
    [
        ("/v1/queries/top-states?hour=3", True),
        ("/v1/dashboard", True),
        ("/v1/queries/top-states", False),  # it was answered before
        ("/v1/live", False),
        ("/v1/queries", False),
        ("/docs", False),
        ("/", False),
    ],
)
def test_what_may_need_a_place(target: str, may_need: bool) -> None:
    """New questions do; answered ones are most likely cached."""
    app = Flask(__name__)
    places = Places(1)
    with app.test_request_context("/v1/queries/top-states"):
        begin_request(Context()).answers.append(Given(cast("Answer", "an answer"), kept=True))
        places.note(Response(status=200))
    with app.test_request_context("/v1/queries/top-states?hour=3"):
        begin_request(Context())
        places.note(Response(status=503))
    assert places.may_need(target) is may_need


def test_a_burst_is_begun_whole_and_an_overload_is_not() -> None:
    """Five at once are started; from the sixth on, one at a time; after a pause as long as the work, five again."""
    admission = Admission(most=5, least=1)
    assert [admission.admit(10.0) for _ in range(7)] == [True] * 5 + [False] * 2
    for _ in range(4):
        admission.end(10.0, 10.2)
        assert not admission.admit(10.2)  # there is still one at work
    admission.end(10.0, 10.3)
    assert admission.admit(10.31)
    assert not admission.admit(10.32)  # the pause was shorter than the work
    admission.end(10.31, 10.4)
    assert [admission.admit(10.6) for _ in range(6)] == [True] * 5 + [False]


def test_bursts_with_an_end_are_no_overload() -> None:
    """The maximum is started each time, however often."""
    admission = Admission(most=5, least=1)
    for second in range(5):
        assert all(admission.admit(float(second)) for _ in range(5))
        for _ in range(5):
            admission.end(float(second), second + 0.1)
