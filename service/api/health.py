"""Liveness and readiness."""

from typing import Any

from flask import Response
from flask_smorest import Blueprint
from marshmallow import fields

from service.api.examples import real_examples
from service.api.schemas import Document
from service.around.connection import current_answerer, current_store

blueprint = Blueprint("health", __name__, description="For load balancers and monitors")


class VerificationSchema(Document):
    """The result of the last `loader verify`."""

    ok = fields.Boolean(metadata={"description": "Whether every rollup and page equals the transactions"})
    data_version = fields.Integer()
    verified_at = fields.AwareDateTime()
    months = fields.Integer()
    years = fields.Integer()
    cells = fields.Integer(metadata={"description": "Cells compared"})
    rows = fields.Integer(metadata={"description": "Transactions compared"})
    stale = fields.Integer()
    differences = fields.Integer()
    repaired = fields.Integer()


class HealthSchema(Document):
    """The health of the service."""

    status = fields.String(metadata={"enum": ["ok", "no data", "incomplete"]})
    data_version = fields.Integer()
    stale_months = fields.Integer(
        metadata={"description": "Months that wait for a refresh; they are answered from the transactions"}
    )
    incomplete = fields.List(
        fields.String(),
        metadata={
            "description": "Months and years whose rollups, pages or records are incomplete; their answers are right, "
            "but slow. `python -m pipelines refresh` or `verify --repair` mends it"
        },
    )
    verified = fields.Boolean(
        allow_none=True,
        metadata={"description": "Whether the last verification found no difference and nothing has changed since"},
    )
    verification = fields.Nested(VerificationSchema, allow_none=True)


@blueprint.after_request
def _of_this_moment(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.route("/healthz")
@blueprint.response(200, HealthSchema, examples=real_examples("/healthz"))
def healthz() -> dict[str, Any]:
    """Liveness: the process answers. Stays 200 while MongoDB is unavailable."""
    return {"status": "ok"}


@blueprint.route("/readyz")
@blueprint.response(200, HealthSchema, examples=real_examples("/readyz"))
@blueprint.alt_response(503, "SERVICE_UNAVAILABLE")
def readyz() -> dict[str, Any]:
    """Readiness: MongoDB answers, and its data can be used. 503 otherwise."""
    with current_store().snapshot() as snapshot:
        directory = current_answerer().known.inspect(snapshot)
    version = directory.version.number
    incomplete = directory.incomplete | directory.unrecorded
    return {
        "status": "incomplete" if incomplete else "ok" if version else "no data",
        "data_version": version,
        "stale_months": len(set(directory.stale_months) - incomplete),
        "incomplete": sorted(period.name for period in incomplete),
        "verified": directory.is_verified(),
        "verification": directory.verification,
    }
