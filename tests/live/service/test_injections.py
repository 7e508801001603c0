"""Whatever a client sends is text: refused, or looked up as it is; nothing of it influences a command's structure."""

import json
from collections.abc import Iterator
from itertools import product
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from flask.testing import FlaskClient
from pymongo import monitoring

from catalog.purchases import PURCHASES
from pipelines.ask.question import DASHBOARD_PARAMETERS, EXPLORE_PARAMETERS, PARAMETERS
from service.app import create_app
from store.client import Store

pytestmark = pytest.mark.live

OPERATORS = (
    "$where", "$gt", "$gte", "$lt", "$lte", "$ne", "$eq", "$in", "$nin", "$exists", "$regex", "$expr", "$function",
    "$accumulator", "$lookup", "$merge", "$out", "$unionWith", "$or", "$and", "$not", "$nor", "$type", "$mod", "$all",
    "$elemMatch", "$size", "$jsonSchema", "$text", "$comment", "$$ROOT", "$$NOW", "$$CURRENT", "$_id", "$segment_id",
    "$set", "$unset", "$inc", "$push", "$group", "$match", "$facet", "$sample", "$rand", "$eval", "$",
)  # fmt: skip
DOCUMENTS = (
    '{"$gt":""}', '{"$ne":null}', '{"$where":"sleep(5000)"}', '{"$regex":".*"}', '{"$in":["Ohio"]}', "[]", "{}",
    "[1]", '[{"$match":{}}]', '{"$function":{"body":"return 1","args":[],"lang":"js"}}', '{"a":{"$gt":1}}', "null",
    "true", "false", '"Ohio"', "undefined", '{"$oid":"000000000000000000000000"}', '{"$numberLong":"1"}',
    '{"$date":0}', "{'$ne':1}", '{"__proto__":{"x":1}}', '{"$code":"1"}', '{"$binary":""}', '{"$minKey":1}',
    '{"$ref":"#/x"}',
)  # fmt: skip
PATHS = (
    "a.b", "cells.segment", "..", ".", "../..", "../../etc/passwd", "..\\..\\windows", "%2e%2e%2f", "....//",
    "/etc/passwd", "file:///etc/passwd", "//evil.example/x", "http://127.0.0.1:1/", "\\\\host\\share", "C:\\",
    "~root", "a/b", "/", "//", ".git/config", "wsgi.py", "%00", "%252e%252e", "..;/", "static/../../wsgi.py",
)  # fmt: skip
CONTROLS = (
    "\x00", "Gold\x00", "\x00Gold", "Go\x00ld", "\x01", "\x07", "\x08", "\x0b", "\x0c", "\x1b[31m", "\x7f", "\r\n",
    "\n", "\r", "\t", "\r\nX-Evil: 1", "\r\n\r\n<html>", "Gold\r\nSet-Cookie: a=b", "\u2028", "\u2029", "\x85",
    "\ufeff", "\x1f",
)  # fmt: skip
UNICODE = (
    "\U0001f600", "\u202eohio", "\u200bOhio", "Ohi\u043e", "\uff2f\uff48\uff49\uff4f", "\u0130", "\ufb01", "\u1e9e",
    "e\u0301", "\ud7ff", "\ue000", "\ufffd", "\uffff", "\U0010ffff", "\u0660\u0661", "\uff12\uff10\uff12\uff14",
    "\u0662\u0660\u0662\u0664-\u0660\u0661-\u0660\u0661", "\u00bd", "\u2160", "\u0000\u0301", "\u06f1", "\u00a0Ohio",
)  # fmt: skip
SQL = (
    "'", '"', "''", "`", "' OR '1'='1", "'; DROP TABLE transactions; --", "1; SELECT 1", "1 OR 1=1",
    "' UNION SELECT NULL--", "admin'--", "1' AND SLEEP(5)#", "'||'", "\\'", "%27", "/**/", "--", "#", ";", "0x31",
    "CHAR(49)", "WAITFOR DELAY '0:0:5'",
)  # fmt: skip
TEMPLATES = (
    "{{7*7}}", "${7*7}", "#{7*7}", "<%= 7*7 %>", "{%print(1)%}", "{{config}}", "{{''.__class__}}",
    "${jndi:ldap://x/a}", "%s", "%n", "%(x)s", "{0}", "{x!r}", "{slug}", "{.__class__}", "$(id)", "`id`", "|id",
    "&& id", ";id", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "javascript:alert(1)", "</title>",
    "=1+1", "@SUM(A1)", "__import__('os')", "eval(1)",
)  # fmt: skip
NUMBERS = (
    "-1", "0", "00", "1.0", "1e3", "1e999", "NaN", "Infinity", "-Infinity", "0x10", "0b1", "1_000", "+1", " 1", "1 ",
    "100001", "2147483648", "9223372036854775808", "99999999999999999999", "9" * 400, "1" + "0" * 5000, "-0", "1,000",
    "\u0661", "2024-02-30", "2024-13-01", "0000-00-00", "10000-01-01", "-2024-01-01", "2024-1-1", "20240101",
    "2024-01-01T00:00:00", "2024-W01-1", "1/1/2024", "9999-99-99", "2024-01-01 ",
)  # fmt: skip
LONG = ("A" * 2_000, "A," * 1_000, "(" * 1_000, "((a+)+)+$" + "a" * 500, "\U0001f600" * 300, "-" * 1_000)
WORDS = (
    "", " ", "None", "constructor", "__class__", "toString", "by", "from", "interval", "auto,raw", "Gold,Basic",
)  # fmt: skip
PAYLOADS = (
    *OPERATORS, *DOCUMENTS, *PATHS, *CONTROLS, *UNICODE, *SQL, *TEMPLATES, *NUMBERS, *LONG, *WORDS,
)  # fmt: skip
NAMES = tuple(payload for payload in PAYLOADS if payload not in EXPLORE_PARAMETERS)
TARGETS = {
    "/v1/explore": EXPLORE_PARAMETERS, "/v1/queries/overall-summary": PARAMETERS, "/v1/dashboard": DASHBOARD_PARAMETERS,
}  # fmt: skip
FORMS = ("/v1/queries/top-states/explain", "/v1/explore/explain", "/v1/explore.csv", "/v1/queries/top-states.ndjson")
PARTS = (
    "/v1/queries/{}", "/v1/queries/{}/explain", "/v1/queries/top-states.{}", "/v1/queries/{}.csv", "/v1/explore.{}",
    "/v1/dimensions/{}", "/v1/loads/{}", "/docs/assets/{}", "/static/{}", "/{}",
)  # fmt: skip


def slowly(*paths: str) -> list[Any]:
    """Paths for the long suites."""
    return [pytest.param(path, marks=pytest.mark.slow) for path in paths]


class Commands(monitoring.CommandListener):
    """Records every command that is sent to MongoDB."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Before a command is sent."""
        self.sent.append(event.command)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Nothing to note."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing to note."""


@pytest.fixture(scope="module")
def commands() -> Commands:
    """The commands of all clients created from now on."""
    return Commands()


@pytest.fixture(scope="module")
def client(loaded: Store, commands: Commands) -> Iterator[FlaskClient]:
    """A client of an application whose commands are recorded."""
    before = monitoring._LISTENERS
    monitoring.register(commands)
    try:
        app = create_app(loaded.settings)
        assert app.test_client().get("/readyz").status_code == 200  # connects, with the listener
    finally:
        monitoring._LISTENERS = before
    yield app.test_client()
    app.extensions["connection"].close()


def keys_and_values(command: Any) -> Iterator[tuple[bool, Any]]:
    """Every key (True) and every plain value of a command, at any depth."""
    if isinstance(command, dict):
        for key, value in command.items():
            yield True, key
            yield from keys_and_values(value)
    elif isinstance(command, list | tuple):
        for each in command:
            yield from keys_and_values(each)
    else:
        yield False, command


UNLIKELY = frozenset(payload for payload in PAYLOADS if len(payload) > 4 and not payload.startswith(("$", "cells.")))
"""Payloads that are not values in our own commands."""


@pytest.fixture(scope="module")
def usual(client: FlaskClient, commands: Commands) -> frozenset[str]:
    """Every key in the commands of valid requests of all kinds."""
    commands.sent.clear()
    load_id = client.get("/v1/loads").json["loads"][0]["id"]
    filters = ("", "hour=0", "gender=Male&not_state=Ohio&from=2020-01-05&to=2020-09-03")
    groups = ("", "by=hour", "by=state&by=gender", "by=hour&by=gender&by=segment")
    for given in product(("auto", "raw"), filters, groups, ("", "interval=week", "compare=previous_year")):
        assert client.get(f"/v1/explore?limit=1&source={'&'.join(given)}").status_code == 200
    for path in ("explore/explain?by=state", "dashboard?compare=previous_period", f"loads/{load_id}"):
        assert client.get(f"/v1/{path}").status_code == 200
    assert client.get("/v1/loads/nothing").status_code == 404
    keys = {str(each) for command in commands.sent for is_key, each in keys_and_values(command) if is_key}
    commands.sent.clear()
    return frozenset(keys | {f"cells.{name}.k" for name in PURCHASES.by_name})


def steered(commands: Commands, usual: frozenset[str]) -> list[str]:
    """Keys in the recorded commands that valid requests do not have, and values that are payloads."""
    wrong = []
    for command in commands.sent:
        for is_key, each in keys_and_values(command):
            if is_key and str(each) not in usual:
                wrong.append(f"key {each!r}")
            if not is_key and isinstance(each, str) and each in UNLIKELY and "loads" not in command.values():
                wrong.append(f"value {each!r}")
    commands.sent.clear()
    return wrong


def test_there_are_more_than_two_hundred_payloads() -> None:
    """All of them differ."""
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 200


@pytest.mark.parametrize("path", ["/v1/explore", *slowly("/v1/queries/overall-summary", "/v1/dashboard")])
def test_a_payload_in_any_parameter_is_refused_or_taken_for_what_it_says(
    client: FlaskClient, commands: Commands, usual: frozenset[str], path: str
) -> None:
    """422; or, if a payload is a member or a valid number, an answer for exactly that."""
    commands.sent.clear()
    taken = []
    for parameter in TARGETS[path]:
        for payload in PAYLOADS:
            response = client.get(f"{path}?{urlencode({parameter: payload})}")
            if response.status_code == 200:
                taken.append((parameter, payload))
                for block in response.json.get("answers", [response.json]):
                    said = block["query"]["filters"][parameter]
                    assert str(said[0] if isinstance(said, list) else said) == payload.lstrip("0") or (payload in "00")
            else:
                assert response.status_code == 422, (parameter, payload, response.text)
                assert response.mimetype == "application/problem+json"
            assert "X-Evil" not in response.headers
            assert "Set-Cookie" not in response.headers
    assert {payload for _, payload in taken} <= {"0", "2147483648", "hour"}, taken
    assert steered(commands, usual) == []


@pytest.mark.parametrize("path", ["/v1/explore", *slowly(*list(TARGETS)[1:], *FORMS)])
def test_a_payload_as_the_name_of_a_parameter_is_refused(
    client: FlaskClient, commands: Commands, usual: frozenset[str], path: str
) -> None:
    """422, in every notation that a framework would turn into a document."""
    for payload in NAMES:
        for name in (payload, f"state[{payload}]", f"state.{payload}", f"{payload}[]"):
            response = client.get(f"{path}?{urlencode({name: 'Ohio'})}")
            assert response.status_code == 422, (name, response.text)
    assert steered(commands, usual) == []


@pytest.mark.parametrize("path", PARTS)
def test_a_payload_in_a_path_finds_nothing(
    client: FlaskClient, commands: Commands, usual: frozenset[str], path: str
) -> None:
    """404, never a redirect, which would lead to the host in the request."""
    commands.sent.clear()
    for payload in PAYLOADS:
        if path == "/{}" and payload.startswith("/"):
            continue  # this would be the address of another host
        for text in (quote(payload, safe=""), quote(payload)):
            response = client.get(path.format(text))
            allowed = {404} if payload.strip("/. ") else {200, 404, 405}
            assert response.status_code in allowed, (path, payload, response.status_code)
            assert b"root:" not in response.data
            assert "X-Evil" not in response.headers
    assert steered(commands, usual) == []


def test_payloads_change_no_number(client: FlaskClient) -> None:
    """Together with a valid filter, each is refused, and the valid one alone still gives the same answer."""
    before = client.get("/v1/explore?by=segment&state=Ohio").json
    for payload in PAYLOADS:
        response = client.get(f"/v1/explore?by=segment&{urlencode({'state': ['Ohio', payload]}, doseq=True)}")
        assert response.status_code == 422, payload
    after = client.get("/v1/explore?by=segment&state=Ohio").json
    assert (after["rows"], after["totals"], after["meta"]["data_version"]) == (
        before["rows"], before["totals"], before["meta"]["data_version"],
    )  # fmt: skip


@pytest.mark.parametrize("header", ["Accept", "If-None-Match", "X-Request-Id", "Accept-Encoding", "Cookie", "Referer"])
def test_a_payload_in_a_header_does_no_harm(client: FlaskClient, header: str) -> None:
    """An answer, or 406 if it is not a format."""
    for payload in PAYLOADS:
        if payload.isprintable() and payload.isascii():
            response = client.get("/v1/queries/overall-summary", headers={header: payload})
            assert response.status_code in ({200, 406} if header == "Accept" else {200}), (header, payload)


def test_the_commands_are_noted_and_a_steered_one_is_seen(
    client: FlaskClient, commands: Commands, usual: frozenset[str]
) -> None:
    """The check can fail: a client's text is found in a pipeline, as a key and as a value."""
    commands.sent.clear()
    client.get("/v1/explore?by=hour&by=state&source=raw&gender=Male")
    sent = json.dumps(commands.sent, default=str)
    assert "transactions" in sent
    assert steered(commands, usual) == []
    for stage in ({"$match": {"$where": "sleep(5000)"}}, {"$match": {"state": "'; DROP TABLE transactions; --"}}):
        commands.sent.append({"aggregate": "transactions", "pipeline": [stage]})
        assert steered(commands, usual)
