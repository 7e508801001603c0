"""Every message that a user can see is in one reviewed file."""

from tests.support.messages import FILE, render


def test_the_messages_are_those_that_were_reviewed() -> None:
    """After a change, `python -m tests.support.messages` regenerates the file for review."""
    assert render() == FILE.read_text(encoding="utf-8"), (
        "run `python -m tests.support.messages`, and read the difference"
    )
