"""Unchanged answers per second of the service, beside a Flask application that only says hello.

Both run under the same server with this project's settings and get requests in turn, over persistent connections.
"""

import socket
import statistics
import threading
import time
from collections.abc import Mapping
from types import SimpleNamespace

from flask import Flask

from bench.overload import serving
from service.server import run
from service.settings import ServerSettings

PATHS = {
    "an answer": "/v1/queries/revenue-by-segment?from=2020-01-01&state=Texas",
    "an answer, packed": "/v1/queries/hourly-sales",
    "the dashboard": "/v1/dashboard",
}
CLIENTS = 4
ROUNDS = 5
SECONDS = 2.0


def compare() -> Mapping[str, float]:
    """Requests per second of each, as medians of alternating rounds."""
    found: dict[str, list[float]] = {}
    with serving("bench.hello", "/") as bare, serving() as served:
        for round_ in range(-1, ROUNDS):
            asked = {"hello": (bare.port, "/")} | {name: (served.port, path) for name, path in PATHS.items()}
            for name, (at, path) in asked.items():
                rate = _rate(at, path, "gzip" if "packed" in name else "identity")
                if round_ >= 0:  # the first one only warms up
                    found.setdefault(name, []).append(rate)
    return {name: statistics.median(rates) for name, rates in found.items()}


def hello() -> Flask:
    """The application to compare with."""
    app = Flask("hello")
    app.extensions |= {"connection": SimpleNamespace(warm=lambda: None), "stopping": threading.Event()}
    app.add_url_rule("/", view_func=lambda: "hello")
    return app


def _rate(port: int, path: str, encoding: str) -> float:
    end = time.perf_counter() + SECONDS
    counts = [0] * CLIENTS
    request = f"GET {path} HTTP/1.1\r\nHost: bench\r\nAccept-Encoding: {encoding}\r\n\r\n".encode()

    def client(number: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            while time.perf_counter() < end:
                connection.sendall(request)
                counts[number] += _read(connection)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / SECONDS


def _read(connection: socket.socket) -> bool:
    """Read one response to its end; returns whether it was a 200."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(1 << 16)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    left = length - len(body)
    while left:
        left -= len(connection.recv(min(left, 1 << 16)))
    return head.startswith(b"HTTP/1.1 200")


if __name__ == "__main__":
    settings = ServerSettings.from_environment()
    run(settings, ("127.0.0.1", settings.port), settings.threads, hello)
