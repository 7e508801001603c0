"""The rows of an answer as JSON text, made column by column: there may be tens of thousands."""

import json
from typing import Any

import numpy as np

from catalog.measures import MEASURES
from pipelines.answer.answer import Answer
from pipelines.answer.table import figures
from pipelines.derived.groups import Array


def row_texts(found: Answer) -> list[str]:
    """Each row as a JSON object, the same as `json.dumps` of its record in half the time of making records."""
    if found.previous:
        return [json.dumps(record) for record in found.records()]
    labels = found.rows.columns(json.dumps)
    columns: list[list[Any]] = list(labels)
    forms = ["%s"] * len(labels)
    for measure in MEASURES:
        form, values = _shown(figures(measure, found.rows.groups.sums), is_money=measure.type == "decimal")
        forms.append(form)
        columns += values
    template = ", ".join(f'"{column.name}": {form}' for column, form in zip(found.columns, forms, strict=True))
    return list(map(f"{{{template}}}".__mod__, zip(*columns, strict=True)))


def _shown(values: Array, *, is_money: bool) -> tuple[str, list[list[Any]]]:
    """How a figure is formatted, and the columns that the format takes; a negative one stands for null."""
    if not is_money:
        return "%d", [values.tolist()]
    whole, cents = np.divmod(values, 100)
    if (values >= 0).all():
        return '"%d.%02d"', [whole.tolist(), cents.tolist()]
    texts = map('"%d.%02d"'.__mod__, zip(whole.tolist(), cents.tolist(), strict=True))
    return "%s", [[text if value >= 0 else "null" for text, value in zip(texts, values.tolist(), strict=True)]]
