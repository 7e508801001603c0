"""Any group-by, over the same dimensions, filters and measures as the queries."""

from functools import partial
from typing import Any

from flask import Response, request
from flask_smorest import Blueprint

from pipelines.ask.explore import BY, find_exploration
from pipelines.ask.queries import Query
from service.api.formats import BY_SUFFIX
from service.api.operations import any_of, operation
from service.api.queries import explanation, resolve
from service.api.replies import Reply, answer
from service.api.schemas import AnswerSchema, ExplanationSchema, ExploreParametersSchema

blueprint = Blueprint("explore", __name__, url_prefix="/v1", description="Any other question")
_answered = partial(operation, blueprint, AnswerSchema, ExploreParametersSchema, has_forms=True, is_conditional=True)


@blueprint.route("/explore")
@_answered(example="/v1/explore")
def explore(_declared: Any) -> Response:
    """Purchases by any one to three dimensions.

    Repeat `by` for each dimension; without it the reply is the total. Rows with a date or an hour are in order of time,
    others have the highest revenue first. A question that could have more than 100,000 groups is refused.
    """
    return answer(*resolve(_query()))


@blueprint.route(f"/explore.<{any_of(BY_SUFFIX)}:suffix>")
@_answered()
def download(_declared: Any, suffix: str) -> Response:
    """The same in the format of the suffix."""
    return answer(*resolve(_query()), suffix)


@blueprint.route("/explore/explain")
@operation(blueprint, ExplanationSchema, ExploreParametersSchema, example="/v1/explore/explain")
def explain(_declared: Any) -> Reply:
    """How it is answered: the reads, their pipelines, and how MongoDB runs them."""
    return explanation(*resolve(_query()))


def _query() -> Query:
    return find_exploration(request.args.getlist(BY))
