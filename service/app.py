"""The application factory: one place that says which parts the service has."""

import logging

from flask import Flask
from flask_smorest import Api

from service import (
    catalogue,
    dashboard,
    dimensions,
    docs,
    explore,
    health,
    home,
    live,
    loads,
    performance,
    problems,
    queries,
    requests,
)
from service.connection import Connection
from store.settings import Settings

DESCRIPTION = "Ten business questions about a retailer's purchases, answered exactly, with any dates and filters."


def create_app(settings: Settings | None = None) -> Flask:
    """Make the WSGI application. MongoDB is first asked with the first request, so it may start later.

    Raises:
        UserError: a setting in the environment has no usable value.
    """
    app = Flask(__name__, static_url_path="/static")
    app.config.update(
        API_TITLE="Customer transaction analytics",
        API_VERSION="v1",
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
        API_SPEC_OPTIONS={"info": {"description": DESCRIPTION}},
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]  # columns have an order
    app.url_map.strict_slashes = False
    app.extensions["connection"] = Connection(settings or Settings.from_environment())
    requests.install(app)
    api: Api = problems.ProblemApi(app)
    for part in (queries, explore, dashboard, catalogue, dimensions, loads, performance, health, live):
        api.register_blueprint(part.blueprint)
    for response in api.spec.components.responses.values():
        if "application/json" in response.get("content", {}):
            response["content"] = {"application/problem+json": response["content"]["application/json"]}
    app.add_url_rule("/v1/queries/<slug>", view_func=catalogue.no_such_query)
    for page in (home.blueprint, docs.blueprint):
        app.register_blueprint(page)
    logging.getLogger("pymongo").setLevel(logging.WARNING)
    return app
