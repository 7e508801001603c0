"""Access on the real server: keys, rate limits, logs, redirects, and the effects of a client's text."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from service.keys import new_key
from store.client import Store
from tests.support.service import AWAY, Service, problem, serving

pytestmark = pytest.mark.live

LIMIT = 8
EVIL = "evil.example"


@pytest.fixture(scope="module")
def key() -> str:
    """The text of an unknown key."""
    return new_key("somebody")[0]


@pytest.fixture(scope="module")
def open_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Path]]:
    """A service without keys and MongoDB, which logs as much as possible; and its log."""
    log = tmp_path_factory.mktemp("open") / "service.log"
    with serving(log, {"MONGODB_URI": AWAY, "LOG_LEVEL": "debug"}) as running:
        yield running, log


@pytest.fixture(scope="module", params=["MongoDB there", "MongoDB away"])
def limited(
    request: pytest.FixtureRequest, server: Store, data_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, str]]:
    """A service with one key and rate limits, with its own counters; and that key."""
    folder = tmp_path_factory.mktemp("limited")
    text, known = new_key("shop")
    (folder / "keys").write_text(f"{known.name}:{known.digest}\n")
    place = {"DATA_DIR": str(data_dir), "MONGODB_DATABASE": "limited"}
    environment = {
        "API_KEYS_FILE": str(folder / "keys"), "RATE_LIMIT": f"{LIMIT}/hour", "CORS_ORIGINS": "https://shop.example",
        **(place if request.param == "MongoDB there" else {"MONGODB_URI": AWAY}),
    }  # fmt: skip
    with serving(folder / "service.log", environment) as running:
        yield running, text
    server.client.drop_database("limited")


def bearer(text: str) -> dict[str, str]:
    """The header for a key."""
    return {"Authorization": f"Bearer {text}"}


def sent_raw(service: Service, head: str) -> str:
    """Send the head of a request unchanged, and read the head of the response."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(f"{head}\r\nConnection: close\r\n\r\n".encode("latin-1"))
        reply = b"".join(iter(lambda: connection.recv(65536), b""))
    return reply.partition(b"\r\n\r\n")[0].decode("latin-1")


# Keys in the wrong place.


def test_a_key_is_masked_wherever_a_client_puts_it(open_service: tuple[Service, Path], key: str) -> None:
    """As a parameter's value or name, in the path, as request id, as method, in headers: it is not in the log."""
    service, log = open_service
    before = len(log.read_text().splitlines())
    for target in (
        f"/v1/queries/top-states?state={key}", f"/v1/queries/top-states?from={key}&state=x{key}", f"/nowhere/{key}",
        f"/v1/queries/{key}", f"/v1/queries/top-states?{key}=1", f"/explore?by={quote('Bearer ' + key)}",
        f"/v1/queries/top-states?state={key.lower()}", f"/v1/queries/top-states?state={'x' * 170}{key}",
        f"/v1/queries/top-states?state={quote(key + chr(10) + key)}", f"/?{quote(key, safe='').replace('_', '%5f')}",
    ):  # fmt: skip
        reply = service.request(
            "GET", target, {"User-Agent": key, "Referer": f"http://x/?k={key}", "X-Request-Id": key}
        )
        assert key not in str(reply.headers)
    service.request(key.replace("_", "-"), "/v1/queries")
    sent_raw(service, f"GET /{key} HTTP/9.9\r\nHost: {key}")
    lines = log.read_text().splitlines()[before:]
    secret = key.removeprefix("ca_").lower()
    assert len([line for line in lines if '"message": "request"' in line]) >= 10
    assert [line for line in lines if secret[:24] in line.lower()] == []
    assert "ca_***" in "".join(lines)


def test_a_key_as_request_id_gets_no_further(open_service: tuple[Service, Path], key: str) -> None:
    """The id appears in MongoDB's commands and the reply, so a key is replaced; a harmless id is kept."""
    service, _ = open_service
    assert service.request("GET", "/healthz", {"X-Request-Id": key}).headers["X-Request-Id"] != key
    assert service.request("GET", "/healthz", {"X-Request-Id": "order-66"}).headers["X-Request-Id"] == "order-66"


@pytest.mark.parametrize("text", ["\x85", "\u2028", "\x9b31m", "\u202e", "\r\n", "\x1b[2J", "\x00", "\U000e0001"])
def test_a_line_of_the_log_stays_one_line_of_plain_text(open_service: tuple[Service, Path], text: str) -> None:
    """Whatever a client sends in a path or a parameter, it neither ends the line nor controls a terminal."""
    service, log = open_service
    before = len(log.read_bytes())
    service.get(f"/nowhere/{quote(text)}", {"state": [f"a{text}b"]})
    written = log.read_bytes()[before:].decode()
    assert "nowhere" in written
    assert all(line.isprintable() for line in written.split("\n"))
    told = [json.loads(line) for line in written.splitlines()]
    assert [each["parameters"]["state"] for each in told if each["message"] == "request"] == [[f"a{text}b"]]


# Rate limits.


def test_unknown_keys_and_missing_ones_are_counted_by_address(limited: tuple[Service, str]) -> None:
    """This stops guessing; a known key from the same address is not affected, nor are monitors and preflights."""
    service, text = limited
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "GET"}
    for _ in range(2 * LIMIT):  # these do not count
        assert service.request("OPTIONS", "/v1/queries", asked).status == 200
        assert service.request("OPTIONS", "/v1/queries").status == 200
    headers = [{}, bearer("wrong"), bearer("ca_" + "x" * 43), {"Authorization": "Basic c2hvcDpzZWNyZXQ="}]
    paths = ["/v1/queries", "/nowhere", "/static/nothing.js", "/static/style.css"]
    statuses = [service.request("GET", paths[n % 4], headers[n // 4 % 4]).status for n in range(2 * LIMIT)]
    assert statuses == [401] * LIMIT + [429] * LIMIT
    reply = service.request("GET", "/v1/queries", bearer("wrong"))
    problem(reply, 429)
    assert 0 < int(reply.headers["Retry-After"]) <= 3600
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
        value = "for=192.0.2.9" if name == "Forwarded" else "192.0.2.9"
        assert service.request("GET", "/v1/queries", {name: value}).status == 429, "a header is no other address"
    assert service.request("OPTIONS", "/v1/queries", asked).status == 200
    assert service.request("GET", "/healthz").status == 200
    assert service.request("GET", "/v1/queries", bearer(text)).headers["X-RateLimit-Remaining"] == str(LIMIT - 1)


def test_what_is_not_there_counts_for_the_key_that_asks_for_it(limited: tuple[Service, str]) -> None:
    """404 and 405 count like answers, so that nobody can probe paths endlessly. Runs after the test above."""
    service, text = limited
    targets = [("GET", "/nowhere"), ("POST", "/v1/queries"), ("GET", "/static/nothing.js"), ("GET", "/v1//queries")]
    replies = [service.request(*targets[n % 4], bearer(text)) for n in range(2 * LIMIT)]
    assert [reply.status for reply in replies] == ([404, 405, 404, 404] * 2)[: LIMIT - 1] + [429] * (LIMIT + 1)


# Redirects and links.


@pytest.mark.parametrize(
    "target",
    ["//v1/queries", "/v1//queries", "/v1/queries//", f"//{EVIL}/v1/queries", f"//{EVIL}//", "//docs", "/docs/"],
)
def test_no_redirect_leads_to_what_a_client_called_us(open_service: tuple[Service, Path], target: str) -> None:
    """Two slashes in a path are a different path; no reply contains the host of the request."""
    head = sent_raw(open_service[0], f"GET {target} HTTP/1.1\r\nHost: {EVIL}\r\nX-Forwarded-Host: {EVIL}")
    assert head.split()[1] in ("404", "200")
    assert "location:" not in head.lower()
    assert f"http://{EVIL}" not in head


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/v1/queries", "/v1/queries/top-states", "/nowhere"])
def test_no_reply_names_the_host_of_its_request(open_service: tuple[Service, Path], path: str) -> None:
    """Links are paths, so that no cache can be made to hold a link to elsewhere."""
    sent = {"Host": EVIL, "X-Forwarded-Host": EVIL, "Forwarded": f"host={EVIL}", "X-Forwarded-Prefix": f"/{EVIL}"}
    reply = open_service[0].request("GET", path, sent)
    assert EVIL not in f"{reply.headers}{reply.body.decode()}"


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "Script-Name", "PATH_INFO", "X-Forwarded-Prefix", "REMOTE_ADDR"])
def test_a_header_does_not_move_the_paths(open_service: tuple[Service, Path], name: str) -> None:
    """No header changes the path: that of the request line counts."""
    service, log = open_service
    for path, status in (("/v1/queries", "200"), ("/v1/v1/queries", "404")):
        for value in ("/v1", "/healthz", "/nowhere"):
            head = sent_raw(service, f"GET {path} HTTP/1.1\r\nHost: here\r\nX-Request-Id: to-{name}\r\n{name}: {value}")
            assert head.split()[1] == status
    told = [json.loads(line) for line in log.read_text().splitlines() if f'"to-{name}"' in line]
    assert {each["path"] for each in told} == {"/v1/queries", "/v1/v1/queries"}
    assert {each["client"] for each in told} == {"127.0.0.1"}


@pytest.mark.parametrize("value", ["a\tX-Evil: 1", "a b", "\xe9", "x" * 65, "", "a\x01", "../a", "<b>"])
@pytest.mark.parametrize("name", ["X-Request-Id", "traceparent"])
def test_an_id_of_a_client_is_repeated_only_where_it_is_harmless(
    open_service: tuple[Service, Path], name: str, value: str
) -> None:
    """Otherwise the request gets a new id, and nothing of the client's becomes a header."""
    head = sent_raw(open_service[0], f"GET /healthz HTTP/1.1\r\nHost: here\r\n{name}: {value}")
    assert head.split()[1] in ("200", "400")
    assert "X-Evil" not in head
    lines = dict(line.split(": ", 1) for line in head.lower().split("\r\n")[1:])
    if " 200 " in head:  # otherwise it was malformed, and only got a status
        assert lines["x-request-id"].isalnum()
        assert len(lines["x-request-id"]) == 32
