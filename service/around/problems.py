"""Errors as RFC 9457 problem details. A failure never has status 200 and never exposes internals."""

import logging
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, jsonify
from flask_smorest import Api
from marshmallow import Schema, fields
from werkzeug.exceptions import HTTPException

from catalog.errors import AnalyticsError, BadValue, StoreUnavailable, UnknownName, UserError
from service.around.context import context
from service.around.keys import Unauthorized

log = logging.getLogger(__name__)
RETRY_AFTER_SECONDS = 5
RETRY_OVERLOAD_AFTER_SECONDS = 1


class Overloaded(AnalyticsError):
    """This process has too many concurrent requests; 503 over HTTP."""

    def __init__(self) -> None:
        super().__init__("The service is overloaded. Try again.")


class ProblemSchema(Schema):
    """An error (RFC 9457)."""

    type = fields.String(metadata={"description": "The kind of problem", "example": "about:blank"})
    title = fields.String(metadata={"example": "Unprocessable Content"})
    status = fields.Integer(metadata={"example": 422})
    detail = fields.String(metadata={"description": "What is wrong, and what to do"})
    parameter = fields.String(metadata={"description": "The parameter at fault"})
    value = fields.String(metadata={"description": "Its value"})
    allowed = fields.List(fields.String(), metadata={"description": "The allowed values"})
    nearest = fields.String(allow_none=True, metadata={"description": "The most similar allowed value"})
    request_id = fields.String()
    timing_ms = fields.Dict(keys=fields.String(), values=fields.Float())


class ProblemApi(Api):
    """flask-smorest's Api with problem details for errors."""

    ERROR_SCHEMA = ProblemSchema

    def _register_error_handlers(self) -> None:
        app: Flask = self._app
        app.register_error_handler(HTTPException, _http)
        app.register_error_handler(AnalyticsError, _ours)
        app.register_error_handler(Exception, _unforeseen)


def problem(status: int, detail: str, **more: Any) -> Response:
    """A problem as a response."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    response = jsonify(body | {"request_id": context().request_id, "timing_ms": context().timer.timing_ms()})
    response.status_code = status
    response.mimetype = "application/problem+json"
    response.headers["Cache-Control"] = "no-store"
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _ours(error: AnalyticsError) -> Response:
    if isinstance(error, UnknownName):
        status = HTTPStatus.NOT_FOUND if error.parameter == "query" else error.status
        return problem(
            status,
            str(error),
            parameter=error.parameter,
            value=error.value,
            allowed=error.allowed,
            nearest=error.nearest,
        )
    if isinstance(error, BadValue):
        return problem(error.status, str(error), parameter=error.parameter, value=error.value)
    if isinstance(error, Unauthorized):
        response = problem(error.status, str(error))
        response.headers["WWW-Authenticate"] = 'Bearer realm="customer-analytics"'
        return response
    if isinstance(error, UserError):
        return problem(error.status, str(error))
    if isinstance(error, Overloaded):
        response = problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        response.headers["Retry-After"] = str(RETRY_OVERLOAD_AFTER_SECONDS)
        return response
    if isinstance(error, StoreUnavailable):
        log.warning("%s", error, extra={"fields": {"request_id": context().request_id}})
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
    return _unforeseen(error)


def _http(error: HTTPException) -> Response:
    response = problem(error.code or 500, error.description or "")
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response


def _unforeseen(error: Exception) -> Response:
    log.error("a request failed", exc_info=error, extra={"fields": {"request_id": context().request_id}})
    return problem(500, f"Internal error. The log has the details under request id {context().request_id}.")
