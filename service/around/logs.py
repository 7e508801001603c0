"""Logs: one line per event, as JSON or as text, for the service and its server alike.

A request's line contains its parameters, but only the names of unknown ones: a client may have put a credential there.
Headers are not logged. Anything that looks like a key is masked in every line, whoever wrote it.
"""

import json
import logging
import sys
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, request

from catalog.printable import printable
from pipelines.answer.answer import Answer
from pipelines.ask.question import EXPLORE_PARAMETERS
from service.around import requests
from service.around.context import context
from service.around.keys import client
from service.keys import masked
from service.settings import ServerSettings

log = logging.getLogger("service")
MAX_VALUE = 200
Parameters = Mapping[str, Sequence[str]]
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_TOLD = frozenset(EXPLORE_PARAMETERS)


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = json.dumps(_told(record), ensure_ascii=False, default=str)
        if not line.isprintable():  # JSON does not escape line ends and terminal controls beyond ASCII
            line = "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in line)
        return masked(line)


class TextFormatter(logging.Formatter):
    """A record as one line of text: time, level, process, message, then the fields as name=value."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; a traceback follows on separate lines, indented, so that none of them looks like a record."""
        told = _told(record)
        time, level, _, message, pid = (told.pop(name) for name in ("time", "level", "logger", "message", "pid"))
        trace = told.pop("exception", None)
        more = "".join(f" {name}={_bare(value)}" for name, value in told.items() if value not in (None, {}, []))
        below = "".join(f"\n    {printable(line)}" for line in trace.splitlines()) if trace else ""
        return masked(f"{time} {level} [{pid}] {printable(message)}{more}{below}")


def configuration() -> dict[str, Any]:
    """The configuration for `dictConfig`: all logs, the server's included, in our form on standard error.

    Raises:
        UserError: a setting is invalid.
    """
    settings = ServerSettings.from_environment()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"ours": {"()": formatter, "form": settings.log_format}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "ours"}},
        "loggers": {"_granian": {}, "pymongo": {"level": "WARNING"}},
        "root": {"level": settings.log_level.upper(), "handlers": ["stderr"]},
    }


def formatter(form: str | None) -> logging.Formatter:
    """The formatter for `json` or `text`; None means text on a terminal and json elsewhere."""
    is_text = sys.stderr.isatty() if form is None else form == "text"
    return TextFormatter() if is_text else JsonFormatter()


def install(app: Flask) -> None:
    """Log each request after it is answered."""
    app.after_request(_log_request)


def log_direct(path: str, parameters: Parameters, answer: Answer, sent: requests.Sent, *, was_there: bool) -> None:
    """Log a request that Flask has not seen; `was_there`: whether its reply was kept from before."""
    log.info("request", extra={"fields": {
        "request_id": sent.request_id, "trace_id": sent.trace_id, "method": "GET", "path": path,
        "parameters": _shown(parameters), "status": sent.status, "duration_ms": sent.timing_ms["total"],
        "client": sent.client, "query": requests.declared(answer.question.query.slug), "source": [answer.plan.source],
        "reads": [str(read) for read in answer.plan.reads], "kept": [was_there], "data_version": answer.data_version,
        "timing_ms": sent.timing_ms, "bytes": sent.bytes,
    }})  # fmt: skip


def _log_request(response: Response) -> Response:
    log.info("request", extra={"fields": fields(response)})
    return response


def fields(response: Response) -> dict[str, Any]:
    """The log fields of the current request."""
    timing = context().timer.timing_ms()
    answers = [answer for answer, _ in context().answers]
    return {
        "request_id": context().request_id,
        "trace_id": context().trace_id,
        "method": request.method if request.method in METHODS else "another",
        "path": request.path[:MAX_VALUE],
        "parameters": _shown(request.args.to_dict(flat=False)),
        "status": response.status_code,
        "duration_ms": timing["total"],
        "client": client(),
        "query": requests.slug(),
        "source": [answer.plan.source for answer in answers],
        "reads": [str(read) for answer in answers for read in answer.plan.reads],
        "kept": [kept for _, kept in context().answers],
        "data_version": answers[0].data_version if answers else None,
        "timing_ms": timing,
        "bytes": response.content_length,
    }


def _shown(given: Parameters) -> dict[str, Any]:
    return {
        name[:MAX_VALUE]: [value[:MAX_VALUE] for value in values] if name in _TOLD else "not logged"
        for name, values in given.items()
    }


def _told(record: logging.LogRecord) -> dict[str, Any]:
    told: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
        "pid": record.process,
    }
    told |= getattr(record, "fields", {})
    if record.exc_info:
        told["exception"] = "".join(traceback.format_exception(*record.exc_info))
    return told


def _bare(value: Any) -> str:
    return printable(value) if isinstance(value, str) else json.dumps(value, default=str)
