"""Any group-by, comparisons, the dashboard, the vocabulary, the loads and the measured times, over HTTP."""

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlencode

import pandas as pd
import pytest
from flask.testing import FlaskClient

from catalog.purchases import PURCHASES
from loader.load import load
from loader.loads.options import Options
from pipelines.answer.answer import Answer
from pipelines.ask.queries import QUERIES
from pipelines.ask.question import DASHBOARD_PARAMETERS, EXPLORE_PARAMETERS, Comparison, Interval, Source
from service.app import create_app
from service.around.measured import RECENT, Measurements, percentiles
from store.client import Store
from tests.support import oracle

pytestmark = pytest.mark.live

SEED = int(os.environ.get("EXPLORE_SEED") or time.time_ns() % 2**32)
"""The seed of random questions; EXPLORE_SEED=... repeats a run."""

Given = Mapping[str, Sequence[str]]


@pytest.fixture(scope="module")
def expected(sample: Path) -> pd.DataFrame:
    """The sample, read by the oracle."""
    return oracle.read(sample)


def get(client: FlaskClient, path: str, given: Given | None = None) -> Any:
    """The body of a GET with parameters, which must succeed."""
    response = client.get(f"{path}?{urlencode(given or {}, doseq=True)}")
    assert response.status_code == 200, response.text
    return response.json


def random_given(random: Random) -> dict[str, list[str]]:
    """A random group-by, with or without range, filters, interval, comparison, limit and source."""
    given = {"by": random.sample(list(PURCHASES.by_name), random.choice((0, 1, 1, 2, 2, 3)))}
    days = sorted(
        f"{random.randrange(2018, 2025)}-{random.randrange(1, 13):02}-{random.randrange(1, 29):02}" for _ in "12"
    )
    if "date" in given["by"] or random.random() < 0.7:
        given["from"] = days[:1]
        given["to"] = [min(days[1], f"{int(days[0][:4]) + 1}-06-30")]
    for each in random.sample(PURCHASES.filterable, random.choice((0, 1, 2))):
        given[random.choice(("", "not_")) + each.name] = random.sample(each.members, min(2, len(each.members)))
    if random.random() < 0.4:
        given["interval"] = [random.choice(list(Interval)).value]
    if random.random() < 0.4:
        given["compare"] = [random.choice(list(Comparison)).value]
    if random.random() < 0.4:
        given["limit"] = [str(random.choice((1, 3, 50)))]
    if random.random() < 0.5:
        given["source"] = [random.choice((Source.AUTO, Source.RAW, Source.PAGES)).value]
    return given


def test_random_explorations_answer_as_the_oracle_does(client: FlaskClient, expected: pd.DataFrame) -> None:
    """Rows, totals, and compared days, in JSON."""
    random = Random(SEED)
    for _ in range(60):
        given = random_given(random)
        told = f"EXPLORE_SEED={SEED} {given}"
        response = client.get(f"/v1/explore?{urlencode(given, doseq=True)}")
        if response.status_code == 422 and "groups" in response.json["detail"]:
            assert len(given["by"]) == 3, told
            continue
        assert response.status_code == 200, f"{told} {response.text}"
        wanted, body = oracle.answer(expected, "explore", given), response.json
        assert body["rows"] == wanted["rows"], told
        assert body["totals"] == wanted["totals"], told
        assert body["query"].get("compared_with") == wanted.get("compared_with"), told
        keys = [*(["interval"] if "interval" in given else []), *given["by"]]
        assert [column["name"] for column in body["columns"]][: len(keys) + 1] == [*keys, "transactions"], told


def test_the_rows_have_their_columns_in_the_order_of_by(client: FlaskClient) -> None:
    """In the text of the reply, not only in its `columns`."""
    for by in (["state", "gender"], ["gender", "state"], ["hour", "date"]):
        body = client.get(f"/v1/explore?{urlencode({'by': by, 'from': '2024-05-01', 'to': '2024-05-02'}, doseq=True)}")
        row = json.loads(body.text, object_pairs_hook=list)
        rows = dict(row)["rows"]
        assert [name for name, _ in rows[0]][:2] == by


def test_an_exploration_says_what_was_asked(client: FlaskClient) -> None:
    """A title, a question, a sentence, and its parameters as understood."""
    told = get(client, "/v1/explore", {"by": ["segment", "payment_method"], "state": ["oHIO"]})["query"]
    assert told["slug"] == "explore"
    assert told["title"] == "Purchases by customer segment and payment method"
    assert told["filters"] == {"by": ["segment", "payment_method"], "state": ["Ohio"]}
    assert re.fullmatch(r"\w+ / \w+ brings most: \$[\d,.]+ of \$[\d,.]+ \([\d.]+%\)\.", told["answer"])


def test_an_exploration_is_explained(client: FlaskClient) -> None:
    """A pair is read from a rollup, three dimensions from pages; a comparison reads both periods."""
    pair = get(client, "/v1/explore/explain", {"by": ["segment", "state"], "source": ["rollup"]})
    assert (pair["source"], pair["reads"][0]["collection"]) == ("rollup", "rollups")
    three = get(client, "/v1/explore/explain", {"by": ["segment", "state", "gender"]})
    assert three["source"] == "pages"
    assert "three" in three["refused"]["rollup"] or "3 dimensions" in three["refused"]["rollup"]
    range_ = {"from": ["2023-05-01"], "to": ["2023-05-31"], "by": ["segment"]}
    both = get(client, "/v1/explore/explain", {**range_, "compare": ["previous_year"]})
    assert [read["reads"][-7:] for read in both["reads"]] == ["2023-05", "2022-05"]


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        ({"by": ["segment", "segment"]}, "by"), ({"by": ["segment", "state", "hour", "gender"]}, "by"),
        ({"by": ["colour"]}, "by"), ({"by": ["segment,state"]}, "by"), ({"group": ["state"]}, "parameter"),
        ({"compare": ["yesterday"]}, "compare"), ({"compare": ["previous_year"] * 2}, "compare"),
        ({"compare": ["previous_year"], "from": ["0001-05-01"]}, "compare"),
    ],
)  # fmt: skip
def test_an_impossible_exploration_is_told_why(client: FlaskClient, given: Given, parameter: str) -> None:
    """With the parameter and its allowed values."""
    response = client.get(f"/v1/explore?{urlencode(given, doseq=True)}")
    assert (response.status_code, response.json["parameter"]) == (422, parameter)
    if parameter == "parameter":
        assert response.json["allowed"] == list(EXPLORE_PARAMETERS)


def test_an_answer_that_could_be_too_large_is_refused_before_it_is_read(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With fewer transactions than a reply may have rows, every question is allowed."""
    given = {"by": ["date", "hour", "state"], "limit": ["1"], "from": ["2024-12-01"]}
    assert len(get(client, "/v1/explore", {**given, "limit": ["2"]})["rows"]) == 2
    monkeypatch.setattr("pipelines.plan.groups.MAX_REPLY_ROWS", 400)
    for path in ("/v1/explore", "/v1/explore.csv", "/v1/explore/explain"):
        response = client.get(f"{path}?{urlencode(given, doseq=True)}")
        assert response.status_code == 422
        assert "at most 400" in response.json["detail"]
    assert get(client, "/v1/explore", {**given, "to": ["2024-12-02"]})


def test_an_exploration_has_an_etag_of_its_own(client: FlaskClient) -> None:
    """Another order of the dimensions is a different answer; an equal request is 304."""
    tags = [
        client.get(f"/v1/explore?{query}").headers["ETag"]
        for query in (
            "",
            "by=state",
            "by=segment",
            "by=state&by=segment",
            "by=segment&by=state",
            "by=state&compare=previous_year",
        )
    ]  # fmt: skip
    assert len(set(tags)) == len(tags)
    again = client.get("/v1/explore?by=state&by=segment", headers={"If-None-Match": tags[3]})
    assert (again.status_code, again.data) == (304, b"")


def test_the_top_states_of_each_month_are_five(client: FlaskClient, expected: pd.DataFrame) -> None:
    """The query's own limit holds in each interval."""
    given = {"interval": ["month"], "from": ["2024-01-01"], "to": ["2024-12-31"]}
    rows = get(client, "/v1/queries/top-states", given)["rows"]
    assert rows == oracle.answer(expected, "top-states", given)["rows"]
    assert [
        sum(row["interval"] == month for row in rows) for month in dict.fromkeys(row["interval"] for row in rows)
    ] == [5] * 12


# The dashboard.


@pytest.mark.parametrize(
    "given",
    [{}, {"from": ["2023-02-03"], "to": ["2024-01-20"], "state": ["Ohio", "Utah"], "compare": ["previous_year"]}],
    ids=["all", "filtered and compared"],
)
def test_the_dashboard_has_every_answer_as_its_query_gives_it(
    client: FlaskClient, expected: pd.DataFrame, given: Given
) -> None:
    """In the order of the catalogue, each like a separate reply, all of one version and moment."""
    blocks = get(client, "/v1/dashboard", given)["answers"]
    assert [block["query"]["slug"] for block in blocks] == [query.slug for query in QUERIES]
    for block in blocks:
        alone = get(client, f"/v1/queries/{block['query']['slug']}", given)
        assert list(block) == list(alone)
        assert [block[name] for name in ("query", "columns", "rows", "totals")] == [
            alone[name] for name in ("query", "columns", "rows", "totals")
        ]
        wanted = oracle.answer(expected, block["query"]["slug"], given)
        assert (block["rows"], block["totals"]) == (wanted["rows"], wanted["totals"])
    assert len({(block["meta"]["data_version"], json.dumps(block["totals"])) for block in blocks}) == 1


def test_the_dashboard_is_304_until_data_or_question_change(client: FlaskClient) -> None:
    """With its own ETag."""
    first = client.get("/v1/dashboard?state=Ohio")
    tag = {"If-None-Match": first.headers["ETag"]}
    assert client.get("/v1/dashboard?state=OHIO", headers=tag).status_code == 304
    assert client.get("/v1/dashboard?state=Utah", headers=tag).status_code == 200


@pytest.mark.parametrize("name", ["interval", "limit", "source", "by"])
def test_the_dashboard_takes_no_parameter_of_a_single_query(client: FlaskClient, name: str) -> None:
    """422 with the allowed parameters."""
    response = client.get(f"/v1/dashboard?{name}=1")
    assert (response.status_code, response.json["allowed"]) == (422, list(DASHBOARD_PARAMETERS))


def test_the_dashboard_reads_all_in_one_snapshot(
    store: Store, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of its reads sees a load that commits between two of them."""
    header, *lines = sample.read_text().splitlines(keepends=True)
    for name, some in (("first", lines[:2000]), ("second", lines[2000:2500])):
        (tmp_path / f"{name}.csv").write_text(header + "".join(some))
    load(store, tmp_path / "first.csv", Options(), 0.0, lambda done, total: None)
    app = create_app(store.settings)
    loaded = []

    def read_and_load(self: Any, *given: Any) -> Answer:
        answer: Answer = original(self, *given)
        if not loaded:
            loaded.append(load(store, tmp_path / "second.csv", Options(), 0.0, lambda done, total: None))
        return answer

    original = app.extensions["connection"].answerer._make.__func__
    monkeypatch.setattr("pipelines.answer.answerer.Answerer._make", read_and_load)
    try:
        blocks = app.test_client().get("/v1/dashboard").json["answers"]
        assert loaded
        assert {block["totals"]["transactions"] for block in blocks} == {2000}
        assert len({(block["meta"]["data_version"], block["meta"]["as_of"]) for block in blocks}) == 1
        after = app.test_client().get("/v1/dashboard?source=").json
        assert after["status"] == 422
    finally:
        app.extensions["connection"].close()


# The vocabulary, the loads and the times.


def test_the_dimensions_have_their_members_in_the_order_of_the_vocabulary(client: FlaskClient) -> None:
    """All ten; hours as numbers, dates without a list."""
    told = get(client, "/v1/dimensions")["dimensions"]
    assert [each["name"] for each in told] == [each.name for each in PURCHASES.dimensions]
    for each in told:
        assert get(client, f"/v1/dimensions/{each['name']}") == each
        if each["name"] in ("hour", "date"):
            assert each["members"] == (list(range(24)) if each["name"] == "hour" else None)
        else:
            assert each["members"] == list(PURCHASES.by_name[each["name"]].members)
        assert set(each["parameters"]) <= set(EXPLORE_PARAMETERS)
    problem = client.get("/v1/dimensions/sate")
    assert (problem.status_code, problem.json["nearest"]) == (404, "state")


def test_a_member_that_a_load_adds_is_in_the_vocabulary(store: Store, sample: Path, tmp_path: Path) -> None:
    """It is at the end, ordered by code, and works in filters."""
    header, line = sample.read_text().splitlines(keepends=True)[:2]
    path = tmp_path / "new.csv"
    path.write_text(header + line.replace(line.split(",")[5], "Guam"))
    load(store, path, Options(new_members="add"), 0.0, lambda done, total: None)
    app = create_app(store.settings)
    try:
        client = app.test_client()
        assert get(client, "/v1/dimensions/state")["members"] == [*PURCHASES.by_name["state"].members, "Guam"]
        assert get(client, "/v1/explore", {"state": ["guam"]})["totals"]["transactions"] == 1
    finally:
        app.extensions["connection"].close()


def test_the_loads_tell_counts_and_quality_but_no_row_and_no_path(store: Store, sample: Path, tmp_path: Path) -> None:
    """Newest first; every row is accounted for; refused rows are only counted by reason."""
    header, *lines = sample.read_text().splitlines(keepends=True)
    folder = tmp_path / "secret-folder"
    folder.mkdir()
    (folder / "one.csv").write_text(header + "".join(lines[:50]))
    bad = lines[60].replace(lines[60].split(",")[5], "Atlantis-on-Sea")
    (folder / "two.csv").write_text(header + "".join(lines[50:60]) + bad)
    for name in ("one", "two"):
        load(store, folder / f"{name}.csv", Options(), 1.0, lambda done, total: None)
    app = create_app(store.settings)
    try:
        client = app.test_client()
        newest, first = get(client, "/v1/loads")["loads"]
        assert (newest["file"], first["file"]) == ("two.csv", "one.csv")
        assert newest["counts"] == {"read": 11, "inserted": 10, "already_present": 0, "quarantined": 1}
        assert newest["reasons"] == {"state_unknown": 1}
        assert (first["status"], first["counts"]["inserted"]) == ("complete", 50)
        assert first["missing"]
        assert get(client, f"/v1/loads/{first['id']}") == first
        text = client.get("/v1/loads").text + client.get("/v1/loads/nothing").text
        for secret in ("secret-folder", "Atlantis", "session", "holder", str(os.getpid())):
            assert secret not in text, secret
        missing = client.get("/v1/loads/nothing")
        assert (missing.status_code, missing.json["allowed"]) == (404, [newest["id"], first["id"]])
    finally:
        app.extensions["connection"].close()


def test_the_times_are_counted_by_query_and_source(loaded: Store) -> None:
    """First read, then cached, then unchanged; each beside its estimate, for this worker."""
    app = create_app(loaded.settings)
    try:
        client = app.test_client()
        before = get(client, "/v1/performance")
        assert before["measured"] == []
        assert "worker" in before["scope"]
        tag = client.get("/v1/queries/revenue-by-segment").headers["ETag"]
        client.get("/v1/queries/revenue-by-segment.csv")
        client.get("/v1/queries/revenue-by-segment")
        client.get("/v1/queries/revenue-by-segment", headers={"If-None-Match": tag})
        client.get("/v1/queries/revenue-by-segment?source=raw")
        client.get("/v1/queries/revenue-by-segment?state=nowhere")
        client.get("/v1/explore?by=segment")
        told = get(client, "/v1/performance")["measured"]
    finally:
        app.extensions["connection"].close()
    counts = {(each["slug"], each["source"]): each["count"] for each in told}
    segments = "revenue-by-segment"
    assert counts == {
        ("explore", "rollup"): 1, (segments, "kept"): 2, (segments, "raw"): 1, (segments, "rollup"): 1,
        (segments, "unchanged"): 1,
    }  # fmt: skip
    for each in told:
        assert each["recent"] == each["count"]
        assert each["estimate_ms"] == ([25, 40] if each["slug"] == segments else None)
        for times in (each["mongo_ms"], each["total_ms"]):
            assert 0 <= times["p50"] <= times["p95"] <= times["p99"]
        assert each["mongo_ms"]["p50"] <= each["total_ms"]["p50"]


def test_only_the_last_times_are_kept() -> None:
    """Their number is bounded; all are counted."""
    times = Measurements()
    for number in range(RECENT + 100):
        times.add("top-states", "rollup", {"mongo": float(number), "total": number + 1.0})
    (told,) = times.summary()
    assert (told["count"], told["recent"]) == (RECENT + 100, RECENT)
    assert told["mongo_ms"] == percentiles([float(number) for number in range(100, RECENT + 100)])


def test_percentiles_are_by_nearest_rank() -> None:
    """For 1 to 100 they are 50, 95 and 99; for one value, that value."""
    assert percentiles(list(range(100, 0, -1))) == {"p50": 50, "p95": 95, "p99": 99}
    assert percentiles([3.0]) == {"p50": 3.0, "p95": 3.0, "p99": 3.0}
