"""Whether the process lives, and whether it can answer."""

from typing import Any

from flask import Response
from flask_smorest import Blueprint

from pipelines.directory import read_directory
from service.connection import current_store
from service.schemas import HealthSchema

blueprint = Blueprint("health", __name__, description="For load balancers and monitors")


@blueprint.after_request
def _of_this_moment(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.route("/healthz")
@blueprint.response(200, HealthSchema)
def healthz() -> dict[str, Any]:
    """Liveness: the process answers. Stays 200 while MongoDB is away."""
    return {"status": "ok"}


@blueprint.route("/readyz")
@blueprint.response(200, HealthSchema)
@blueprint.alt_response(503, "SERVICE_UNAVAILABLE")
def readyz() -> dict[str, Any]:
    """Readiness: MongoDB answers. 503 while it is away."""
    store = current_store()
    with store.snapshot() as session:
        directory = read_directory(store, session)
    version = directory.version.number
    return {
        "status": "ok" if version else "no data",
        "data_version": version,
        "stale_months": len(directory.stale_months),
        "verification": directory.verification,
    }
