"""The OpenAPI document is true: what it allows is answered as it says, and what it forbids is refused."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import pytest
import schemathesis
from flask import Flask
from schemathesis.config import HealthCheck, SchemathesisConfig
from schemathesis.engine import Status, from_schema
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished

pytestmark = [
    pytest.mark.live,
    pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning"),  # such as that an example is large
]

SEED = int(os.environ.get("CONTRACT_SEED") or time.time_ns() % 2**32)
"""The seed of the requests; CONTRACT_SEED=... repeats a run."""

ENDLESS = "/v1/live"


def possible(context: Any, query: dict[str, Any] | None) -> dict[str, Any] | None:
    """Correct what a JSON schema cannot express: `to` is not before `from`, and there is an earlier period."""
    if not query:
        return query
    try:
        first, last = (date.fromisoformat(query[name]) if name in query else None for name in ("from", "to"))
    except (TypeError, ValueError):
        return query
    if first and last and first > last:
        query["from"], query["to"] = query["to"], query["from"]
    if any(each and not 1900 <= each.year <= 2100 for each in (first, last)):
        query.pop("compare", None)
    return query


@pytest.fixture(autouse=True)
def unpacked(application: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Schemathesis accepts gzip, but does not decompress a WSGI application's replies; `test_operations_http` does."""
    inner = application.wsgi_app

    def plain(environ: dict[str, Any], start_response: Any) -> Any:
        return inner({name: each for name, each in environ.items() if name != "HTTP_ACCEPT_ENCODING"}, start_response)

    monkeypatch.setattr(application, "wsgi_app", plain)


def findings(app: Flask, examples: int, *phases: str) -> tuple[list[str], Counter[str]]:
    """The findings of all checks of schemathesis in these phases, and how often each check ran."""
    print(f"CONTRACT_SEED={SEED}")
    slow = [HealthCheck.too_slow]  # generating examples on a busy machine, not the service
    config = SchemathesisConfig(seed=SEED, suppress_health_check=slow)
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app, config=config)
    schema = schema.exclude(path=ENDLESS)
    schema.hook("map_query")(possible)
    present = app.extensions["connection"].answerer.known.now()
    for item in schema.raw_schema["paths"].values():
        for parameter in item["get"].get("parameters", ()):  # open dimensions: the document names no members
            if members := present.vocabulary.get(parameter["name"].removeprefix("not_")):
                parameter["schema"]["items"]["enum"] = list(members)
    for name in ("examples", "coverage", "fuzzing", "stateful"):
        schema.config.phases.get_by_name(name=name).enabled = name in phases
    schema.config.generation.update(max_examples=examples)
    found: list[str] = []
    made: Counter[str] = Counter()
    for event in from_schema(schema).execute():
        if isinstance(event, FatalError | NonFatalError):
            found.append(f"{event}: {getattr(event, 'value', '')!r}")
        if isinstance(event, ScenarioFinished):
            for case_id, checks in event.recorder.checks.items():
                case = event.recorder.cases[case_id].value
                interaction = event.recorder.interactions[case_id]
                made[f"status {interaction.response.status_code if interaction.response else None}"] += 1
                source = (case.query or {}).get("source")
                may_refuse = source in ("rollup", "columns")  # a 422 with the reason, as documented
                for each in checks:
                    made[each.name] += 1
                    if may_refuse and each.name == "positive_data_acceptance":
                        continue
                    if each.status is Status.FAILURE and each.failure_info:
                        asked = f"{case.method} {case.formatted_path} {case.query}"
                        found.append(f"{each.name}: {asked}: {each.failure_info.failure}")
    return found, made


CHECKS = {
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection", "positive_data_acceptance", "unsupported_method",
    "allow_header_conformance",
}  # fmt: skip


def test_random_requests_are_answered_as_the_document_says(application: Flask) -> None:
    """Twenty for each operation, valid and invalid, by all checks."""
    found, made = findings(application, 20, "fuzzing")
    assert found == []
    assert made.keys() >= CHECKS
    assert made["status 200"] >= 200
    assert made["status 422"] >= 40


@pytest.mark.slow
def test_many_requests_are_answered_as_the_document_says(application: Flask) -> None:
    """Five hundred for each operation, and every boundary of every parameter."""
    found, made = findings(application, 500, "examples", "coverage", "fuzzing")
    print(dict(made))
    assert found == []
    assert made.keys() >= CHECKS


@contextmanager
def lying(app: Flask, path: str, lie: Any) -> Iterator[None]:
    """Make a path return something else."""
    rule = next(rule for rule in app.url_map.iter_rules() if rule.rule == path)
    kept = app.view_functions[rule.endpoint]
    app.view_functions[rule.endpoint] = lie
    try:
        yield
    finally:
        app.view_functions[rule.endpoint] = kept


@pytest.mark.parametrize(
    ("lie", "check"),
    [
        (lambda **_: ({"dimensions": [{"name": 7}]}, 200), "response_schema_conformance"),
        (lambda **_: ({"dimensions": [], "secret": 1}, 200), "response_schema_conformance"),
        (lambda **_: ("<p>", 200), "content_type_conformance"),
        (lambda **_: ({}, 500), "not_a_server_error"),
    ],
)  # fmt: skip
def test_a_reply_that_is_not_as_the_document_says_is_found(application: Flask, lie: Any, check: str) -> None:
    """The checks can fail."""
    with lying(application, "/v1/dimensions", lie):
        found, _ = findings(application, 1, "fuzzing")
    assert any(each.startswith(check) for each in found)
