"""The history of loads, with the missing and refused values of each."""

from typing import Any

from flask_smorest import Blueprint
from marshmallow import fields

from catalog.collections import LOADS
from catalog.errors import NotFound
from catalog.status import STORED
from pipelines.state.lanes import read_loads
from service.api.operations import NOT_FOUND, operation
from service.api.schemas import Document
from service.around.connection import current_store
from service.around.context import context
from store.layout import require_layout

blueprint = Blueprint("loads", __name__, url_prefix="/v1/loads", description="The origin of the data")

NEWEST = 1_000
"""The number of loads listed; older ones are found by id."""

# No raw row, session or process: the details of quarantine and holder are for admins.
_SHOWN = ("file", "bytes", "status", "counts", "reasons", "missing", "seconds", "started_at", "updated_at", "adopted")


_NEWEST_FIRST = (("started_at", -1), ("_id", 1))


class CountsSchema(Document):
    """Rows: `read = inserted + already_present + quarantined`."""

    read = fields.Integer()
    inserted = fields.Integer()
    already_present = fields.Integer()
    quarantined = fields.Integer()


class LoadSchema(Document):
    """A load of one file, and the quality of its data."""

    id = fields.String(metadata={"example": "6a40c831e0cf33e8"})
    file = fields.String(metadata={"description": "The file's name, without a path", "example": "purchases.csv"})
    bytes = fields.Integer()
    status = fields.String(metadata={"enum": list(STORED)})
    counts = fields.Nested(CountsSchema)
    reasons = fields.Dict(
        keys=fields.String(), values=fields.Integer(), metadata={"description": "Refused rows by reason"}
    )
    missing = fields.Dict(
        keys=fields.String(), values=fields.Integer(), metadata={"description": "Rows without a value, by column"}
    )
    seconds = fields.Float(metadata={"description": "How long it took, in all its runs"})
    started_at = fields.AwareDateTime()
    updated_at = fields.AwareDateTime()


LoadsSchema = Document.from_dict({"loads": fields.List(fields.Nested(LoadSchema))}, name="Loads")
"""Loads, the newest first."""


@blueprint.route("")
@operation(blueprint, LoadsSchema, example="/v1/loads")
def loads() -> dict[str, Any]:
    """The newest thousand loads: counts, refused rows by reason, missing values by column."""
    with context().timer.stretch("mongo"):
        require_layout(current_store())
        outside = current_store().outside
        found = outside.find(LOADS.name, fields=_SHOWN, sort=_NEWEST_FIRST, limit=NEWEST)
        return {"loads": [_told(each) for each in read_loads(outside, found)]}


@blueprint.route("/<load_id>")
@operation(blueprint, LoadSchema, problems=NOT_FOUND, example="/v1/loads/<load_id>")
def load(load_id: str) -> dict[str, Any]:
    """One load."""
    with context().timer.stretch("mongo"):
        require_layout(current_store())
        outside = current_store().outside
        found = outside.find_one(LOADS.name, {"_id": load_id}, _SHOWN)
        if not found:
            newest = outside.find(LOADS.name, fields={"_id": 1}, sort=_NEWEST_FIRST, limit=NEWEST)
            raise NotFound("load", load_id, [each["_id"] for each in newest])
        (found,) = read_loads(outside, [found])
    return _told(found)


def _told(load: dict[str, Any]) -> dict[str, Any]:
    return {"id": load["_id"], **load}
