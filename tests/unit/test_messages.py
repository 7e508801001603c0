"""Every message that a user can meet stands in one file, which somebody has read."""

from tests.support.messages import FILE, render


def test_the_messages_are_those_that_were_reviewed() -> None:
    """A changed one has to be read in that file: `python -m tests.support.messages` writes it anew."""
    assert render() == FILE.read_text(encoding="utf-8"), (
        "run `python -m tests.support.messages`, and read the difference"
    )
