"""The declaration of an operation: parameters, replies in every format, problems. OpenAPI is generated from it."""

from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Any

from flask_smorest import Blueprint
from marshmallow import Schema

from service.api.examples import real_examples
from service.api.formats import FORMATS, JSON

View = Callable[..., Any]
NOT_FOUND = (HTTPStatus.NOT_FOUND,)
ETAG = {"ETag": {"description": "Names data and question", "schema": {"type": "string"}}}
DESCRIPTION = "The answer: JSON with totals and provenance, other formats with the rows alone"


def any_of(names: Iterable[str]) -> str:
    """The URL converter for a part of the path that is one of some names."""
    return f"any({', '.join(map(repr, names))})"


def operation(
    blueprint: Blueprint,
    reply: type[Schema],
    parameters: type[Schema] | None = None,
    *,
    has_forms: bool = False,
    is_conditional: bool = False,
    problems: Sequence[HTTPStatus] = (),
    example: str = "",
) -> Callable[[View], View]:
    """Declare a view, which returns the reply's document or a response.

    Attributes:
        reply: the document of status 200.
        parameters: the query parameters; the view gets them, unparsed, as its first argument.
        has_forms: whether the rows are also available in the other formats, such as CSV.
        is_conditional: whether the reply has an ETag and can be a 304.
        problems: the possible problems besides invalid parameters and an unavailable MongoDB.
        example: the name of the example of status 200.
    """

    def declare(view: View) -> View:
        for status in (*problems, HTTPStatus.SERVICE_UNAVAILABLE):
            view = blueprint.alt_response(status, status.name)(view)
        if is_conditional:
            view = blueprint.alt_response(304, description="The client already has this reply", headers=ETAG)(view)
        for form in FORMATS if has_forms else ():
            if form is not JSON:
                view = blueprint.alt_response(406, HTTPStatus.NOT_ACCEPTABLE.name)(view)
                view = blueprint.response(
                    200,
                    {"type": "string", **({"format": "binary"} if form.is_binary else {})},
                    content_type=form.mimetype,
                    description=DESCRIPTION,
                )(view)
        headers = ETAG if is_conditional else None
        description = DESCRIPTION if has_forms else None
        examples = real_examples(example)
        view = blueprint.response(200, reply, description=description, headers=headers, examples=examples)(view)
        return blueprint.arguments(parameters(), location="query")(view) if parameters else view

    return declare
