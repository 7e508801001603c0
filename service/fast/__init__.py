"""What exists for speed only: without it, the service answers the same. Only `create_app` uses it."""

from flask import Flask

from service.around.connection import Connection
from service.around.rates import Rates
from service.fast import admission, gate, heads, kept, lane
from service.settings import ServiceSettings


def install(app: Flask, connection: Connection, behaviour: ServiceSettings, rates: Rates | None) -> None:
    """Keep replies, and refuse what is too much. Install it before everything else.

    What is installed first comes last after a request. What is kept or in memory passes by the gate.
    """
    heads.install(app)
    expensive = lane.install(app)
    places = admission.Places(behaviour.places)
    connection.admit = places.take
    entrance = gate.install(app, places)
    kept.install(app, entrance, lambda: connection.answerer, behaviour.keys, rates, expensive)
    admission.install(app, places)
