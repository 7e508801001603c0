"""What requests and replies look like, as marshmallow schemas: they write the replies and the OpenAPI document."""

from functools import cache
from typing import Any

from marshmallow import INCLUDE, Schema, fields

from catalog.dimensions import BY_NAME, DATE, HOUR, Dimension
from catalog.measures import MEASURES, Measure
from pipelines.queries import Query
from pipelines.question import FILTER_PARAMETERS, MAX_ROWS, NEGATION, Interval, Source


def money(**metadata: Any) -> fields.Decimal:
    """An amount of dollars: a decimal string with two places."""
    form = {"type": "string", "format": "decimal", "pattern": r"^\d+\.\d\d$", "example": "1557.50"}
    return fields.Decimal(places=2, as_string=True, metadata=form | metadata)


def _parameters() -> dict[str, fields.Field[Any]]:
    declared: dict[str, fields.Field[Any]] = {
        "from": fields.String(metadata={"format": "date", "description": "First day", "example": "2024-01-01"}),
        "to": fields.String(metadata={"format": "date", "description": "Last day, inclusive", "example": "2024-12-31"}),
    }
    for name in FILTER_PARAMETERS:
        dimension = BY_NAME[name.removeprefix(NEGATION)]
        what = "Leave out these" if name.startswith(NEGATION) else "Only these"
        values = {"enum": list(dimension.members)} if not dimension.is_open else {}
        declared[name] = fields.List(
            fields.String(metadata=values),
            metadata={"description": f"{what}: {dimension.label.lower()}; in any letter case"},
        )
    declared["interval"] = fields.String(
        metadata={"description": "Split along time; weeks begin on Monday", "enum": [each.value for each in Interval]}
    )
    declared["limit"] = fields.String(
        metadata={"type": "integer", "minimum": 1, "maximum": MAX_ROWS, "description": "At most so many rows"}
    )
    declared["source"] = fields.String(
        metadata={"description": "What to read", "enum": [each.value for each in Source], "default": "auto"}
    )
    return declared


class ParametersSchema(Schema):
    """The parameters of every query. `pipelines.question.ask` reads them; this declares them."""

    class Meta:
        """Unknown ones are let through to `ask`, which names the allowed ones."""

        unknown = INCLUDE
        include = _parameters()


class TimingSchema(Schema):
    """Milliseconds spent."""

    plan = fields.Float()
    mongo = fields.Float(metadata={"description": "Waiting for MongoDB"})
    compute = fields.Float(metadata={"description": "Adding up pages"})
    shape = fields.Float()
    total = fields.Float()


class MetaSchema(Schema):
    """How the answer was obtained."""

    source = fields.String(metadata={"example": "raw"})
    reads = fields.List(fields.String(), metadata={"description": "What was read"})
    refused = fields.Dict(
        keys=fields.String(), values=fields.String(), metadata={"description": "What was not, and why"}
    )
    data_version = fields.Integer(metadata={"description": "Grows with each commit that changes an answer"})
    as_of = fields.AwareDateTime(metadata={"description": "The moment at which the answer is exact"})
    timing_ms = fields.Nested(TimingSchema)
    verified = fields.Boolean(
        allow_none=True, metadata={"description": "Whether the last verification found all well; null before the first"}
    )
    estimate_ms = fields.List(fields.Integer(), allow_none=True, metadata={"description": "The time to beat"})
    request_id = fields.String()


class ColumnSchema(Schema):
    """A column of the rows."""

    name = fields.String(required=True)
    type = fields.String(required=True, metadata={"enum": ["string", "integer", "date", "decimal"]})
    unit = fields.String(allow_none=True)


class AskedSchema(Schema):
    """The question and its answer in a sentence."""

    slug = fields.String()
    title = fields.String()
    question = fields.String()
    answer = fields.String()
    filters = fields.Dict(metadata={"description": "The parameters as they were understood"})


def _measures() -> dict[str, fields.Field[Any]]:
    return {measure.name: _measure(measure) for measure in MEASURES}


def _measure(measure: Measure) -> fields.Field[Any]:
    if measure.type == "decimal":
        return money(description=measure.label, type=["string", "null"])
    return fields.Integer(metadata={"description": measure.label})


TotalsSchema = Schema.from_dict(_measures(), name="Totals")
"""The four measures over everything that matches."""


@cache
def answer_schema(query: Query) -> type[Schema]:
    """The schema of one query's reply: its rows have the query's own columns."""
    types: dict[Dimension, fields.Field[Any]] = {
        DATE: fields.String(metadata={"format": "date"}),
        HOUR: fields.Integer(),
    }
    keys: dict[str, fields.Field[Any]] = {
        each.name: types.get(each, fields.String(metadata={"description": each.label})) for each in query.by
    }
    interval: dict[str, fields.Field[Any]] = {
        "interval": fields.String(metadata={"format": "date", "description": "The interval's first day"})
    }
    name = query.slug.title().replace("-", "")
    row = Schema.from_dict(interval | keys | _measures(), name=f"{name}Row")
    return Schema.from_dict(
        {
            "query": fields.Nested(AskedSchema),
            "columns": fields.List(fields.Nested(ColumnSchema)),
            "rows": fields.List(fields.Nested(row)),
            "totals": fields.Nested(TotalsSchema),
            "meta": fields.Nested(MetaSchema),
        },
        name=name,
    )


class CatalogueEntrySchema(Schema):
    """One query of the catalogue."""

    slug = fields.String()
    title = fields.String()
    question = fields.String()
    parameters = fields.List(fields.String())
    estimate_ms = fields.List(fields.Integer(), allow_none=True)
    panel = fields.String()
    links = fields.Dict(keys=fields.String(), values=fields.String())


class CatalogueSchema(Schema):
    """All queries."""

    queries = fields.List(fields.Nested(CatalogueEntrySchema))


class VerificationSchema(Schema):
    """What the last `loader verify` found."""

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


class HealthSchema(Schema):
    """Whether the service is well."""

    status = fields.String(metadata={"enum": ["ok", "no data"]})
    data_version = fields.Integer()
    stale_months = fields.Integer(
        metadata={"description": "Months that wait for a refresh; answered from transactions"}
    )
    verification = fields.Nested(VerificationSchema, allow_none=True)


class ReadSchema(Schema):
    """One thing that a question reads."""

    source = fields.String(metadata={"enum": ["rollup", "pages", "raw"]})
    reads = fields.String()
    cost_us = fields.Float(metadata={"description": "What the planner thought it would cost"})
    collection = fields.String()
    pipeline = fields.Raw(metadata={"type": "array", "items": {"type": "object"}})
    stages = fields.List(fields.String(), metadata={"description": "MongoDB's winning plan, from the outside in"})
    index = fields.String(allow_none=True)
    keys_examined = fields.Integer(allow_none=True)
    documents_examined = fields.Integer(allow_none=True)


class ExplanationSchema(Schema):
    """How a question is answered."""

    source = fields.String()
    reads = fields.List(fields.Nested(ReadSchema))
    refused = fields.Dict(keys=fields.String(), values=fields.String())
