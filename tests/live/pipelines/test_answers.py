"""Every answer equals the oracle's, cell by cell and to the cent, from every possible source."""

import csv
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, note, seed, settings
from hypothesis import strategies as st

from catalog.dimensions import UNKNOWN
from catalog.errors import SourceRefused
from catalog.purchases import PURCHASES, STATES
from loader.load import Options, load
from pipelines.answer.answerer import Answerer
from pipelines.ask.explore import find_exploration
from pipelines.ask.queries import QUERIES, Descending, Query
from pipelines.ask.question import Comparison, Interval, Source, ask
from pipelines.plan.compiler import raw_pipeline
from store.client import Store
from store.schema import read_vocabulary
from store.settings import Settings
from store.timing import Timer
from tests.support import oracle
from tests.support.places import REAL_FILE

pytestmark = pytest.mark.live

Given = Mapping[str, Sequence[str]]
SEED = int(os.environ.get("ANSWERS_SEED") or time.time_ns() % 2**32)
"""The seed of random data and questions; ANSWERS_SEED=... repeats a run."""

each_query = pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.slug)


@pytest.fixture(scope="module")
def expected(sample: Path) -> pd.DataFrame:
    """The sample, read by the oracle."""
    return oracle.read(sample)


@pytest.fixture(scope="module")
def smaller(
    server: Store, data_dir: Path, sample: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Store, pd.DataFrame]]:
    """A store with some months of the sample, for many questions, and the oracle's reading of it."""
    path = tmp_path_factory.mktemp("smaller") / "smaller.csv"
    header, *lines = sample.read_text().splitlines(keepends=True)
    kept = [line for line in lines if "2019-11-10" < line.split(",")[1] < "2021-03-20"]
    path.write_text(header + "".join(kept))
    with ExitStack() as stack:
        yield _loaded(stack, data_dir, "test-answers-smaller", path), oracle.read(path)


@pytest.fixture(scope="module")
def real(server: Store, data_dir: Path) -> Iterator[Store]:
    """A store with the real file in the older format."""
    if not REAL_FILE.exists():
        pytest.skip("the real file is not here")
    with ExitStack() as stack:
        yield _loaded(stack, data_dir, "test-answers-real", REAL_FILE)


def _loaded(stack: ExitStack, data_dir: Path, database: str, path: Path) -> Store:
    """A store with a file in a new database, which is dropped with the stack."""
    store = stack.enter_context(Store(Settings(database=database, data_dir=data_dir)))
    stack.callback(store.client.drop_database, database)
    report = load(store, path, Options(), 0.0, lambda done, total: None)
    assert (report.status, report.quarantined) == ("complete", 0)
    return store


def check(store: Store, query: Query, given_: Given, wanted: oracle.Answer) -> set[Source]:
    """Compare the answer from each source with the oracle's; returns the sources that refused with a reason."""
    refused = set()
    sentences = set()
    for source in Source:
        question = ask(query, {**given_, "source": [source.value]}, read_vocabulary(store.outside))
        try:
            found = answerer(store).answer([question], Timer())[0]
        except SourceRefused as error:
            if source in (Source.AUTO, Source.RAW) or not error.reasons:
                raise  # these must answer everything; the others must give a reason
            refused.add(source)
            continue
        sentences.add(found.sentence)
        rows = [as_json(record) for record in found.records()]
        assert rows == wanted["rows"], f"rows of {query.slug} {dict(given_)} from {source}"
        assert as_json(found.totals()) == wanted["totals"], f"totals of {query.slug} {dict(given_)} from {source}"
        if "compare" in given_:
            assert found.previous
            told = {"from": str(found.previous.first), "to": str(found.previous.last)}
            assert told == wanted["compared_with"], f"{dict(given_)}"
    assert len(sentences) == 1
    return refused


answerer = cache(Answerer)
"""One for each store, as in a process, with its caches."""


def as_json(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as in the JSON reply."""
    return {
        name: as_json(value)
        if isinstance(value, dict)
        else value
        if isinstance(value, int | str | None)
        else str(value)
        for name, value in record.items()
    }


def test_every_question_that_the_oracle_knows_by_heart_is_asked() -> None:
    """None of the first eleven is missing; an added query is compared as declared."""
    assert {query.slug for query in QUERIES} >= set(oracle.QUESTIONS)


@each_query
def test_the_sample_answers_as_the_oracle_does(loaded: Store, expected: pd.DataFrame, query: Query) -> None:
    """Unfiltered, every source gives the same answer to every query."""
    assert not check(loaded, query, {}, oracle.answer(expected, query.slug, {}))


@each_query
def test_the_real_file_answers_as_the_oracle_does(real: Store, query: Query) -> None:
    """The older format: M/D/YYYY, another column order, an old column name, repeated rows."""
    frame = _frame(REAL_FILE)
    assert len(frame) == 2500
    assert not check(real, query, {}, oracle.answer(frame, query.slug, {}))


@pytest.mark.parametrize("interval", list(Interval))
@each_query
def test_the_real_file_splits_along_time_as_the_oracle_does(real: Store, query: Query, interval: Interval) -> None:
    """Every query along every interval, without a limit of rows."""
    given_ = {"interval": [interval.value], "limit": ["100000"]}
    check(real, query, given_, oracle.answer(_frame(REAL_FILE), query.slug, given_))


_frame = cache(oracle.read)

CASES: Mapping[str, Given] = {
    **{f"one {each.name}": {each.name: [each.members[2]]} for each in PURCHASES.filterable},
    **{
        f"not two of {each.name}": {f"not_{each.name}": [each.members[1], each.members[-1]]}
        for each in PURCHASES.filterable
    },
    "unknown gender": {"gender": ["Unknown"]},
    "no unknown age group": {"not_age_group": ["unknown"]},
    "two states": {"state": ["Alabama", "Wyoming"]},
    "any letter case": {"segment": ["GOLD", "basic"], "payment_method": ["paypal"], "state": ["nEW yORK", "texas"]},
    "a member and its negation": {"gender": ["Male"], "not_gender": ["Male"]},
    "three filters": {"segment": ["Basic"], "gender": ["Female"], "not_referral": ["Referral"]},
    "all nine filters": {
        "segment": ["Basic", "Gold"], "payment_method": ["Card", "PayPal"], "gender": ["Female"], "hour": ["9", "10"],
        "marital_status": ["Married"], "not_state": ["Ohio"], "not_referral": ["Unknown"],
        "employment_status": ["Workers", "self-employed"], "not_age_group": ["Under 18"],
    },
    "one day": {"from": ["2020-02-29"], "to": ["2020-02-29"]},
    "one month": {"from": ["2020-02-01"], "to": ["2020-02-29"]},
    "one year": {"from": ["2020-01-01"], "to": ["2020-12-31"]},
    "cut months at both ends": {"from": ["2019-12-31"], "to": ["2021-02-02"]},
    "from a day on": {"from": ["2020-11-30"]},
    "up to a day": {"to": ["2020-01-31"]},
    "before all data": {"to": ["2017-12-31"]},
    "after all data": {"from": ["2030-01-01"], "to": ["2030-12-31"]},
    "by day": {"interval": ["day"], "from": ["2020-12-25"], "to": ["2021-01-05"]},
    "by week over a year's end": {"interval": ["week"], "from": ["2020-12-24"], "to": ["2021-02-03"]},
    "by month": {"interval": ["month"], "from": ["2019-11-15"], "to": ["2020-03-15"]},
    "by quarter": {"interval": ["quarter"], "from": ["2019-02-03"], "to": ["2021-11-30"]},
    "by year": {"interval": ["year"]},
    "by year of one state": {"interval": ["year"], "state": ["Ohio"], "limit": ["100000"]},
    "a range with filters": {"from": ["2019-12-04"], "to": ["2021-01-03"], "state": ["Texas", "Ohio"], "hour": ["23"]},
    "the best two of each month": {"interval": ["month"], "limit": ["2"]},
    "the best of each week": {"interval": ["week"], "limit": ["1"], "from": ["2020-02-06"]},
    "one row": {"limit": ["1"]},
    "more rows than there are": {"limit": ["100000"]},
    "all beside nothing": {"compare": ["previous_period"]},
    "all beside a year ago": {"compare": ["previous_year"]},
    "a year beside the one before": {
        "compare": ["previous_year"], "from": ["2020-01-01"], "to": ["2020-12-31"], "interval": ["month"],
    },
    "a leap year's days beside the same dates": {
        "compare": ["previous_year"], "from": ["2020-02-20"], "to": ["2020-03-10"], "interval": ["day"],
    },
    "days beside a leap year's": {"compare": ["previous_year"], "from": ["2021-02-20"], "to": ["2021-03-10"]},
    "a leap day beside the 28th": {"compare": ["previous_year"], "from": ["2020-02-29"], "to": ["2020-02-29"]},
    "a leap year's February": {
        "compare": ["previous_period"], "from": ["2020-02-01"], "to": ["2020-02-29"], "interval": ["day"],
    },
    "cut months beside cut months": {
        "compare": ["previous_period"], "from": ["2020-07-17"], "to": ["2021-01-09"], "interval": ["month"],
        "state": ["Texas", "Ohio", "Utah"], "limit": ["3"],
    },
    "weeks beside weeks": {
        "compare": ["previous_period"], "from": ["2020-06-03"], "to": ["2020-08-11"], "interval": ["week"],
    },
    "from a day on, beside as many": {"compare": ["previous_period"], "from": ["2020-12-01"]},
    "up to a day, beside a year ago": {"compare": ["previous_year"], "to": ["2020-03-01"], "interval": ["quarter"]},
    "after all data, beside some": {"compare": ["previous_year"], "from": ["2021-03-01"], "to": ["2021-12-31"]},
    "from a day after all data": {"compare": ["previous_year"], "from": ["2031-03-01"]},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_filters_ranges_and_intervals_answer_as_the_oracle_does(smaller: tuple[Store, pd.DataFrame], case: str) -> None:
    """Each filter, each negation, ranges and intervals, for all queries."""
    store, frame = smaller
    for query in QUERIES:
        check(store, query, CASES[case], oracle.answer(frame, query.slug, CASES[case]))


@pytest.mark.parametrize("case", list(CASES)[::4])
def test_some_of_them_answer_as_the_oracle_does_on_more_data(loaded: Store, expected: pd.DataFrame, case: str) -> None:
    """The same for every fourth case and a query of each kind, on the larger sample."""
    for query in QUERIES[::4]:
        check(loaded, query, CASES[case], oracle.answer(expected, query.slug, CASES[case]))


# Random data and random questions.

COLUMNS = (
    "Transaction_ID", "Transaction_date", "Gender", "Age", "Marital_status", "State_names", "Segment",
    "Employees_status", "Payment_method", "Referral", "Amount_spent",
)  # fmt: skip
FEW_STATES = ("Alabama", "New York", "Texas", "Wyoming")
EDGES = ("2019-12-31", "2020-01-01", "2020-02-28", "2020-02-29", "2020-03-01", "2020-12-31", "2021-01-01", "2021-03-31",
         "2021-04-01", "2023-12-31", "2024-01-01")  # fmt: skip
ROUND_AMOUNTS = ("0", "0.01", "0.02", "0.5", "1", "1.5", "10.10", "99999999.99")


def _dates(random: Random) -> str:
    day = date.fromisoformat(random.choice(EDGES)) + timedelta(days=random.choice((-1, 0, 0, 0, 1)))
    return f"{day}T{random.choice((0, 0, 9, 10, 23)):02}:{random.choice((0, 59)):02}:00.000000"


def _us_dates(random: Random) -> str:
    day = date.fromisoformat(_dates(random)[:10])
    return f"{day.month}/{day.day}/{day.year}"


def _either_date(random: Random) -> str:
    return random.choice((_dates, _us_dates))(random)


def _any_case(random: Random, text: str) -> str:
    return random.choice((text, text.lower(), text.upper()))


DATA: Mapping[str, tuple[int, float, Callable[[Random], str]]] = {
    "three rows": (3, 0.5, _dates),
    "gaps, and dates of both kinds": (60, 0.3, _either_date),
    "ties at the ends of months and years": (200, 0.1, _dates),
    "dates as M/D/YYYY": (200, 0.1, _us_dates),
    "no gaps at all": (120, 0.0, _dates),
    "hardly anything known": (80, 0.9, _either_date),
}
"""Rows, the share of missing values, and how dates are written."""


def write_random(path: Path, kind: str, first: int = 0) -> None:
    """Write a small CSV full of ties, gaps and dates at the edges of months; some rows occur twice."""
    rows, gaps, dates = DATA[kind]
    random = Random(f"{SEED} {kind}")

    def maybe(text: str) -> str:
        return "" if random.random() < gaps else text

    lines = [
        [
            str(number), dates(random), maybe(random.choice(("Female", "Male"))),
            maybe(random.choice(("0", "17", "18", "24", "25", "34", "35", "44", "45", "54", "55", "64", "65", "120"))),
            maybe(random.choice(("Married", "Single"))), maybe(_any_case(random, random.choice(FEW_STATES))),
            maybe(random.choice(("Basic", "Gold", "Missing", "Platinum", "Silver"))),
            maybe(_any_case(random, random.choice(("Employees", "workers", "self-employed", "Unemployment")))),
            maybe(_any_case(random, random.choice(("Card", "Other", "PayPal")))), maybe(random.choice("01")),
            maybe(random.choice(ROUND_AMOUNTS)),
        ]
        for number in range(first, first + rows)
    ]  # fmt: skip
    lines += random.sample(lines, rows // 20)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *lines])


@pytest.fixture(scope="module", params=[*DATA, "half of it stale"])
def random_data(
    request: pytest.FixtureRequest, server: Store, data_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Store, pd.DataFrame]]:
    """Each kind of random data: a store with it, and the oracle's reading of it.

    In the last one, a second file was loaded without a refresh, as in the middle of a load.
    """
    folder = tmp_path_factory.mktemp("random")
    path, more = folder / "random.csv", folder / "more.csv"
    kind = request.param if request.param in DATA else "ties at the ends of months and years"
    write_random(path, kind)
    with ExitStack() as stack:
        number = [*DATA, "half of it stale"].index(request.param)
        store = _loaded(stack, data_dir, f"test-answers-random-{number}", path)
        frame = oracle.read(path)
        if request.param not in DATA:
            write_random(more, "gaps, and dates of both kinds", first=1000)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("loader.load.refresh", lambda store: None)
                load(store, more, Options(), 0.0, lambda done, total: None)
            frame = pd.concat([frame, oracle.read(more)], ignore_index=True)
        yield store, frame


def _members(name: str) -> st.SearchStrategy[list[str]]:
    members = (UNKNOWN, *FEW_STATES, *STATES[:2]) if name == "state" else PURCHASES.by_name[name].members
    return st.lists(st.sampled_from(members), min_size=1, max_size=3, unique=True)


_DAYS = st.builds(
    lambda edge, more: (date.fromisoformat(edge) + timedelta(days=more)).isoformat(),
    st.sampled_from(EDGES),
    st.integers(-1, 1),
)


@st.composite
def questions(draw: st.DrawFn) -> tuple[Query, Given]:
    """Any query with a few random parameters."""
    given_: dict[str, list[str]] = {}
    first, last = draw(st.none() | _DAYS), draw(st.none() | _DAYS)
    if first and last and first > last:
        first, last = last, first
    given_ |= ({"from": [first]} if first else {}) | ({"to": [last]} if last else {})
    for name in draw(st.lists(st.sampled_from(oracle.FILTERS), max_size=3, unique=True)):
        given_[draw(st.sampled_from(("", "not_"))) + name] = draw(_members(name))
    if interval := draw(st.none() | st.sampled_from(list(Interval))):
        given_["interval"] = [interval.value]
    if limit := draw(st.none() | st.integers(1, 30)):
        given_["limit"] = [str(limit)]
    if comparison := draw(st.none() | st.sampled_from(list(Comparison))):
        given_["compare"] = [comparison.value]
    if draw(st.booleans()):
        return draw(st.sampled_from(QUERIES)), given_
    given_["by"] = draw(st.lists(st.sampled_from(list(PURCHASES.by_name)), max_size=3, unique=True))
    return find_exploration(given_.get("by", ())), given_


@seed(SEED)
@settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(asked=questions())
def test_random_questions_of_random_data_answer_as_the_oracle_does(
    random_data: tuple[Store, pd.DataFrame], asked: tuple[Query, Given]
) -> None:
    """Any question on any data, from any source, gets the oracle's answer.

    Any query or other group-by, on some or all of the data, with or without intervals, with or without a comparison.
    """
    note(f"ANSWERS_SEED={SEED}")
    store, frame = random_data
    query, given_ = asked
    check(store, query, given_, oracle.answer(frame, query.slug, given_))


NAMES = tuple(PURCHASES.by_name)
TURNED = [(*NAMES[number:], *NAMES[:number]) for number in range(len(NAMES))]


@pytest.mark.parametrize("by", [(), *(names[:size] for names in TURNED for size in (1, 2, 3))], ids=",".join)
def test_every_dimension_and_neighbours_of_it_answer_as_the_oracle_does(
    smaller: tuple[Store, pd.DataFrame], by: tuple[str, ...]
) -> None:
    """Any group-by, in the requested order, including date and hour, and the total."""
    store, frame = smaller
    for more in ({}, {"interval": ["month"], "limit": ["4"], "from": ["2020-11-20"], "not_state": ["Ohio"]}):
        given_ = {**more, "by": by}
        check(store, find_exploration(given_.get("by", ())), given_, oracle.answer(frame, "explore", given_))


@each_query
def test_all_of_random_data_answers_as_the_oracle_does(random_data: tuple[Store, pd.DataFrame], query: Query) -> None:
    """Unfiltered, with all the ties and gaps."""
    print(f"ANSWERS_SEED={SEED}")
    store, frame = random_data
    check(store, query, {}, oracle.answer(frame, query.slug, {}))


# Properties that equality alone would not show.


def test_amounts_are_stored_as_whole_cents(loaded: Store) -> None:
    """No amount is a double, or a 32-bit number whose sum could overflow early."""
    kinds = loaded.db["transactions"].aggregate([{"$group": {"_id": {"$type": "$amount_cents"}}}])
    assert {each["_id"] for each in kinds} == {"long", "null"}


@each_query
def test_sums_of_money_stay_whole_numbers_in_mongodb(loaded: Store, query: Query) -> None:
    """The sums that MongoDB returns are BSON integers: doubles would be equal only up to a point."""
    pipeline = raw_pipeline(ask(query, {}, read_vocabulary(loaded.outside)), None, None)
    typed = [*pipeline, {"$project": {name: {"$type": f"${name}"} for name in ("n", "p", "r")}}]
    found = list(loaded.db["transactions"].aggregate(typed))
    assert found
    assert {group[name] for group in found for name in ("n", "p", "r")} <= {"int", "long"}
    assert "long" in {group["r"] for group in found}


@each_query
def test_rows_are_totally_ordered(loaded: Store, query: Query) -> None:
    """By the declared measure, then by label: no ties are left to chance."""
    found = answerer(loaded).answer([ask(query, {"limit": ["100000"]}, read_vocabulary(loaded.outside))], Timer())[0]
    keys = [key for key, _ in found.rows]
    assert len(set(keys)) == len(keys)
    if isinstance(query.order, Descending):
        measure = query.order.measure
        ranks = [(-(measure.finish(parts) or 0), key) for key, parts in found.rows]
        assert ranks == sorted(ranks)
    else:
        assert keys == sorted(keys)


def test_groups_of_equal_revenue_stand_in_the_order_of_their_labels(
    server: Store, data_dir: Path, tmp_path: Path
) -> None:
    """A tie is broken by the label, whatever the order of the ids or of the rows in the file."""
    path = tmp_path / "ties.csv"
    states = ("Wyoming", "Texas", "", "Ohio", "Alabama", "New York", "Iowa", "Utah")
    amounts = ("5", "5.00", "5", "5", "5", "5", "5", "")
    lines = [
        f"{number},2020-01-01T10:00:00,,,Single,{state},Basic,workers,Card,,{amount}\n"
        for number, (state, amount) in enumerate(zip(states, amounts, strict=True))
    ]
    path.write_text(",".join(COLUMNS) + "\n" + "".join(lines))
    with ExitStack() as stack:
        store = _loaded(stack, data_dir, "test-answers-ties", path)
        found = answerer(store).answer([ask(QUERIES[4], {"limit": ["9"]}, read_vocabulary(store.outside))], Timer())[0]
        labels = [key[0] for key, _ in found.rows]
    assert labels == ["Alabama", "Iowa", "New York", "Ohio", "Texas", UNKNOWN, "Wyoming", "Utah"]


def test_an_answer_does_not_change_the_data(loaded: Store) -> None:
    """Questions only read: the data version stays."""
    question = ask(QUERIES[0], {}, read_vocabulary(loaded.outside))
    first, second = (Answerer(loaded).answer([question], Timer())[0] for _ in range(2))
    assert first.data_version == second.data_version > 0
