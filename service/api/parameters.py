"""The parameters of requests as marshmallow schemas, for the OpenAPI document; `pipelines.ask.question` reads them."""

from collections.abc import Iterable
from typing import Any

from marshmallow import INCLUDE, Schema, fields

from catalog.purchases import PURCHASES
from pipelines.ask.explore import BY, MOST_DIMENSIONS
from pipelines.ask.question import (
    DASHBOARD_PARAMETERS,
    EXPLORE_PARAMETERS,
    FILTER_PARAMETERS,
    MAX_REPLY_ROWS,
    NEGATION,
    PARAMETERS,
    Comparison,
    Interval,
    Source,
)


def _declared() -> dict[str, fields.Field[Any]]:
    declared: dict[str, fields.Field[Any]] = {
        BY: fields.List(
            fields.String(metadata={"enum": list(PURCHASES.by_name)}),
            metadata={
                "description": "Group by these, in this order; without any the reply is the total",
                "maxItems": MOST_DIMENSIONS,
                "uniqueItems": True,
                "example": ["segment", "payment_method"],
            },
        ),
        "from": fields.String(metadata={"format": "date", "description": "First day", "example": "2024-01-01"}),
        "to": fields.String(metadata={"format": "date", "description": "Last day, inclusive", "example": "2024-12-31"}),
    }
    for name in FILTER_PARAMETERS:
        dimension = PURCHASES.by_name[name.removeprefix(NEGATION)]
        what = "Leave out these" if name.startswith(NEGATION) else "Only these"
        values = {"enum": list(dimension.members)} if not dimension.is_open else {}
        declared[name] = fields.List(
            fields.String(metadata=values),
            metadata={"description": f"{what}: {dimension.label.lower()}; in any letter case"},
        )
    declared["interval"] = fields.String(
        metadata={"description": "Split along time; weeks begin on Monday", "enum": [each.value for each in Interval]}
    )
    declared["compare"] = fields.String(
        metadata={
            "description": "Compare with an earlier period: as many days just before, or the same days a year before",
            "enum": [each.value for each in Comparison],
        }
    )
    declared["limit"] = fields.String(
        metadata={
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_REPLY_ROWS,
            "description": "The maximum number of rows, in each interval if there are intervals",
        }
    )
    declared["source"] = fields.String(
        metadata={"description": "What to read", "enum": [each.value for each in Source], "default": "auto"}
    )
    return declared


def parameters_schema(name: str, parameters: Iterable[str]) -> type[Schema]:
    """The schema of some parameters. `pipelines.ask.question.ask` reads them; this declares them.

    Unknown ones are let through to `ask`, which names the allowed ones.
    """
    declared = _declared()
    chosen: dict[str, Any] = {each: declared[each] for each in parameters}
    return type(name, (Schema.from_dict(chosen, name=name),), {"Meta": type("Meta", (), {"unknown": INCLUDE})})


ParametersSchema = parameters_schema("ParametersSchema", PARAMETERS)
ExploreParametersSchema = parameters_schema("ExploreParametersSchema", EXPLORE_PARAMETERS)
DashboardParametersSchema = parameters_schema("DashboardParametersSchema", DASHBOARD_PARAMETERS)
