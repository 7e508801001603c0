"""The vocabulary: the dimensions to group and filter by, and their members."""

from typing import Any

from flask_smorest import Blueprint
from marshmallow import fields

from catalog.dimensions import Dimension, Vocabulary
from catalog.errors import NotFound
from catalog.purchases import PURCHASES
from pipelines.ask.question import NEGATION
from service.api.operations import NOT_FOUND, operation
from service.api.schemas import Document
from service.around.connection import current_answerer

blueprint = Blueprint("dimensions", __name__, url_prefix="/v1/dimensions", description="What can be asked")


class DimensionSchema(Document):
    """A dimension and its members."""

    name = fields.String(metadata={"description": "As a parameter and as a column", "example": "payment_method"})
    label = fields.String(metadata={"example": "Payment method"})
    type = fields.String(metadata={"enum": ["string", "integer", "date"]})
    members = fields.List(
        fields.Raw(metadata={"type": ["string", "integer"]}),
        allow_none=True,
        metadata={"description": "In the order of the vocabulary; null for dates"},
    )
    is_open = fields.Boolean(metadata={"description": "Whether a load may add members"})
    parameters = fields.List(fields.String(), metadata={"description": "The parameters that filter by it"})


class DimensionsSchema(Document):
    """All dimensions."""

    dimensions = fields.List(fields.Nested(DimensionSchema))


@blueprint.route("")
@operation(blueprint, DimensionsSchema, example="/v1/dimensions")
def dimensions() -> dict[str, Any]:
    """All dimensions with their members."""
    vocabulary = current_answerer().known.now().vocabulary
    return {"dimensions": [_told(each, vocabulary) for each in PURCHASES.dimensions]}


@blueprint.route("/<name>")
@operation(blueprint, DimensionSchema, problems=NOT_FOUND, example="/v1/dimensions/<name>")
def dimension(name: str) -> dict[str, Any]:
    """One dimension with its members."""
    if name not in PURCHASES.by_name:
        raise NotFound("dimension", name, PURCHASES.by_name)
    return _told(PURCHASES.by_name[name], current_answerer().known.now().vocabulary)


def _told(dimension: Dimension, vocabulary: Vocabulary) -> dict[str, Any]:
    members = None
    if not dimension.is_date:
        members = [dimension.label_of(code, vocabulary) for code in range(len(vocabulary[dimension.name]))]
    return {
        "name": dimension.name, "label": dimension.label, "type": dimension.type, "members": members,
        "is_open": dimension.is_open,
        "parameters": ["from", "to"] if dimension.is_date else [dimension.name, NEGATION + dimension.name],
    }  # fmt: skip
