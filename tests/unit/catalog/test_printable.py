"""Text on a terminal or in a log can neither end its line nor control the terminal."""

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
    """All other text is unchanged."""
    assert printable(text) == shown
