"""The endpoints of the queries: one loop creates each with its own reply schema."""

from collections.abc import Callable
from typing import Any

from flask import Response, request
from flask_smorest import Blueprint

from pipelines.ask.queries import BY_SLUG, QUERIES, Query
from pipelines.ask.question import Question
from pipelines.plan.choose import plan
from pipelines.state.version import Directory
from service.api.formats import BY_SUFFIX
from service.api.operations import any_of, operation
from service.api.replies import Reply, answer
from service.api.schemas import AnswerSchema, ExplanationSchema, ParametersSchema, answer_schema
from service.around.connection import current_answerer
from service.around.context import context
from service.around.requests import wants_present
from store.explain import extended_json

blueprint = Blueprint("queries", __name__, url_prefix="/v1/queries", description="The business questions")


def resolve(query: Query) -> tuple[Question, Directory]:
    """The question for a query with the request's parameters, and the current directory."""
    # The parsed arguments keep only one of several values; the question needs all of them.
    with context().timer.stretch("mongo"):
        ask_anew = wants_present(request.headers.get("Cache-Control", ""))
        return current_answerer().resolve(query, request.args.to_dict(flat=False), ask_anew=ask_anew)


def explanation(question: Question, directory: Directory) -> Reply:
    """How a question is answered, as a document for the reply."""
    told = current_answerer().explain(question)
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


def _endpoint(query: Query) -> Callable[[Any], Any]:
    def view(_declared: Any) -> Response:
        return answer(*resolve(query))

    view.__name__ = query.slug.replace("-", "_")
    view.__doc__ = f"{query.title}\n\n{query.question}"
    return view


def _explanation(query: Query) -> Callable[[Any], Any]:
    def view(_declared: Any) -> Reply:
        return explanation(*resolve(query))

    view.__name__ = f"explain_{query.slug.replace('-', '_')}"
    view.__doc__ = f"How it is answered: {query.title}\n\nThe reads, their pipelines, and what MongoDB does for them."
    return view


for each in QUERIES:
    _path = f"/v1/queries/{each.slug}"
    _answered = operation(
        blueprint, answer_schema(each), ParametersSchema, has_forms=True, is_conditional=True, example=_path
    )
    blueprint.route(f"/{each.slug}")(_answered(_endpoint(each)))
    _explained = operation(blueprint, ExplanationSchema, ParametersSchema, example=f"{_path}/explain")
    blueprint.route(f"/{each.slug}/explain")(_explained(_explanation(each)))


@blueprint.route(f"/<{any_of(BY_SLUG)}:slug>.<{any_of(BY_SUFFIX)}:suffix>")
@operation(blueprint, AnswerSchema, ParametersSchema, has_forms=True, is_conditional=True)
def download(_declared: Any, slug: str, suffix: str) -> Response:
    """An answer in the format of the suffix."""
    return answer(*resolve(BY_SLUG[slug]), suffix)
