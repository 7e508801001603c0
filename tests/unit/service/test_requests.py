"""W3C trace context: a valid header is used, anything else is ignored."""

import pytest

from service.around.requests import parse_trace_parent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"00-{TRACE}-{PARENT}-01", id="sampled"),
        pytest.param(f"00-{TRACE}-{PARENT}-00", id="not sampled"),
        pytest.param(f"01-{TRACE}-{PARENT}-01", id="a later version"),
        pytest.param(f"cc-{TRACE}-{PARENT}-01-what-the-future-brings", id="a later version with more"),
    ],
)
def test_a_valid_trace_is_taken_over(text: str) -> None:
    """Its 32 hexadecimal digits."""
    assert parse_trace_parent(text) == TRACE


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="none"),
        pytest.param(f"ff-{TRACE}-{PARENT}-01", id="version ff"),
        pytest.param(f"00-{TRACE}-{PARENT}-01-more", id="version 00 with more"),
        pytest.param(f"00-{TRACE}-{PARENT}", id="no flags"),
        pytest.param(f"00-{'0' * 32}-{PARENT}-01", id="trace of zeros"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", id="parent of zeros"),
        pytest.param(f"00-{TRACE.upper()}-{PARENT}-01", id="capital letters"),
        pytest.param(f"00-{TRACE[:-1]}-{PARENT}-01", id="short trace"),
        pytest.param(f"00-{TRACE}-{PARENT}-01,00-{TRACE}-{PARENT}-01", id="two headers"),
        pytest.param(f" 00-{TRACE}-{PARENT}-01", id="space before"),
        pytest.param(f"00-{TRACE}-{PARENT}-01\n", id="line end"),
    ],
)
def test_an_invalid_trace_is_ignored(text: str) -> None:
    """It is not repaired, and nothing of it is used."""
    assert parse_trace_parent(text) is None
