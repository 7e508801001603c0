"""The service from a client's view: HTTP against the real server, with and without MongoDB."""

import re
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urljoin, urlsplit

import pandas as pd
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from pipelines.ask.queries import QUERIES, Query
from pipelines.ask.question import PARAMETERS, Source
from store.client import Store
from tests.support import oracle
from tests.support.service import AWAY, OK, PROBLEMS, Given, Service, await_columns, problem, serving, surrounded

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def service(loaded: Store, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service on the loaded sample."""
    named = {"DATA_DIR": str(data_dir), "MONGODB_DATABASE": loaded.settings.database}
    environment = named | {"COLUMNS_MAX_MB": "64"}
    with serving(tmp_path_factory.mktemp("service") / "service.log", environment) as running:
        await_columns(running)
        yield running


@pytest.fixture(scope="module")
def orphan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service without its MongoDB."""
    with serving(tmp_path_factory.mktemp("orphan") / "service.log", {"MONGODB_URI": AWAY, "THREADS": "10"}) as running:
        yield running


@pytest.fixture(scope="module")
def expected(sample: Path) -> pd.DataFrame:
    """The sample, read by the oracle."""
    return oracle.read(sample)


@pytest.fixture(scope="module")
def openapi(service: Service) -> dict[str, Any]:
    """The service's OpenAPI document."""
    document: dict[str, Any] = service.get("/openapi.json").json
    return document


each_query = pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.slug)

# Answers.

FILTERED: Given = {
    "from": ["2019-02-03"], "to": ["2024-05-06"], "state": ["texas", "OHIO", "Utah"], "not_gender": ["Unknown"],
    "interval": ["quarter"], "limit": ["50"],
}  # fmt: skip


@each_query
@pytest.mark.parametrize("given", [{}, FILTERED], ids=["all", "filtered"])
def test_every_endpoint_answers_as_the_oracle_does(
    service: Service, expected: pd.DataFrame, query: Query, given: Given
) -> None:
    """Rows and totals in JSON, cell by cell: money as text, nothing rounded on the way."""
    reply = service.get(f"/v1/queries/{query.slug}", given)
    assert reply.status == 200, reply.body
    wanted = oracle.answer(expected, query.slug, given)
    assert reply.json["rows"] == wanted["rows"]
    assert reply.json["totals"] == wanted["totals"]


@pytest.mark.parametrize("source", list(Source))
def test_every_source_answers_the_same_over_http(service: Service, expected: pd.DataFrame, source: Source) -> None:
    """`source` determines what is read, not the answer."""
    reply = service.get("/v1/queries/revenue-by-segment", {"source": [source.value]})
    assert reply.status == 200, reply.body
    assert reply.json["rows"] == oracle.answer(expected, "revenue-by-segment", {})["rows"]


@each_query
def test_the_envelope_has_the_documented_keys(service: Service, query: Query) -> None:
    """Exactly these, at each level; `verified` may be among the metadata."""
    body = service.get(f"/v1/queries/{query.slug}", {"interval": ["year"]}).json
    assert list(body) == ["query", "columns", "rows", "totals", "meta"]
    assert set(body["query"]) == {"slug", "title", "question", "answer", "filters"}
    assert set(body["totals"]) == {"transactions", "priced_transactions", "revenue", "average_spend"}
    assert set(body["meta"]) - {"verified"} == {
        "source", "reads", "refused", "data_version", "as_of", "timing_ms", "estimate_ms", "request_id", "warnings",
        "verification",
    }  # fmt: skip
    assert {"plan", "mongo", "shape", "total"} >= set(body["meta"]["timing_ms"]) - {"compute"}
    assert all(set(column) <= {"name", "type", "unit"} for column in body["columns"])
    assert all(list(row) == [column["name"] for column in body["columns"]] for row in body["rows"])


@each_query
def test_the_query_part_says_what_was_asked_and_answers_it(service: Service, query: Query) -> None:
    """Slug, title, question, a sentence, and the filters as understood."""
    said = service.get(f"/v1/queries/{query.slug}", {"state": ["tExAs"], "from": ["2020-01-01"], "hour": ["9"]}).json
    filters = {"from": "2020-01-01", "state": ["Texas"], "hour": [9]} | ({"limit": query.limit} if query.limit else {})
    answer = said["query"].pop("answer")
    assert said["query"] == {
        "slug": query.slug, "title": query.title, "question": query.question, "filters": filters,
    }  # fmt: skip
    assert answer.endswith(".")
    assert said["meta"]["estimate_ms"] == (list(query.estimate_ms) if query.estimate_ms else None)
    assert said["meta"]["data_version"] > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", said["meta"]["as_of"])


@each_query
def test_money_is_text_with_two_places(service: Service, query: Query) -> None:
    """In rows and totals, never a JSON number; null if there is nothing to average."""
    body = service.get(f"/v1/queries/{query.slug}").json
    assert {"name": "revenue", "type": "decimal", "unit": "USD"} in body["columns"]
    assert body["rows"]
    for row in [*body["rows"], body["totals"]]:
        assert re.fullmatch(r"\d+\.\d\d", row["revenue"])
        assert row["average_spend"] is None or re.fullmatch(r"\d+\.\d\d", row["average_spend"])
        assert type(row["transactions"]) is type(row["priced_transactions"]) is int


def test_nothing_found_is_an_answer(service: Service) -> None:
    """No rows, zero totals, no average."""
    body = service.get("/v1/queries/daily-sales", {"to": ["2001-01-01"]}).json
    assert body["rows"] == []
    assert body["totals"] == {
        "transactions": 0, "priced_transactions": 0, "revenue": "0.00", "average_spend": None,
    }  # fmt: skip
    assert body["query"]["answer"] == "No transactions match."


# What all responses have in common.


@pytest.mark.parametrize("path", OK)
def test_every_success_has_its_timing_id_and_security_headers(service: Service, path: str) -> None:
    """Pages, files, documents and answers alike."""
    reply = service.get(path)
    assert reply.status == 200
    surrounded(reply)


@pytest.mark.parametrize("case", PROBLEMS)
def test_every_error_is_a_problem_document_with_the_same_headers(service: Service, case: str) -> None:
    """RFC 9457, never 200 and never HTML."""
    method, target, status = PROBLEMS[case]
    problem(service.request(method, target), status)


@pytest.mark.parametrize("case", [case for case in PROBLEMS if case.startswith("405")])
def test_a_wrong_method_is_told_the_right_ones(service: Service, case: str) -> None:
    """RFC 9110: a 405 has an Allow header."""
    method, target, _ = PROBLEMS[case]
    allowed = {name.strip() for name in service.request(method, target).headers["Allow"].split(",")}
    assert {"GET", "HEAD"} <= allowed
    assert method not in allowed


def test_an_unknown_query_is_told_the_nearest_and_the_allowed(service: Service) -> None:
    """As data, for programs, and in the text, for people."""
    body = problem(service.get("/v1/queries/top-stats"), 404)
    assert body["nearest"] == "top-states"
    assert body["allowed"] == [query.slug for query in QUERIES]
    assert "top-states" in body["detail"]


def test_an_unknown_parameter_is_told_the_nearest_and_the_allowed(service: Service) -> None:
    """All of the parameters."""
    body = problem(service.get("/v1/queries/top-states", {"sate": ["Ohio"]}), 422)
    assert (body["parameter"], body["value"], body["nearest"]) == ("parameter", "sate", "state")
    assert body["allowed"] == list(PARAMETERS)


def test_an_unknown_member_is_told_the_nearest_and_the_allowed(service: Service) -> None:
    """All of the dimension's members."""
    body = problem(service.get("/v1/queries/top-states", {"segment": ["Gold", "Sliver"]}), 422)
    assert (body["parameter"], body["value"], body["nearest"]) == ("segment", "Sliver", "Silver")
    assert body["allowed"] == ["Unknown", "Basic", "Gold", "Missing", "Platinum", "Silver"]


def test_an_impossible_value_is_told_what_is_expected(service: Service) -> None:
    """The parameter, the value, and the form."""
    body = problem(service.get("/v1/queries/top-states", {"to": ["2024-W01-5"]}), 422)
    assert (body["parameter"], body["value"]) == ("to", "2024-W01-5")
    assert "YYYY-MM-DD" in body["detail"]


INJECTIONS = (
    "$ne", '{"$gt":""}', "a.b", "$where", "Gold\x00", "'; DROP TABLE transactions; --", "A" * 2000, "\r\nX: y",
    "<script>alert(1)</script>", "../../etc/passwd", "{{7*7}}", "\U0001f600",
)  # fmt: skip


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_an_injection_is_refused_in_every_parameter(service: Service, parameter: str) -> None:
    """422, and no header injected by the client."""
    for payload in INJECTIONS:
        reply = service.get("/v1/queries/overall-summary", {parameter: [payload]})
        problem(reply, 422)
        assert "X" not in reply.headers


def test_a_request_keeps_the_id_that_the_client_gave(service: Service) -> None:
    """In the header and in the body."""
    reply = service.request("GET", "/v1/queries/overall-summary", {"X-Request-Id": "order-66_a.b"})
    assert reply.headers["X-Request-Id"] == "order-66_a.b"
    assert reply.json["meta"]["request_id"] == "order-66_a.b"


@pytest.mark.parametrize("given", ["", "a b", "<script>", "x" * 65, "\u00e9"], ids=ascii)
def test_a_harmful_id_is_replaced(service: Service, given: str) -> None:
    """With a new one; the client's text is not sent back."""
    made = service.request("GET", "/healthz", {"X-Request-Id": given}).headers["X-Request-Id"]
    assert re.fullmatch(r"[0-9a-f]{32}", made)


def test_each_request_has_its_own_id(service: Service) -> None:
    """Two requests, two ids."""
    assert service.get("/healthz").headers["X-Request-Id"] != service.get("/healthz").headers["X-Request-Id"]


@pytest.mark.parametrize("path", [*OK, "/nowhere"])
def test_head_is_get_without_the_body(service: Service, path: str) -> None:
    """The same status and type, and nothing after the headers."""
    head, get = service.request("HEAD", path), service.get(path)
    assert head.body == b""
    assert head.status == get.status
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    surrounded(head)


# Descriptions of the service.


def test_the_catalogue_has_every_query_in_order(service: Service) -> None:
    """Slug, title, question, parameters, estimate, panel and a link that works."""
    entries = service.get("/v1/queries").json["queries"]
    assert [entry["slug"] for entry in entries] == [query.slug for query in QUERIES]
    for entry, query in zip(entries, QUERIES, strict=True):
        assert {"slug", "title", "question", "parameters", "links", "estimate_ms"} <= set(entry)
        assert (entry["title"], entry["question"]) == (query.title, query.question)
        assert entry["parameters"] == list(PARAMETERS)
        assert entry["estimate_ms"] == (list(query.estimate_ms) if query.estimate_ms else None)
        assert service.get(entry["links"]["answer"]).json["query"]["slug"] == query.slug


def test_the_openapi_document_is_valid(openapi: dict[str, Any]) -> None:
    """According to the specification's schema; it has every query with every parameter."""
    validate(openapi)
    for query in QUERIES:
        operation = openapi["paths"][f"/v1/queries/{query.slug}"]["get"]
        assert {each["name"] for each in operation["parameters"]} == set(PARAMETERS)
        assert all(each["in"] == "query" for each in operation["parameters"])


def validator(openapi: dict[str, Any], path: str) -> Draft202012Validator:
    """A validator for the documented reply to a GET."""
    content = openapi["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
    return Draft202012Validator(content["schema"] | {"components": openapi["components"]})


@pytest.mark.parametrize("given", [{}, FILTERED, {"to": ["2001-01-01"]}], ids=["all", "filtered", "nothing"])
@each_query
def test_every_reply_is_as_its_schema_says(
    service: Service, openapi: dict[str, Any], query: Query, given: Given
) -> None:
    """Types, patterns and nulls, without any column that is not in the schema."""
    path = f"/v1/queries/{query.slug}"
    body = service.get(path, given).json
    validator(openapi, path).validate(body)
    known = openapi["components"]["schemas"][query.slug.title().replace("-", "") + "Row"]["properties"]
    assert all(set(row) <= set(known) for row in body["rows"])


@pytest.mark.parametrize("path", ["/v1/queries", "/healthz", "/readyz"])
def test_the_other_replies_are_as_their_schemas_say(service: Service, openapi: dict[str, Any], path: str) -> None:
    """The catalogue, and liveness and readiness."""
    validator(openapi, path).validate(service.get(path).json)


def test_the_schema_refuses_a_reply_that_is_wrong(service: Service, openapi: dict[str, Any]) -> None:
    """The check can fail: money as a number, a count as text."""
    path = "/v1/queries/revenue-by-segment"
    for column, value in (("revenue", 1557.5), ("revenue", "1557.5"), ("transactions", "3"), ("segment", 7)):
        body = service.get(path).json
        body["rows"][0][column] = value
        assert not validator(openapi, path).is_valid(body), (column, value)


def test_errors_are_as_their_schema_says(service: Service, openapi: dict[str, Any]) -> None:
    """The document's `Problem`."""
    schema = {"$ref": "#/components/schemas/Problem", "components": openapi["components"]}
    for method, target, _ in PROBLEMS.values():
        body = service.request(method, target).json
        Draft202012Validator(schema).validate(body)
        assert set(body) <= set(openapi["components"]["schemas"]["Problem"]["properties"])


class Links(HTMLParser):
    """Collects what a page loads or points to."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.inline = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Sources and stylesheets are loaded; anchors are linked; a script without a source is inline."""
        given = dict(attrs)
        self.inline += tag == "script" and "src" not in given
        for name in ("src", "href", "data-url"):
            if target := given.get(name):
                (self.linked if tag == "a" else self.loaded).append(target)


@pytest.mark.parametrize("page", ["/", "/docs"])
def test_a_page_and_all_it_loads_comes_from_our_own_host(service: Service, page: str) -> None:
    """No other host is referenced, every file exists, and no inline script violates the policy."""
    reply = service.get(page)
    assert reply.headers["Content-Type"].startswith("text/html")
    html = reply.body.decode()
    assert not re.search(r"(?i)https?:|[\"'(]//", html)
    links = Links()
    links.feed(html)
    assert links.loaded
    assert not links.inline
    for target in (*links.loaded, *links.linked):
        place = urlsplit(urljoin(page, target))
        assert not place.netloc, target
        found = service.get(place.path)
        assert (found.status, bool(found.body)) == (200, True), target
        if place.path.startswith("/static/"):
            assert not re.search(rb"(?i)https?://|@import|importScripts", found.body), target


def test_the_docs_are_of_this_services_document(service: Service) -> None:
    """Swagger UI's own files, and our document."""
    assert 'data-url="/openapi.json"' in service.get("/docs").body.decode()
    assert b"SwaggerUIBundle" in service.get("/docs/assets/swagger-ui-bundle.js").body


@pytest.mark.parametrize(
    "name", ["../__init__.py", "..%2f__init__.py", "%2e%2e/__init__.py", "etc/passwd", "nothing.js"]
)
def test_no_file_outside_the_docs_is_served(service: Service, name: str) -> None:
    """With any notation of the path."""
    assert service.get(f"/docs/assets/{name}").status == 404


# Health.


def test_the_service_is_alive_and_ready(service: Service) -> None:
    """Readiness shows the data version."""
    assert service.get("/healthz").json["status"] == "ok"
    ready = service.get("/readyz")
    assert ready.status == 200
    assert ready.json["status"] == "ok"
    assert ready.json["data_version"] > 0


def test_without_mongodb_the_service_is_alive_but_not_ready(orphan: Service) -> None:
    """So it is taken out of rotation, but not restarted; the reply says when to retry."""
    assert orphan.get("/healthz").status == 200
    reply = orphan.get("/readyz")
    body = problem(reply, 503)
    assert int(reply.headers["Retry-After"]) > 0
    assert "MongoDB" in body["detail"]


def test_without_mongodb_a_question_is_a_503_that_hides_the_address(orphan: Service) -> None:
    """No host, no port, no text of the driver."""
    reply = orphan.get("/v1/queries/top-states")
    problem(reply, 503)
    assert int(reply.headers["Retry-After"]) > 0
    assert not re.search(r"127\.0\.0\.1|pymongo|Topology|serverSelection", reply.body.decode())


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/v1/queries", "/static/home.js"])
def test_without_mongodb_what_needs_none_still_works(orphan: Service, path: str) -> None:
    """Pages and descriptions."""
    assert orphan.get(path).status == 200


def test_without_mongodb_requests_do_not_wait_for_each_other(orphan: Service) -> None:
    """Ten at once take about as long as one: a queue of waiting requests would block the whole service."""
    start = time.monotonic()
    orphan.get("/readyz")
    one = time.monotonic() - start
    threads = [Thread(target=orphan.get, args=("/readyz",)) for _ in range(10)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - start < 4 * one + 0.5
