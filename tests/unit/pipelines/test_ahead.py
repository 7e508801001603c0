"""Results computed ahead come in order, and errors come in place of their results."""

import threading
from collections.abc import Iterator

import pytest

from pipelines.derived.ahead import ahead, one_ahead

PATIENCE_S = 30.0


def numbers(until: int, then: Exception | None = None) -> Iterator[int]:
    """Some numbers, and perhaps an error."""
    yield from range(until)
    if then:
        raise then


def test_results_come_in_the_order_of_their_items() -> None:
    """Regardless of how long each takes."""
    first_may_end = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert first_may_end.wait(PATIENCE_S)
        if item == 1:
            first_may_end.set()
        return item * 10

    assert list(ahead(work, range(5))) == [0, 10, 20, 30, 40]
    assert list(one_ahead(numbers(5))) == [0, 1, 2, 3, 4]
    assert list(one_ahead(numbers(0))) == []


def test_the_next_item_is_taken_while_one_is_used() -> None:
    """Only that one, so memory is bounded."""
    taken: list[int] = []
    is_taken = {number: threading.Event() for number in range(4)}

    def items() -> Iterator[int]:
        for number, event in is_taken.items():
            taken.append(number)
            event.set()
            yield number

    coming = one_ahead(items())
    assert next(coming) == 0
    assert is_taken[1].wait(PATIENCE_S)
    assert taken == [0, 1]
    coming.close()
    assert taken == [0, 1]


def test_an_error_comes_after_the_items_before_it() -> None:
    """Results from before the error are not lost."""
    coming = one_ahead(numbers(2, ValueError("no more")))
    assert [next(coming), next(coming)] == [0, 1]
    with pytest.raises(ValueError, match="no more"):
        next(coming)
