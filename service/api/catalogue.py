"""The catalogue of the queries."""

from typing import Any

from flask import Response
from flask.views import MethodView
from flask_smorest import Blueprint
from marshmallow import fields

from catalog.errors import UnknownName
from pipelines.ask.queries import BY_SLUG, QUERIES
from pipelines.ask.question import PARAMETERS
from service.api.examples import real_examples
from service.api.schemas import Document

blueprint = Blueprint("catalogue", __name__, url_prefix="/v1/queries", description="What can be asked")


class CatalogueEntrySchema(Document):
    """One query of the catalogue."""

    slug = fields.String()
    title = fields.String()
    question = fields.String()
    parameters = fields.List(fields.String())
    estimate_ms = fields.List(fields.Integer(), allow_none=True)
    panel = fields.String()
    links = fields.Dict(keys=fields.String(), values=fields.String())


class CatalogueSchema(Document):
    """All queries."""

    queries = fields.List(fields.Nested(CatalogueEntrySchema))


@blueprint.route("")
class Catalogue(MethodView):
    """The list of queries."""

    @blueprint.response(200, CatalogueSchema, examples=real_examples("/v1/queries"))
    def get(self) -> dict[str, Any]:
        """All queries: their questions, parameters and links."""
        entries = [
            {
                "slug": query.slug, "title": query.title, "question": query.question, "panel": query.panel.value,
                "parameters": PARAMETERS, "estimate_ms": query.estimate_ms,
                "links": {
                    "answer": f"/v1/queries/{query.slug}", "explain": f"/v1/queries/{query.slug}/explain",
                },
            }
            for query in QUERIES
        ]  # fmt: skip
        return {"queries": entries}


def no_such_query(slug: str) -> Response:
    """Refuse an unknown query; the error lists the known ones."""
    raise UnknownName("query", slug, BY_SLUG)
