"""A log line is one line, as JSON or as text, whatever a client sends."""

import json
import logging
import sys

import pytest

from service.around.logs import JsonFormatter, TextFormatter, formatter
from service.keys import MASK, new_key


def record(message: str, **fields: object) -> logging.LogRecord:
    """A record with fields."""
    made = logging.LogRecord("service", logging.INFO, __file__, 1, message, None, None)
    made.fields = fields
    return made


def test_a_json_line_is_a_document_with_its_fields() -> None:
    """Time with its zone, level, process, message and fields."""
    line = JsonFormatter().format(record("request", path="/a\nb", status=200))
    assert "\n" not in line
    told = json.loads(line)
    assert (told["level"], told["message"], told["path"], told["status"]) == ("info", "request", "/a\nb", 200)
    assert told["time"].endswith("+00:00")
    assert isinstance(told["pid"], int)


def test_a_text_line_stays_one_line() -> None:
    """Neither line ends nor escape sequences from a client get into the log."""
    line = TextFormatter().format(record("request\nfake", path="/a\r\n2026 info\x1b[2J\u2028", empty=None))
    assert not set("\r\n\x1b\u2028") & set(line)
    assert "empty" not in line


def test_an_exception_is_told_with_its_traceback() -> None:
    """In JSON, within the line."""
    made = record("failed")
    try:
        int("what went wrong")
    except ValueError:
        made.exc_info = sys.exc_info()
    assert "ValueError: invalid literal" in json.loads(JsonFormatter().format(made))["exception"]
    assert "ValueError: invalid literal" in TextFormatter().format(made)


def test_the_form_is_chosen() -> None:
    """JSON if standard error is not a terminal."""
    assert isinstance(formatter("text"), TextFormatter)
    assert isinstance(formatter("json"), JsonFormatter)
    assert isinstance(formatter(None), TextFormatter if sys.stderr.isatty() else JsonFormatter)


@pytest.mark.parametrize("form", [JsonFormatter(), TextFormatter()])
def test_a_key_is_masked_in_every_part_of_a_line(form: logging.Formatter) -> None:
    """Message, fields and their names, and the text of an exception."""
    text, _ = new_key("shop")
    made = record(f"asked with {text}", path=f"/{text}", parameters={text: [f"x{text}"]}, more=f"bearer {text[3:]}")
    try:
        int(text)
    except ValueError:
        made.exc_info = sys.exc_info()
    line = form.format(made)
    assert text[3:] not in line
    assert line.count(MASK) >= 6
    assert "ValueError: invalid literal" in line


def test_a_traceback_cannot_begin_a_line_of_its_own() -> None:
    """A client's text in an exception could look like a record."""
    made = record("failed")
    error = ValueError("a\n2026-01-01T00:00:00.000+00:00 info [1] request\x1b[2J\x85b")
    made.exc_info = (ValueError, error, None)
    first, *below = TextFormatter().format(made).split("\n")
    assert below
    assert all(line.startswith("    ") for line in below)
    assert all(line.isprintable() for line in (first, *below))


@pytest.mark.parametrize("char", ["\x85", "\u2028", "\x9b", "\u202e", "\ud800", "\U000e0001", "\x7f"])
def test_a_json_line_is_printable_and_says_the_same(char: str) -> None:
    """With JSON escapes."""
    line = JsonFormatter().format(record("request", path=f"/a{char}b\u00d7"))
    assert line.isprintable()
    assert "\u00d7" in line
    assert json.loads(line)["path"] == f"/a{char}b\u00d7"
