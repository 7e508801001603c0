"""One loop turns each query into an endpoint with its own reply schema."""

from collections.abc import Callable
from typing import Any

from flask import request
from flask_smorest import Blueprint

from pipelines.answer import Answer, finish
from pipelines.queries import QUERIES, Query
from service.connection import current_executor
from service.requests import request_id, timer
from service.schemas import ParametersSchema, answer_schema

blueprint = Blueprint("queries", __name__, url_prefix="/v1/queries", description="The business questions")

Reply = dict[str, Any]


def reply(found: Answer) -> Reply:
    """An answer as the reply's document."""
    query = found.question.query
    return {
        "query": {
            "slug": query.slug, "title": query.title, "question": query.question, "answer": found.sentence,
            "filters": found.filters,
        },
        "columns": found.columns,
        "rows": found.records(),
        "totals": finish(found.total),
        "meta": {
            "source": found.plan.source,
            "reads": [str(read) for read in found.plan.reads],
            "refused": dict(found.plan.refused),
            "data_version": found.data_version,
            "as_of": found.as_of,
            "timing_ms": timer().timing_ms(),
            "estimate_ms": query.estimate_ms,
            "request_id": request_id(),
        },
    }  # fmt: skip


def _endpoint(query: Query) -> Callable[[Any], Reply]:
    def view(_declared: Any) -> Reply:
        # The parsed arguments keep one of a repeated value; the question has to see them all.
        return reply(current_executor().ask(query, request.args.to_dict(flat=False), timer()))

    view.__name__ = query.slug.replace("-", "_")
    view.__doc__ = f"{query.title}\n\n{query.question}"
    return view


for each in QUERIES:
    endpoint = blueprint.response(200, answer_schema(each))(_endpoint(each))
    endpoint = blueprint.arguments(ParametersSchema, location="query")(endpoint)
    blueprint.route(f"/{each.slug}")(endpoint)
