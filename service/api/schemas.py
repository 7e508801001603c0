"""Replies as marshmallow schemas, which write them and the OpenAPI document."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from marshmallow import RAISE, Schema, fields

from catalog.dimensions import Dimension
from catalog.measures import MEASURES, Measure
from catalog.purchases import PURCHASES
from pipelines.ask.queries import Query


class Document(Schema):
    """What a reply holds: these fields and no others."""

    class Meta:
        """Tells OpenAPI so."""

        unknown = RAISE


def money(**metadata: Any) -> fields.Decimal:
    """An amount of dollars: a decimal string with two places."""
    form = {"type": "string", "format": "decimal", "pattern": r"^\d+\.\d\d$", "example": "1557.50"}
    return fields.Decimal(places=2, as_string=True, metadata=form | metadata)


class TimingSchema(Document):
    """Milliseconds spent."""

    plan = fields.Float()
    mongo = fields.Float(metadata={"description": "Waiting for MongoDB"})
    compute = fields.Float(metadata={"description": "Computing with columns or pages"})
    shape = fields.Float()
    total = fields.Float()


class ProofSchema(Document):
    """The last `loader verify`."""

    ok = fields.Boolean(metadata={"description": "Whether it found no differences"})
    version = fields.Integer(metadata={"description": "The data version that it verified"})
    at = fields.AwareDateTime(metadata={"description": "When it finished"})


class MetaSchema(Document):
    """How the answer was obtained."""

    source = fields.String(metadata={"example": "raw"})
    reads = fields.List(fields.String(), metadata={"description": "What was read"})
    refused = fields.Dict(
        keys=fields.String(), values=fields.String(), metadata={"description": "What was not read, and why"}
    )
    data_version = fields.Integer(metadata={"description": "Grows with each commit that changes an answer"})
    as_of = fields.AwareDateTime(metadata={"description": "The moment at which the answer is exact"})
    verified = fields.Boolean(
        allow_none=True,
        metadata={
            "description": "Whether the last verification found no differences and nothing that was read here has "
            "changed since; null before the first"
        },
    )
    verification = fields.Nested(ProofSchema, allow_none=True)
    warnings = fields.List(
        fields.String(), metadata={"description": "What is incomplete in the database and was compensated for"}
    )
    estimate_ms = fields.List(fields.Integer(), allow_none=True, metadata={"description": "The milliseconds to beat"})
    timing_ms = fields.Nested(TimingSchema)
    request_id = fields.String()


class ColumnSchema(Document):
    """A column of the rows."""

    name = fields.String(required=True)
    type = fields.String(required=True, metadata={"enum": ["string", "integer", "date", "decimal", "object"]})
    unit = fields.String(allow_none=True)


SpanSchema = Document.from_dict(
    {
        "from": fields.Date(metadata={"example": "2023-01-01"}),
        "to": fields.Date(metadata={"example": "2023-12-31"}),
    },
    name="Span",
)
"""A range of days, both inclusive."""


class AskedSchema(Document):
    """The question and its answer in a sentence."""

    slug = fields.String()
    title = fields.String()
    question = fields.String()
    answer = fields.String()
    filters = fields.Dict(metadata={"description": "The parameters in canonical form"})
    compared_with = fields.Nested(
        SpanSchema, allow_none=True, metadata={"description": "The earlier period; null where there are no data"}
    )


def _measures() -> dict[str, fields.Field[Any]]:
    return {measure.name: _measure(measure) for measure in MEASURES}


def _measure(measure: Measure) -> fields.Field[Any]:
    if measure.type == "decimal":
        return money(description=measure.label, type=["string", "null"])
    return fields.Integer(metadata={"description": measure.label})


def _changes() -> dict[str, fields.Field[Any]]:
    form = {"type": ["string", "null"], "format": "decimal", "pattern": r"^-?\d+\.\d$", "example": "-3.5"}
    return {
        each.name: fields.Decimal(places=1, as_string=True, metadata=form | {"description": each.label})
        for each in MEASURES
    }


MeasuresSchema = Document.from_dict(_measures(), name="Measures")
"""The four measures."""

ChangesSchema = Document.from_dict(_changes(), name="Changes")
"""The change of each in percent; null from nothing or from zero."""


def _compared() -> dict[str, fields.Field[Any]]:
    """What a comparison adds to a row and to the totals."""
    return {
        "previous": fields.Nested(
            MeasuresSchema,
            allow_none=True,
            metadata={"description": "The earlier period; null if the group is not in it"},
        ),
        "change_percent": fields.Nested(ChangesSchema, metadata={"description": "The change since, in percent"}),
    }


TotalsSchema = Document.from_dict(_measures() | _compared(), name="Totals")
"""The four measures over everything that matches."""


def reply_schema(name: str, by: Iterable[Dimension]) -> type[Schema]:
    """The schema of a reply whose rows have the columns of these dimensions."""
    interval: dict[str, fields.Field[Any]] = {
        "interval": fields.String(metadata={"format": "date", "description": "The interval's first day"})
    }
    keys = {each.name: _key(each) for each in by}
    row = Document.from_dict(interval | keys | _measures() | _compared(), name=f"{name}Row")
    return Document.from_dict(
        {
            "query": fields.Nested(AskedSchema),
            "columns": fields.List(fields.Nested(ColumnSchema)),
            "rows": fields.List(fields.Nested(row)),
            "totals": fields.Nested(TotalsSchema),
            "meta": fields.Nested(MetaSchema),
        },
        name=name,
    )


def _key(dimension: Dimension) -> fields.Field[Any]:
    if dimension.type == "integer":
        return fields.Integer()
    return fields.String(metadata={"format": "date"} if dimension.is_date else {"description": dimension.label})


@cache
def answer_schema(query: Query) -> type[Schema]:
    """The schema of one query's reply: its rows have the query's own columns."""
    return reply_schema(query.slug.title().replace("-", ""), query.by)


AnswerSchema = reply_schema("Answer", PURCHASES.dimensions)
"""Any query's reply: a row has the columns of the query's dimensions among these."""


class ReadSchema(Document):
    """One read of a question."""

    source = fields.String(metadata={"enum": ["columns", "rollup", "pages", "raw"]})
    reads = fields.String()
    cost_us = fields.Float(metadata={"description": "The planner's estimate of the cost, in microseconds"})
    collection = fields.String()
    pipeline = fields.Raw(metadata={"type": "array", "items": {"type": "object"}})
    stages = fields.List(fields.String(), metadata={"description": "MongoDB's winning plan, from the outside in"})
    index = fields.String(allow_none=True)
    keys_examined = fields.Integer(allow_none=True)
    documents_examined = fields.Integer(allow_none=True)


class ExplanationSchema(Document):
    """How a question is answered."""

    source = fields.String()
    reads = fields.List(fields.Nested(ReadSchema))
    refused = fields.Dict(keys=fields.String(), values=fields.String())
