"""Every format of an answer has the same rows with exact types; the format is negotiated."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from catalog.purchases import SEGMENT
from pipelines.answer.answer import arrange
from pipelines.answer.cache import AnswerCache
from pipelines.answer.table import labellers
from pipelines.ask.queries import QUERIES, Query
from service.api.formats import BY_SUFFIX, FORMATS
from store.client import Store
from tests.support.places import ROOT

pytestmark = pytest.mark.live

Given = Mapping[str, Sequence[str]]
FILTERED: Given = {
    "from": ["2022-02-03"], "to": ["2024-05-06"], "state": ["texas", "Utah"], "interval": ["quarter"], "limit": ["3"],
    "compare": ["previous_year"],
}  # fmt: skip
NOTHING: Given = {"to": ["2001-01-01"]}
each_query = pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.slug)
each_given = pytest.mark.parametrize("given", [{}, FILTERED, NOTHING], ids=["all", "filtered", "nothing"])
MEASURES = ("transactions", "priced_transactions", "revenue", "average_spend")
TYPES = {
    "interval": pa.date32(), "date": pa.date32(), "hour": pa.int64(), "transactions": pa.int64(),
    "priced_transactions": pa.int64(), "revenue": pa.decimal128(18, 2), "average_spend": pa.decimal128(18, 2),
}  # fmt: skip


def get(client: FlaskClient, path: str, given: Given | None = None, accept: str | None = None) -> TestResponse:
    """The response to a GET, which must succeed."""
    headers = {"Accept": accept} if accept else {}
    response = client.get(f"{path}?{urlencode(given or {}, doseq=True)}", headers=headers)
    assert response.status_code == 200, response.text
    return response


def flat(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The JSON rows, with a column for each figure of a comparison."""
    told = []
    for row in rows:
        one = {name: value for name, value in row.items() if not isinstance(value, dict) and name != "previous"}
        if "change_percent" in row:
            one |= {f"previous_{name}": (row["previous"] or dict.fromkeys(MEASURES))[name] for name in MEASURES}
            one |= {f"change_percent_{name}": value for name, value in row["change_percent"].items()}
        told.append(one)
    return told


@each_given
@each_query
def test_csv_has_the_rows_of_the_json(client: FlaskClient, query: Query, given: Given) -> None:
    """A header, CRLF, an empty field for null, and the same text in every field."""
    rows = flat(get(client, f"/v1/queries/{query.slug}", given).json["rows"])
    response = get(client, f"/v1/queries/{query.slug}.csv", given)
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.headers["Content-Disposition"] == f'attachment; filename="{query.slug}.csv"'
    assert response.text.count("\r\n") == response.text.count("\n") == len(rows) + 1
    header, *lines = csv.reader(io.StringIO(response.text, newline=""), strict=True)
    if rows:
        assert header == list(rows[0])
    assert lines == [["" if value is None else str(value) for value in row.values()] for row in rows]


@each_given
def test_ndjson_has_the_rows_of_the_json(client: FlaskClient, given: Given) -> None:
    """One per line, each as in the reply."""
    for query in QUERIES:
        rows = get(client, f"/v1/queries/{query.slug}", given).json["rows"]
        response = get(client, f"/v1/queries/{query.slug}.ndjson", given)
        assert response.mimetype == "application/x-ndjson"
        assert [json.loads(line) for line in response.text.splitlines()] == rows


def as_table(response: TestResponse) -> pa.Table:
    """The table of an Arrow stream or a Parquet file."""
    if response.mimetype == BY_SUFFIX["arrow"].mimetype:
        return pa.ipc.open_stream(response.data).read_all()
    return pyarrow.parquet.read_table(io.BytesIO(response.data))


def as_text(value: Any) -> Any:
    """A value of a table, as in the JSON."""
    return str(value) if isinstance(value, Decimal | date) else value


@pytest.mark.parametrize("suffix", ["arrow", "parquet"])
@each_given
def test_tables_have_the_rows_of_the_json_with_exact_types(client: FlaskClient, given: Given, suffix: str) -> None:
    """Decimals, dates and 64-bit integers; no double anywhere."""
    for query in QUERIES:
        rows = flat(get(client, f"/v1/queries/{query.slug}", given).json["rows"])
        table = as_table(get(client, f"/v1/queries/{query.slug}.{suffix}", given))
        for field in table.schema:
            wanted = TYPES.get(field.name.removeprefix("previous_"), pa.utf8())
            assert field.type == (pa.decimal128(38, 1) if field.name.startswith("change_percent") else wanted), field
        assert [{name: as_text(value) for name, value in row.items()} for row in table.to_pylist()] == rows


def test_an_exploration_has_every_form(client: FlaskClient) -> None:
    """By suffix and by Accept alike, in the order of its columns."""
    given = {"by": ["hour", "segment"], "state": ["Ohio"]}
    for form in FORMATS:
        by_suffix = get(client, f"/v1/explore.{form.suffix}", given)
        by_accept = get(client, "/v1/explore", given, form.mimetype)
        assert by_suffix.headers["Content-Type"] == by_accept.headers["Content-Type"]
        assert by_suffix.headers["ETag"] == by_accept.headers["ETag"]
        if form.rows:
            assert by_suffix.data == by_accept.data
            assert f'filename="explore.{form.suffix}"' in by_suffix.headers["Content-Disposition"]
    frame = pd.read_csv(io.BytesIO(get(client, "/v1/explore.csv", given).data))
    assert list(frame.columns) == ["hour", "segment", *MEASURES]


@pytest.mark.parametrize(
    ("accept", "mimetype"),
    [
        (None, "application/json"), ("*/*", "application/json"), ("application/*", "application/json"),
        ("text/csv", "text/csv"), ("text/*", "text/csv"), ("TEXT/CSV", "text/csv"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/json"),
        ("text/csv;q=0.5, application/x-ndjson", "application/x-ndjson"),
        ("application/json;q=0.1, text/csv;q=0.2", "text/csv"), ("application/json;q=0, */*", "text/csv"),
        ("application/vnd.apache.parquet", "application/vnd.apache.parquet"),
    ],
)  # fmt: skip
def test_the_accept_header_chooses_the_form(client: FlaskClient, accept: str | None, mimetype: str) -> None:
    """By quality and specificity; JSON if it is as acceptable as others. `Vary` tells caches."""
    response = get(client, "/v1/queries/top-states", accept=accept)
    assert response.mimetype == mimetype
    assert "Accept" in response.headers["Vary"]


@pytest.mark.parametrize("accept", ["text/html", "image/png, text/html", "application/json;q=0", "nonsense"])
@pytest.mark.parametrize("path", ["/v1/queries/top-states", "/v1/explore"])
def test_a_form_that_there_is_not_is_a_406_that_lists_those_that_there_are(
    client: FlaskClient, path: str, accept: str
) -> None:
    """As a problem document."""
    response = client.get(path, headers={"Accept": accept})
    assert (response.status_code, response.mimetype) == (406, "application/problem+json")
    assert response.json["allowed"] == [form.mimetype for form in FORMATS]
    assert "text/csv" in response.json["detail"]


def test_the_suffix_counts_more_than_the_header(client: FlaskClient) -> None:
    """As typed into a browser's address bar."""
    assert get(client, "/v1/queries/top-states.csv", accept="text/html").mimetype == "text/csv"


@pytest.mark.parametrize("path", ["/v1/queries/top-states.xlsx", "/v1/queries/top-stats.csv", "/v1/explore.xml"])
def test_an_unknown_suffix_is_a_404(client: FlaskClient, path: str) -> None:
    """Like any unknown path."""
    assert client.get(path).status_code == 404


def test_etags_differ_by_form(client: FlaskClient) -> None:
    """So that no cache confuses formats; each is 304 for its own."""
    tags = {form.suffix: get(client, f"/v1/queries/top-states.{form.suffix}").headers["ETag"] for form in FORMATS}
    assert len(set(tags.values())) == len(FORMATS)
    for suffix, tag in tags.items():
        for other in tags:
            response = client.get(f"/v1/queries/top-states.{other}", headers={"If-None-Match": tag})
            assert response.status_code == (304 if other == suffix else 200)
            assert "Accept" in response.headers["Vary"]


def test_a_worker_does_not_load_pyarrow_until_it_is_asked_for(loaded: Store) -> None:
    """It takes 100 MB. Tested in a separate process, as this one has loaded it."""
    code = """if True:
        import sys
        from service.app import create_app
        app = create_app()
        for suffix, is_loaded in (("json", False), ("csv", False), ("ndjson", False), ("arrow", True)):
            assert app.test_client().get(f"/v1/queries/top-states.{suffix}").status_code == 200
            assert ("pyarrow" in sys.modules) == is_loaded, suffix
        app.extensions["connection"].close()
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    named = {"DATA_DIR": str(loaded.settings.data_dir), "MONGODB_DATABASE": loaded.settings.database}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=kept | named, check=True, timeout=60)


@pytest.mark.parametrize(
    "label", ["=1+1", "+1", "-x", "@SUM(A1)", "\tx", "\rx", '=HYPERLINK("http://x","y")', "\uff1d1", "\u00a0=1"]
)
def test_a_label_that_a_spreadsheet_would_run_is_harmless_in_csv(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, label: str
) -> None:
    """It is prefixed with an apostrophe; a negative number stays a number."""
    answerer = client.application.extensions["connection"].answerer
    vocabulary = {"segment": [f"{label}{code}" for code in range(len(SEGMENT.members))]}
    monkeypatch.setattr(answerer, "_answers", AnswerCache(0))
    monkeypatch.setattr(
        "pipelines.answer.answerer.arrange", lambda question, cells, _: arrange(question, cells, vocabulary)
    )
    monkeypatch.setattr("pipelines.answer.comparison.labellers", lambda question, _: labellers(question, vocabulary))
    given = {"by": ["segment"], "from": ["2024-01-01"], "compare": ["previous_period"]}
    rows = list(csv.reader(io.StringIO(get(client, "/v1/explore.csv", given).text, newline=""), strict=True))[1:]
    assert rows
    for row in rows:
        assert row[0].startswith(f"'{label}")
    assert any(cell.startswith("-") for row in rows for cell in row[1:])
