"""Replies of a service to many requests in comparable form, also of one without `service.fast`."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from flask.testing import FlaskClient

from pipelines.ask.queries import QUERIES
from service.app import create_app
from service.settings import ServiceSettings
from store.settings import Settings

OWN = {"Server-Timing", "X-Request-Id", "Content-Length", "Date"}  # the server makes the date
PATHS = (
    *(f"/v1/queries/{each.slug}" for each in QUERIES),
    "/v1/queries/top-states?limit=50&from=2022-01-15&to=2022-03-02&not_gender=Male",
    "/v1/queries/top-states?compare=previous_year&from=2023-01-01&to=2023-12-31",
    "/v1/queries/daily-sales?interval=week&segment=gold&referral=Referral",
    "/v1/queries/top-states.csv",
    "/v1/queries/hourly-sales.ndjson",
    "/v1/explore?by=segment&by=payment_method&by=gender",
    "/v1/explore?source=raw",
    "/v1/dashboard",
    "/v1/dashboard?from=2022-01-01&compare=previous_period",
    "/v1/dimensions",
    "/v1/loads",
    "/v1/queries/none",
    "/v1/queries/top-states?limit=none",
    "/v1/explore?by=date&source=rollup&gender=Male&segment=gold",
    "/readyz",
)


def told(client: FlaskClient, path: str) -> dict[str, Any]:
    """A reply, and the reply to the same request with its ETag, without the request's own parts."""
    response = client.get(path)
    etag = response.headers.get("ETag")
    again = client.get(path, headers={"If-None-Match": etag}).status_code if etag else None
    text = response.text
    if "json" in str(response.mimetype) and not path.endswith("ndjson"):
        text = json.dumps(_without_own(json.loads(text)))
    headers = {name: value for name, value in response.headers if name not in OWN}
    return {"status": response.status_code, "again": again, "headers": headers, "text": text}


def _without_own(part: Any) -> Any:
    """A document without the timing and id of its request, and without the moment of the snapshot."""
    if isinstance(part, Mapping):
        own = {"timing_ms", "request_id", "as_of"}
        return {name: _without_own(each) for name, each in part.items() if name not in own}
    return [_without_own(each) for each in part] if isinstance(part, list) else part


def main() -> None:
    """Print the replies of a service that cannot import `service.fast`; run in a separate process."""
    sys.modules["service.fast"] = None  # type: ignore[assignment]  # an import of it fails
    app = create_app(Settings.from_environment(), ServiceSettings(), is_fast=False)
    print(json.dumps({path: told(app.test_client(), path) for path in PATHS}))
    app.extensions["connection"].close()
