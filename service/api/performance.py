"""The measured times of queries in this process."""

from typing import Any

from flask_smorest import Blueprint
from marshmallow import fields

from service.api.examples import real_examples
from service.api.schemas import Document
from service.around.measured import RECENT, measurements

blueprint = Blueprint("performance", __name__, url_prefix="/v1/performance", description="Measured times")


class PercentilesSchema(Document):
    """Milliseconds."""

    p50 = fields.Float()
    p95 = fields.Float()
    p99 = fields.Float()


class MeasuredSchema(Document):
    """One query, answered from one source."""

    slug = fields.String(metadata={"example": "top-states"})
    source = fields.String(
        metadata={"description": "What was read; `kept` if the answer was known before, `unchanged` if it was a 304"}
    )
    count = fields.Integer(metadata={"description": "Answers since the process started"})
    recent = fields.Integer(
        metadata={"description": "The latest ones, of which the percentiles are", "maximum": RECENT}
    )
    mongo_ms = fields.Nested(PercentilesSchema, metadata={"description": "Waiting for MongoDB"})
    total_ms = fields.Nested(PercentilesSchema, metadata={"description": "From the request to its reply"})
    estimate_ms = fields.List(fields.Integer(), allow_none=True, metadata={"description": "The milliseconds to beat"})


class PerformanceSchema(Document):
    """The times of one process."""

    scope = fields.String(metadata={"description": "Whose times these are"})
    since = fields.AwareDateTime()
    measured = fields.List(fields.Nested(MeasuredSchema))


@blueprint.route("")
@blueprint.response(200, PerformanceSchema, examples=real_examples("/v1/performance"))
def performance() -> dict[str, Any]:
    """Measured times of each query, by source.

    The times are those of the worker process that answers this request; other workers have their own.
    """
    found = measurements()
    return {"scope": "this worker process", "since": found.since, "measured": found.summary()}
