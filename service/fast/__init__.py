"""What exists for speed only: without it, the service answers the same. Only `create_app` uses it."""

from flask import Flask

from service.around.connection import Connection
from service.fast import admission, gate, heads, kept
from service.settings import ServiceSettings


def install(app: Flask, connection: Connection, behaviour: ServiceSettings) -> None:
    """Cache replies and refuse excess requests. Install it before everything else.

    What is installed first runs last after a request.
    """
    if not (behaviour.keys or behaviour.rate_limit or behaviour.cors_origins):  # they need to see each request
        kept.install(app, lambda: connection.answerer)
    heads.install(app)
    places = admission.Places(behaviour.places)
    connection.admit = places.take
    admission.install(app, places)
    gate.install(app, places)
