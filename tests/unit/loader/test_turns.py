"""Batches commit in the order of the file, whichever thread is faster, and give way if they must."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from loader.writing.turns import Behind, Stopped, Turns

PATIENCE_S = 30.0


def test_whoever_is_faster_commits_in_order() -> None:
    """Three threads, random delays, and some batches that must be written again."""
    random, turns, committed = Random(7), Turns(), list[int]()
    delays = [random.uniform(0, 0.004) for _ in range(60)]
    numbers = iter(range(60))
    taking = threading.Lock()

    def lane() -> None:
        while True:
            with taking:
                number = next(numbers, None)
            if number is None:
                return
            tries = 0
            while True:
                tries += 1
                turns.enter(number, alone=number % 7 == 3 and tries == 1)
                time.sleep(delays[number])
                try:
                    turns.await_commit(number)
                except Behind:
                    turns.leave(number)
                    turns.await_turn(number)
                    continue
                break
            committed.append(number)
            turns.leave(number)
            turns.done()

    with ThreadPoolExecutor(3) as pool:
        for each in [pool.submit(lane) for _ in range(3)]:
            each.result(PATIENCE_S)
    assert committed == list(range(60))


def started(work: Callable[[], None]) -> tuple[threading.Thread, list[BaseException]]:
    """Run something in a thread; returns the thread, and what it has raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except (Behind, Stopped) as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, raised


def test_who_goes_alone_has_the_later_ones_out_of_the_way_first() -> None:
    """The later batch waits within its transaction, gives up, and only then the earlier one enters."""
    turns = Turns()
    turns.enter(1, alone=False)
    later, raised = started(lambda: turns.await_commit(1))
    inside = threading.Event()

    def alone() -> None:
        turns.enter(0, alone=True)
        inside.set()

    earlier, _ = started(alone)
    later.join(PATIENCE_S)
    assert [type(error) for error in raised] == [Behind]
    assert not inside.wait(0.05), "the later one is still inside"
    turns.leave(1)
    earlier.join(PATIENCE_S)
    assert inside.is_set()
    turns.await_commit(0)


def test_nobody_enters_while_another_is_alone() -> None:
    """They wait until it has left."""
    turns = Turns()
    turns.enter(0, alone=True)
    inside = threading.Event()

    def enter() -> None:
        turns.enter(1, alone=False)
        inside.set()

    other, _ = started(enter)
    assert not inside.wait(0.05)
    turns.leave(0)
    other.join(PATIENCE_S)
    assert inside.is_set()


@pytest.mark.parametrize("waits", ["await_commit", "await_turn"])
def test_the_end_of_the_load_ends_all_waiting(waits: str) -> None:
    """A batch whose turn has not come is not committed."""
    turns = Turns()
    turns.enter(1, alone=False)
    thread, raised = started(lambda: getattr(turns, waits)(1))
    turns.stop()
    thread.join(PATIENCE_S)
    assert [type(error) for error in raised] == [Stopped]
