"""A log line is one line, as JSON or as text, whatever a client sends."""

import json
import logging
import sys

import pytest

from catalog.errors import UserError
from service.around.logs import JsonFormatter, TextFormatter, formatter, level


def record(message: str, **fields: object) -> logging.LogRecord:
    """A record with fields."""
    made = logging.LogRecord("service", logging.INFO, __file__, 1, message, None, None)
    made.fields = fields
    return made


def test_a_json_line_is_a_document_with_its_fields() -> None:
    """Time with its zone, level, process, message, and what was told."""
    line = JsonFormatter().format(record("request", path="/a\nb", status=200))
    assert "\n" not in line
    told = json.loads(line)
    assert (told["level"], told["message"], told["path"], told["status"]) == ("info", "request", "/a\nb", 200)
    assert told["time"].endswith("+00:00")
    assert isinstance(told["pid"], int)


def test_a_text_line_stays_one_line() -> None:
    """Neither a line end nor a terminal's escape sequence of a client's gets into the log."""
    line = TextFormatter().format(record("request\nfake", path="/a\r\n2026 info\x1b[2J\u2028", empty=None))
    assert not set("\r\n\x1b\u2028") & set(line)
    assert "empty" not in line


def test_an_exception_is_told_with_its_traceback() -> None:
    """In JSON within the line."""
    made = record("failed")
    try:
        int("what went wrong")
    except ValueError:
        made.exc_info = sys.exc_info()
    assert "ValueError: invalid literal" in json.loads(JsonFormatter().format(made))["exception"]
    assert "ValueError: invalid literal" in TextFormatter().format(made)


def test_the_environment_chooses_level_and_form() -> None:
    """JSON where standard error is no terminal."""
    assert level({}) == "info"
    assert level({"LOG_LEVEL": "WARNING"}) == "warning"
    assert isinstance(formatter({"LOG_FORMAT": "text"}), TextFormatter)
    assert isinstance(formatter({"LOG_FORMAT": "json"}), JsonFormatter)
    for read, environment in ((level, {"LOG_LEVEL": "loud"}), (formatter, {"LOG_FORMAT": "xml"})):
        with pytest.raises(UserError, match="LOG_"):
            read(environment)
