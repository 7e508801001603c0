"""HTTP according to RFC 9110 on every route: bounds, compression, caching, traces, cross-origin pages."""

import gzip
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from store.client import Store
from tests.support.service import OK, PROBLEMS, Service, problem, serving, surrounded

pytestmark = pytest.mark.live

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACE_PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
ORIGIN = "https://shop.example"
PATHS = [*OK, "/metrics", "/v1/queries/daily-sales", "/v1/queries/top-states/explain", "/docs/assets/swagger-ui.css"]


@pytest.fixture(scope="module")
def service(loaded: Store, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service on the loaded sample, which allows the pages of one origin."""
    environment = {
        "DATA_DIR": str(data_dir), "MONGODB_DATABASE": loaded.settings.database, "CORS_ORIGINS": ORIGIN,
    }  # fmt: skip
    with serving(tmp_path_factory.mktemp("service") / "service.log", environment) as running:
        yield running


def raw(service: Service, request: bytes) -> bytes:
    """Send bytes, and read until the server closes the connection.

    A request that is too large may be refused before it is sent; then the connection may break and lose the reply.
    """
    received = b""
    with socket.create_connection(("127.0.0.1", service.port), timeout=5) as connection, suppress(ConnectionError):
        connection.sendall(request)
        while part := connection.recv(65536):
            received += part
    return received


@pytest.mark.parametrize("path", PATHS)
def test_a_body_is_packed_for_who_takes_it_and_the_same_unpacked(service: Service, path: str) -> None:
    """Above 1 KB; with `Vary` in both cases, so that no cache confuses them."""
    plain = service.request("GET", path)
    packed = service.request("GET", path, {"Accept-Encoding": "gzip"})
    assert plain.status == packed.status == 200
    assert plain.headers["Content-Encoding"] is None
    for reply in (plain, packed):
        assert "accept-encoding" in reply.headers["Vary"].lower()
        assert int(reply.headers["Content-Length"]) == len(reply.body)
        surrounded(reply)
    if len(plain.body) < 1024 or "version" in path:
        assert packed.headers["Content-Encoding"] is None
        return
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.body) < len(plain.body)
    if plain.headers["ETag"]:  # other replies contain their own times
        assert packed.headers["ETag"].removeprefix("W/") == plain.headers["ETag"].removeprefix("W/")
        assert packed.headers["ETag"].startswith("W/")
        unpacked = gzip.decompress(packed.body)
        assert plain.body == unpacked or re.search(rb'"timing_ms"', unpacked)


@pytest.mark.parametrize("accepted", ["", "identity", "gzip;q=0", "br", "gzip;q=0.5, identity;q=1"])
def test_nobody_gets_gzip_against_their_will(service: Service, accepted: str) -> None:
    """Nor clients that prefer another encoding."""
    reply = service.request("GET", "/v1/queries/daily-sales", {"Accept-Encoding": accepted})
    assert reply.headers["Content-Encoding"] is None
    assert reply.json["rows"]


def test_a_packed_answer_is_304_by_its_tag(service: Service) -> None:
    """Whichever form the client has; the 304 has no body and the same ETag and Vary."""
    for accepted in ("gzip", "identity"):
        headers = {"Accept-Encoding": accepted}
        first = service.request("GET", "/v1/queries/daily-sales", headers)
        again = service.request("GET", "/v1/queries/daily-sales", headers | {"If-None-Match": first.headers["ETag"]})
        assert (again.status, again.body) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        assert "accept-encoding" in again.headers["Vary"].lower()
        assert again.headers["Cache-Control"] == first.headers["Cache-Control"]


def test_a_part_of_a_file_is_not_packed(service: Service) -> None:
    """A range refers to the uncompressed bytes."""
    path = "/docs/assets/swagger-ui.css"
    whole = service.get(path).body
    part = service.request("GET", path, {"Range": "bytes=100-199", "Accept-Encoding": "gzip"})
    assert (part.status, part.body) == (206, whole[100:200])


@pytest.mark.parametrize("path", PATHS)
def test_head_has_the_headers_of_get(service: Service, path: str) -> None:
    """Compressed or not; except for the length, if a body contains its own timing."""
    for accepted in ("gzip", "identity"):
        get = service.request("GET", path, {"Accept-Encoding": accepted})
        head = service.request("HEAD", path, {"Accept-Encoding": accepted})
        assert head.body == b""
        assert set(head.headers) == set(get.headers)
        for name in ("Content-Type", "Content-Encoding", "Vary", "Cache-Control", "ETag"):
            assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize("path", PATHS)
def test_other_methods_are_405_with_the_right_ones(service: Service, path: str) -> None:
    """On every route, as a problem document."""
    for method in ("POST", "PUT", "PATCH", "DELETE", "BREW"):
        reply = service.request(method, path)
        problem(reply, 405)
        assert {"GET", "HEAD"} <= {name.strip() for name in reply.headers["Allow"].split(",")}


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/v1/queries/top-states?from=x"])
def test_what_is_of_the_moment_or_wrong_is_not_stored(service: Service, path: str) -> None:
    """Health, metrics and errors."""
    assert service.get(path).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", PATHS)
def test_every_reply_says_how_it_may_be_kept(service: Service, path: str) -> None:
    """Answers must be revalidated, which costs a 304."""
    assert service.get(path).headers["Cache-Control"]


@pytest.mark.parametrize("case", PROBLEMS)
def test_no_error_is_kept(service: Service, case: str) -> None:
    """Not by any cache on the way."""
    method, target, _ = PROBLEMS[case]
    assert service.request(method, target).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("size", [8_100, 8_300, 30_000])
def test_a_long_address_is_414(service: Service, size: int) -> None:
    """A shorter one is accepted. One that exceeds the server's buffer is refused by the server: see below."""
    target = f"/v1/queries/top-states?state={'x' * size}"
    problem(service.request("GET", target), 414)
    problem(service.get("/v1/queries/top-states", {"state": ["x" * 7_900]}), 422)


def test_a_body_is_refused_unread(service: Service) -> None:
    """Declared or chunked, large or small, complete or not: the reply comes before the body."""
    for path in ("/v1/queries/top-states", "/healthz", "/nowhere"):
        for method in ("GET", "POST"):
            head = f"{method} {path} HTTP/1.1\r\nHost: here\r\n".encode()
            for more, status in (
                (b"Content-Length: 1\r\n\r\n", 413),
                (b"Content-Length: 65537\r\n\r\nxxx", 413),
                (b"Transfer-Encoding: chunked\r\n\r\n", 400),
                (b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", 400),
                (b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n", 400),
                (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),  # two ends
            ):
                reply = raw(service, head + more)
                assert reply.startswith(f"HTTP/1.1 {status} ".encode()), (more, reply[:200])
                assert b"application/problem+json" in reply
                assert b"without a body" in reply
    empty = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    assert raw(service, empty).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        pytest.param(b"nonsense\r\n\r\n", 400, id="no request line"),
        pytest.param(b"GET / HTTP/9.9\r\n\r\n", 400, id="another version"),
        pytest.param(b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400, id="no header"),
        pytest.param(b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, id="impossible length"),
        pytest.param(b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400, id="no known transfer encoding"),
        pytest.param(b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", 431, id="long header"),
        pytest.param(b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", 431, id="very long address"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431, id="many headers"),
    ],
)
def test_what_is_no_request_is_refused_by_its_status_alone(service: Service, request_bytes: bytes, status: int) -> None:
    """It never reaches the application, and nothing of it is sent back; the connection is closed."""
    reply = raw(service, request_bytes)
    if not reply and len(request_bytes) > 65_536:
        return
    head, _, body = reply.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"connection: close" in head
    assert body == b""


def test_a_trace_goes_on_into_mongodb(service: Service, loaded: Store) -> None:
    """Every command of the request has the trace id as its comment; without a valid one, the request's id."""
    loaded.db.status.update_one({"_id": "data"}, {"$inc": {"builds": 1}})  # so that the cached directory is read again
    loaded.db.command("profile", 2)
    try:
        for path in (
            "/readyz",
            "/v1/queries/top-states?hour=3",
            "/v1/queries/top-states?source=raw",
            "/v1/queries/top-states/explain",
            "/v1/queries/daily-sales?state=Ohio&hour=3&gender=Male",
        ):
            service.request("GET", path, {"traceparent": TRACE_PARENT, "X-Request-Id": "not-this"})
        service.request("GET", "/readyz", {"traceparent": "00-bad", "X-Request-Id": "order-66"})
    finally:
        loaded.db.command("profile", 0)
    told = [
        (each["ns"].partition(".")[2], each["op"], each["command"].get("comment"))
        for each in loaded.db["system.profile"].find({"appName": "customer-analytics"})
        if "profile" not in each["command"] and each["ns"] != f"{loaded.settings.database}.system.profile"
    ]
    assert {comment for *_, comment in told} == {TRACE, "order-66"}, told
    assert {name for name, _, comment in told if comment == TRACE} >= {
        "status", "periods", "states", "rollups", "transactions", "pages",
    }  # fmt: skip
    loaded.db["system.profile"].drop()


def test_a_page_of_the_named_origin_may_read_and_no_other(service: Service) -> None:
    """Exactly that origin, without cookies; the preflight lists what may be sent."""
    reply = service.request("GET", "/v1/queries/top-states", {"Origin": ORIGIN})
    assert reply.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert reply.headers["Access-Control-Allow-Credentials"] is None
    assert "origin" in reply.headers["Vary"].lower()
    for other in ("https://shop.example.evil", "http://shop.example", "https://shopXexample", "null"):
        assert service.request("GET", "/healthz", {"Origin": other}).headers["Access-Control-Allow-Origin"] is None
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    preflight = service.request("OPTIONS", "/v1/queries/top-states", asked)
    assert preflight.status == 200
    assert preflight.headers["Access-Control-Allow-Headers"].lower() == "authorization"
    assert "DELETE" not in preflight.headers["Access-Control-Allow-Methods"]


def test_strict_transport_is_said_over_tls_only(service: Service) -> None:
    """As reported by a proxy on this machine; without TLS, the header must not be sent."""
    over_tls = service.request("GET", "/healthz", {"X-Forwarded-Proto": "https"})
    assert over_tls.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert service.get("/healthz").headers["Strict-Transport-Security"] is None
