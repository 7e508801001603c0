"""The application factory, which assembles the parts of the service."""

import logging
import threading

from flask import Flask
from flask_smorest import Api

from service.api import catalogue, dashboard, dimensions, explore, health, live, loads, performance, queries
from service.api.examples import real_examples
from service.around import bounds, compression, cors, keys, libraries, logs, metrics, problems, rates, requests
from service.around.connection import Connection
from service.pages import docs, home
from service.settings import ServiceSettings
from store.settings import Settings

DESCRIPTION = "Ten business questions about a retailer's purchases, answered exactly, with any dates and filters."


def create_app(
    settings: Settings | None = None, behaviour: ServiceSettings | None = None, *, is_fast: bool = True
) -> Flask:
    """Create the WSGI application. It does not connect to MongoDB yet, which may start later.

    Attributes:
        is_fast: whether to use the parts that exist for speed only.

    Raises:
        UserError: a setting in the environment is invalid.
        InternalError: a library lacks private parts that are used.
    """
    libraries.check()
    app = Flask(__name__, static_url_path="/static", static_folder="pages/static", template_folder="pages/templates")
    app.config.update(
        API_TITLE="Customer transaction analytics",
        API_VERSION="v1",
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
        API_SPEC_OPTIONS={"info": {"description": DESCRIPTION}},
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]  # columns have an order
    app.url_map.strict_slashes = app.url_map.merge_slashes = False  # a redirect would go to the Host in the request
    behaviour = behaviour or ServiceSettings.from_environment()
    connection = Connection(settings or Settings.from_environment(), behaviour.columns_mb << 20)
    app.extensions |= {"connection": connection, "stopping": threading.Event()}
    counted = rates.Rates(behaviour.rate_limit, connection) if behaviour.rate_limit else None
    if is_fast:
        from service import fast

        fast.install(app, connection, behaviour, counted)
    live.install(app)
    # These run in this order before a request, and in reverse order after it.
    logs.install(app)
    metrics.install(app)
    requests.install(app, behaviour.budget_ms)
    compression.install(app)
    bounds.install(app)
    if behaviour.cors_origins:
        cors.install(app, behaviour.cors_origins)
    if behaviour.keys:
        keys.install(app, behaviour.keys)
    if counted:
        rates.install(app, counted)  # also counts requests without a known key, by their address
    if behaviour.keys:
        keys.require(app)
    api: Api = problems.ProblemApi(app)
    for part in (queries, explore, dashboard, catalogue, dimensions, loads, performance, health, live):
        api.register_blueprint(part.blueprint)
    for status, response in api.spec.components.responses.items():
        if "application/json" in response.get("content", {}):
            examples = real_examples(status)
            content = response["content"]["application/json"] | ({"examples": examples} if examples else {})
            response["content"] = {"application/problem+json": content}
    app.add_url_rule("/v1/queries/<slug>", view_func=catalogue.no_such_query)
    for page in (home.blueprint, docs.blueprint):
        app.register_blueprint(page)
    logging.getLogger("pymongo").setLevel(logging.WARNING)
    return app
