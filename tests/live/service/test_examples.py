"""The examples in the OpenAPI document are the service's actual replies, and their schemas allow them."""

import json
import os
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator

from pipelines.ask.queries import QUERIES
from service.api.examples import EXAMPLES, FILE, MADE_UNDER, declared
from service.app import create_app
from store.client import Store
from store.settings import Settings

pytestmark = pytest.mark.live

YEAR = "from=2022-01-01&to=2022-12-31"
REQUESTS = {
    **{f"/v1/queries/{each.slug}": f"/v1/queries/{each.slug}?{YEAR}&state=Texas&limit=3" for each in QUERIES},
    **{f"/v1/queries/{each.slug}/explain": f"/v1/queries/{each.slug}/explain?{YEAR}&state=Texas" for each in QUERIES},
    "/v1/queries/daily-sales": f"/v1/queries/daily-sales?{YEAR}&interval=month&limit=1&compare=previous_year",
    "/v1/explore": f"/v1/explore?{YEAR}&by=segment&by=payment_method&not_gender=Male&limit=3",
    "/v1/explore/explain": f"/v1/explore/explain?{YEAR}&by=segment",
    "/v1/dashboard": "/v1/dashboard?from=2022-03-01&to=2022-03-01&state=Texas&segment=Gold",
    "/v1/dimensions": "/v1/dimensions",
    "/v1/dimensions/<name>": "/v1/dimensions/segment",
    "/v1/loads": "/v1/loads",
    "/v1/loads/<load_id>": "/v1/loads/{load_id}",
    "/v1/queries": "/v1/queries",
    "/v1/performance": "/v1/performance",
    "/healthz": "/healthz",
    "/readyz": "/readyz",
    "NOT_FOUND": "/v1/queries/top-stats",
    "UNPROCESSABLE_ENTITY": "/v1/queries/top-states?state=Texs",
}
CHANGING = {
    "request_id", "timing_ms", "as_of", "data_version", "estimate_ms", "started_at", "updated_at", "seconds",
    "verified", "verification", "stale_months", "since", "mongo_ms", "total_ms",
}  # fmt: skip
"""Values that vary; only their types must be equal."""


@pytest.fixture
def client(loaded: Store, data_dir: Path) -> Iterator[FlaskClient]:
    """A client of a new application: its caches would change how it answers."""
    app = create_app(Settings(database=loaded.settings.database, data_dir=data_dir))
    yield app.test_client()
    app.extensions["connection"].close()


def settled(value: Any, name: str = "") -> Any:
    """A reply without the values that vary."""
    if name in CHANGING:
        return "of the moment"
    if isinstance(value, dict):
        return {each: settled(inner, each) for each, inner in value.items()}
    return [settled(each) for each in value] if isinstance(value, list) else value


def ask(client: FlaskClient, name: str) -> dict[str, Any]:
    """The request with that name and its reply, as in the file."""
    loads = client.get("/v1/loads").json["loads"]
    request = REQUESTS[name].format(load_id=loads[0]["id"])
    reply = client.get(request)
    assert reply.status_code == getattr(HTTPStatus, name, HTTPStatus.OK), reply.json
    return {"request": request, "reply": reply.json}


def test_every_example_is_what_the_service_answers(client: FlaskClient) -> None:
    """As in the file; after new declarations, such as a query, or with REWRITE_EXAMPLES=1, the file is rewritten."""
    real = {name: ask(client, name) for name in REQUESTS}
    expected = EXAMPLES
    if os.environ.get("REWRITE_EXAMPLES") or declared() != MADE_UNDER:
        expected = real
        FILE.write_text(json.dumps({"declared": declared(), **real}, indent=1, ensure_ascii=False) + "\n")
    assert settled(expected) == settled(real)


def test_every_operation_with_a_schema_shows_its_example(client: FlaskClient) -> None:
    """And its schema strictly allows it. New declarations have one once the file is rewritten."""
    document = client.get("/openapi.json").json
    shown = set()
    for path, item in document["paths"].items():
        content = item["get"]["responses"]["200"].get("content", {}).get("application/json", {})
        for name, example in content.get("examples", {}).items():
            Draft202012Validator(content["schema"] | {"components": document["components"]}).validate(example["value"])
            assert example["value"] == EXAMPLES[name]["reply"]
            assert name.replace("<", "{").replace(">", "}") == path
            shown.add(name)
    for response in document["components"]["responses"].values():
        for content in response.get("content", {}).values():
            for name, example in content.get("examples", {}).items():
                schema = document["components"]["schemas"]["Problem"] | {"components": document["components"]}
                Draft202012Validator(schema).validate(example["value"])
                assert example["value"] == EXAMPLES[name]["reply"]
                shown.add(name)
    assert shown == EXAMPLES.keys() & REQUESTS.keys()
    assert EXAMPLES.keys() == REQUESTS.keys() or declared() != MADE_UNDER
