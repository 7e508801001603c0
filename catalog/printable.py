"""Text that is safe on a terminal and in a log: nothing in it ends a line or steers a terminal."""


def printable(text: str) -> str:
    """The text on one line, with escapes such as `\\\\n` for every character that is not printable."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
