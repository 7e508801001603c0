"""Real requests and replies, shown in the OpenAPI document.

`examples.json` contains them as the service returned them for a sample of 20,000 purchases, with an id of the
declarations at that time. A test repeats the requests and compares; if a query, a column or a measure has been declared
since, or REWRITE_EXAMPLES is set, it rewrites the file.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from catalog.measures import MEASURES
from catalog.purchases import PURCHASES
from pipelines.ask.queries import QUERIES

FILE = Path(__file__).with_name("examples.json")
EXAMPLES: dict[str, Any] = json.loads(FILE.read_text())
MADE_UNDER = EXAMPLES.pop("declared")


def declared() -> str:
    """Identifies the declarations: the queries, the dimensions and the measures."""
    queries = [[each.slug, [by.name for by in each.by], each.limit] for each in QUERIES]
    dimensions = [[each.name, each.label, *each.members] for each in PURCHASES.dimensions]
    measures = [[each.name, each.label, each.type] for each in MEASURES]
    text = json.dumps([queries, dimensions, PURCHASES.header, measures])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def real_examples(name: str) -> dict[str, Any] | None:
    """The OpenAPI `examples` of an operation or a problem, by their request; None if there are none."""
    found = EXAMPLES.get(name)
    return {name: {"summary": f"GET {found['request']}", "value": found["reply"]}} if found else None
