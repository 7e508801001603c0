"""What is shown on a terminal or written to a log cannot end its line or steer a terminal."""

import pytest

from catalog.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("Ohio, 3 × 4", "Ohio, 3 × 4", id="plain"),
        pytest.param("a\nb\r", "a\\nb\\r", id="ends of lines"),
        pytest.param("\x1b[31m", "\\x1b[31m", id="an escape sequence"),
        pytest.param("\u2028\u202e", "\\u2028\\u202e", id="a line separator and a change of direction"),
    ],
)
def test_what_is_not_printable_is_escaped(text: str, shown: str) -> None:
    """Anything else stays as it is."""
    assert printable(text) == shown
