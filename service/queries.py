"""One loop turns each query into an endpoint with its own reply schema."""

import hashlib
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import Response, current_app, request
from flask_smorest import Blueprint

from catalog.dimensions import Vocabulary
from pipelines.answer import Answer, finish
from pipelines.planner import plan
from pipelines.queries import QUERIES, Query
from pipelines.question import Question
from pipelines.state import Directory, Version
from service.connection import current_executor
from service.requests import request_id, timer
from service.schemas import ExplanationSchema, ParametersSchema, answer_schema
from store.explain import extended_json

blueprint = Blueprint("queries", __name__, url_prefix="/v1/queries", description="The business questions")

Reply = dict[str, Any]


def reply(found: Answer, directory: Directory) -> Reply:
    """An answer as the reply's document."""
    query = found.question.query
    verification = directory.verification
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
            "verified": verification["ok"] if verification else None,
            "timing_ms": timer().timing_ms(),
            "estimate_ms": query.estimate_ms,
            "request_id": request_id(),
        },
    }  # fmt: skip


def etag(question: Question, vocabulary: Vocabulary, version: Version) -> str:
    """Names an answer: the data it is of, and the question. The same names stand for the same rows."""
    asked = [question.query.slug, question.echo(vocabulary), question.source]
    return f"{version.epoch[-8:]}-{version.number}-{hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]}"


def _resolve(query: Query) -> tuple[Question, Directory]:
    # The parsed arguments keep one of a repeated value; the question has to see them all.
    return current_executor().resolve(query, request.args.to_dict(flat=False))


def _endpoint(query: Query) -> Callable[[Any], Any]:
    schema = answer_schema(query)()

    def view(_declared: Any) -> Response:
        with timer().stretch("mongo"):
            question, directory = _resolve(query)
        response = Response(mimetype="application/json")
        response.set_etag(etag(question, directory.vocabulary, directory.version), weak=True)
        response.cache_control.no_cache = True
        if response.make_conditional(request).status_code != HTTPStatus.NOT_MODIFIED:
            found = current_executor().resolved(question, directory, timer())
            response.set_etag(etag(question, directory.vocabulary, found.version), weak=True)
            response.set_data(current_app.json.dumps(schema.dump(reply(found, directory))))
        return response

    view.__name__ = query.slug.replace("-", "_")
    view.__doc__ = f"{query.title}\n\n{query.question}"
    return view


def _explanation(query: Query) -> Callable[[Any], Any]:
    def view(_declared: Any) -> Reply:
        question, directory = _resolve(query)
        told = current_executor().explain(question)
        return {
            "source": "+".join(dict.fromkeys(read.source for read, *_ in told)) or "none",
            "reads": [
                {
                    "source": read.source, "reads": str(read), "cost_us": read.cost_us, "collection": collection,
                    "pipeline": extended_json(pipeline), **vars(explained),
                }
                for read, collection, pipeline, explained in told
            ],
            "refused": dict(plan(question, directory).refused),
        }  # fmt: skip

    view.__name__ = f"explain_{query.slug.replace('-', '_')}"
    view.__doc__ = f"How it is answered: {query.title}\n\nThe reads, their pipelines, and what MongoDB does for them."
    return view


for each in QUERIES:
    for path, view, schema in (
        (f"/{each.slug}", _endpoint(each), answer_schema(each)),
        (f"/{each.slug}/explain", _explanation(each), ExplanationSchema),
    ):
        endpoint = blueprint.response(200, schema)(view)
        endpoint = blueprint.arguments(ParametersSchema, location="query")(endpoint)
        blueprint.route(path)(endpoint)
