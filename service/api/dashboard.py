"""The answers to all queries for one set of filters, in one request and as of one moment."""

from typing import Any

from flask import Response, request
from flask_smorest import Blueprint
from marshmallow import fields

from pipelines.ask.queries import QUERIES
from pipelines.ask.question import DASHBOARD_PARAMETERS, ask
from pipelines.state.version import Version
from service.api.formats import JSON
from service.api.operations import operation
from service.api.replies import conditional, head
from service.api.schemas import AnswerSchema, DashboardParametersSchema, Document
from service.around.connection import current_answerer
from service.around.context import context
from service.around.requests import own_part, wants_present

blueprint = Blueprint("dashboard", __name__, url_prefix="/v1/dashboard", description="All questions at once")


class DashboardSchema(Document):
    """All answers, in the order of the catalogue."""

    answers = fields.List(fields.Nested(AnswerSchema), metadata={"description": "Each as its query's own reply"})


@blueprint.route("")
@operation(blueprint, DashboardSchema, DashboardParametersSchema, is_conditional=True, example="/v1/dashboard")
def dashboard(_declared: Any) -> Response:
    """Every query's answer, all read from one snapshot, so they are consistent with each other."""
    with context().timer.stretch("mongo"):
        ask_anew = wants_present(request.headers.get("Cache-Control", ""))
        directory = current_answerer().known.now(ask_anew=ask_anew)
    given = request.args.to_dict(flat=False)
    questions = [ask(query, given, directory.vocabulary, DASHBOARD_PARAMETERS) for query in QUERIES]

    def write() -> tuple[bytes, Version]:
        found = current_answerer().answer(questions, context().timer, directory)
        own = own_part(context().timer.timing_ms(), context().request_id)
        return b'{"answers": [' + b", ".join(head(each, directory) + own for each in found) + b"]}", found[0].version

    return conditional(questions, directory, JSON, write)
