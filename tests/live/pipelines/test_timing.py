"""The timing suite: the time of each question on the live server, beside its estimate. `make timing` runs it.

It prints a table and writes it to DATA_DIR/timing.json. It asserts ratios within one run and facts of plans;
wall-clock times depend on the machine, so none of them is asserted.
"""

import json
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from catalog.purchases import PURCHASES
from pipelines.answer.answerer import Answerer
from pipelines.ask.queries import QUERIES, Query
from pipelines.ask.question import Filter, Question, Source
from store.client import Store
from store.settings import Settings
from store.timing import Timer

pytestmark = [pytest.mark.live, pytest.mark.timing]

SEED = 11
QUESTIONS = 40
FIRST, LAST = date(2018, 1, 1), date(2025, 1, 30)
NARROW = [query for query in QUERIES if query.slug != "daily-sales"]


@dataclass(frozen=True)
class Row:
    """One line of the table: the milliseconds of MongoDB and of adding up pages."""

    query: str
    scenario: str
    estimate_ms: tuple[int, int] | None
    p50: float
    p95: float
    p99: float
    ping: float
    sources: str
    documents_examined: int
    keys_examined: int
    stages: tuple[str, ...]


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """The database that `make run` fills."""
    with Store(Settings.from_environment()) as filled:
        filled.require_replica_set()
        yield filled


@pytest.fixture(scope="module")
def table(store: Store) -> dict[tuple[str, str], Row]:
    """All measurements, printed and written down."""
    answerer = Answerer(store, answer_rows=0)
    assert not _directory(answerer, store).stale_months, "run `python -m pipelines refresh` first"
    rows = {}
    for query in QUERIES:
        for scenario, questions in _scenarios(query).items():
            cold = scenario.endswith("cold")
            rows[query.slug, scenario] = _measure(store, answerer, query, scenario, questions, cold=cold)
    _tell(list(rows.values()))
    return rows


def test_all_time_answers_read_rollups_through_their_index(table: dict[tuple[str, str], Row]) -> None:
    """No all-time answer scans a collection or examines more documents than it has periods."""
    for query in QUERIES:
        row = table[query.slug, "all time"]
        assert row.sources == "rollup"
        assert "COLLSCAN" not in row.stages
        assert row.documents_examined <= 12 * 10, row


def test_an_all_time_answer_costs_a_few_pings(table: dict[tuple[str, str], Row]) -> None:
    """The ratio to pings in between; the goal is four, and a busy machine may take twice that."""
    rows = [table[query.slug, "all time"] for query in NARROW]
    assert not [row for row in rows if row.p50 > 8 * row.ping]


def test_no_scenario_scans_the_transactions(table: dict[tuple[str, str], Row]) -> None:
    """If nothing is stale, rollups and pages answer everything."""
    assert not [row for row in table.values() if "raw" in row.sources or "COLLSCAN" in row.stages]


def test_a_rollup_is_far_quicker_than_the_transactions(store: Store, table: dict[tuple[str, str], Row]) -> None:
    """The same question from the transactions takes at least twenty times as long."""
    answerer = Answerer(store, answer_rows=0)
    for query in NARROW[:3]:
        raw = Question(query, source=Source.RAW)
        raw_ms = statistics.median(_answer_ms(answerer, raw)[0] for _ in range(3))
        assert raw_ms >= 20 * table[query.slug, "all time"].p50, query.slug


def _directory(answerer: Answerer, store: Store):
    with store.snapshot() as snapshot:
        return answerer.known.as_of(snapshot)


def _scenarios(query: Query) -> dict[str, list[Question]]:
    chosen = random.Random(f"{SEED} {query.slug}")

    def ranged(filters: int) -> Question:
        first = FIRST + timedelta(chosen.randrange((LAST - FIRST).days))
        last = first + timedelta(chosen.randrange((LAST - first).days + 1))
        dimensions = chosen.sample(PURCHASES.filterable, filters)
        conditions = tuple(Filter(each, (chosen.randrange(1, len(each.members)),)) for each in dimensions)
        return Question(query, first, last, conditions)

    one = [ranged(1) for _ in range(QUESTIONS)]
    several = [ranged(chosen.choice((2, 3))) for _ in range(QUESTIONS)]
    return {
        "all time": [Question(query)] * QUESTIONS,
        "any range": [ranged(0) for _ in range(QUESTIONS)],
        "one filter, all time": [replace(each, first=None, last=None) for each in one],
        "one filter, any range": one,
        "several filters, any range": several,
        "several filters, cold": several[: QUESTIONS // 4],
    }


def _measure(
    store: Store, answerer: Answerer, query: Query, scenario: str, questions: list[Question], *, cold: bool
) -> Row:
    sources: set[str] = set()
    spent = []
    pings = []
    for question in questions:
        if not cold:
            _answer_ms(answerer, question)  # warm up the process
        asked = Answerer(store, answer_rows=0) if cold else answerer
        if cold:
            _directory(asked, store)
        ms, source = _answer_ms(asked, question)
        spent.append(ms)
        pings.append(_timed(lambda: store.client.admin.command("ping")))
        sources.add(source)
    explained = [each for *_, each in answerer.explain(questions[0])]
    cuts = statistics.quantiles(spent, n=100, method="inclusive")
    return Row(
        query.slug,
        scenario,
        query.estimate_ms,
        round(statistics.median(spent), 2),
        round(cuts[94], 2),
        round(cuts[98], 2),
        round(statistics.median(pings), 2),
        " ".join(sorted(sources)),
        sum(each.documents_examined or 0 for each in explained),
        sum(each.keys_examined or 0 for each in explained),
        tuple(stage for each in explained for stage in each.stages),
    )


def _answer_ms(answerer: Answerer, question: Question) -> tuple[float, str]:
    timer = Timer()
    found = answerer.answer([question], timer)[0]
    spent = timer.timing_ms()
    return spent.get("mongo", 0) + spent.get("compute", 0), found.plan.source


def _timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1000


def _tell(rows: list[Row]) -> None:
    print(f"\nMongoDB and page time of each question in ms, {QUESTIONS} questions a line, a ping between two of them")
    print(f"{'query':<32}{'scenario':<28}{'estimate':>9}{'p50':>8}{'p95':>8}{'p99':>8}{'ping':>7}{'docs':>7}  sources")
    for row in rows:
        estimate = "-".join(map(str, row.estimate_ms)) if row.estimate_ms else ""
        print(
            f"{row.query:<32}{row.scenario:<28}{estimate:>9}{row.p50:>8.2f}{row.p95:>8.2f}{row.p99:>8.2f}{row.ping:>7.2f}"
            f"{row.documents_examined:>7}  {row.sources}"
        )
    for scenario in dict.fromkeys(row.scenario for row in rows):
        medians = [row.p50 for row in rows if row.scenario == scenario and row.query != "daily-sales"]
        pings = statistics.median(row.ping for row in rows if row.scenario == scenario)
        print(
            f"{scenario:<28} p50 of the queries but daily-sales: {min(medians):.2f} to {max(medians):.2f} ms, "
            f"{min(medians) / pings:.1f} to {max(medians) / pings:.1f} pings"
        )
    folder = Path(os.environ.get("DATA_DIR", "var"))
    document = {"measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    (folder / "timing.json").write_text(json.dumps(document | {"rows": [vars(row) for row in rows]}, indent=2))
