"""A new query is one entry: plan, pipelines and exact answer follow from it alone."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from functools import cache
from random import Random
from typing import Any

import bson
import mongomock
import pytest

from catalog.calendar import Period, parse
from catalog.dimensions import date_of, day_number
from catalog.measures import AVERAGE_SPEND, REVENUE, TRANSACTION_COUNT, Parts
from catalog.purchases import AGE_GROUP, DATE, HOUR, PAYMENT_METHOD, PURCHASES, SEGMENT
from pipelines.answer.answer import Answer, arrange
from pipelines.answer.sources import parse_groups
from pipelines.ask.queries import QUERIES, ByKey, Descending, Query
from pipelines.ask.question import PARAMETERS, Interval, Question, Source, ask
from pipelines.ask.sentences import Leader
from pipelines.derived.columns import NULL
from pipelines.derived.groups import Groups, merge
from pipelines.derived.pages import evaluate, pack, unpack
from pipelines.derived.slices import of_month, of_year
from pipelines.plan.choose import plan
from pipelines.plan.compiler import raw_pipeline, rollup_pipeline
from pipelines.plan.reads import PagesRead, RawRead, RollupRead
from pipelines.state.version import Directory, Month, Version
from tests.support.columns import Row, columns_of, random_rows

SEED = 20241231
VOCABULARY = PURCHASES.vocabulary
VERSION = Version("e", 4, 2)

ELEVENTH = Query(
    slug="revenue-by-segment-and-payment-method",
    title="Revenue by Segment and Payment Method",
    question="Which segment pays most by which method?",
    by=(SEGMENT, PAYMENT_METHOD), order=Descending(REVENUE),
    sentence=Leader(REVENUE, "{} brings most"), limit=7,
)  # fmt: skip
BY_DAY = Query("hours-of-days", "", "", (DATE, HOUR), ByKey(), Leader(TRANSACTION_COUNT, "{} is busiest"))
BY_THREE = Query(
    "three",
    "",
    "",
    (AGE_GROUP, SEGMENT, HOUR),
    Descending(AVERAGE_SPEND),
    Leader(TRANSACTION_COUNT, "{}"),
)
NEW = (ELEVENTH, BY_DAY, BY_THREE)
each_new = pytest.mark.parametrize("query", NEW, ids=lambda query: query.slug)


class Small:
    """Two months of 2023 and one of 2024, in mongomock; 2024-01 may be stale."""

    def __init__(self, *, is_stale: bool = False) -> None:
        random = Random(SEED)
        print(f"seed {SEED}")
        self.db = mongomock.MongoClient(tz_aware=True)["eleventh"]
        self.months = [parse(name) for name in ("2023-01", "2023-11", "2024-01")]
        self.rows = {month: random_rows(random, month, 60, states=4) for month in self.months}
        self.pages: dict[Period, list[dict[str, Any]]] = {}
        slices = []
        for month, rows in self.rows.items():
            columns = columns_of(rows)
            self.pages[month] = list(pack(columns, month, 4))
            slices += [bson.decode(each.raw) for each in of_month(columns, month).documents]
            if not (is_stale and month.start.year == 2024):
                self.db.transactions.insert_many([transaction(row) for row in rows])
        of_2023 = [columns_of(self.rows[month]) for month in self.months if month.start.year == 2023]
        slices += [bson.decode(each.raw) for each in of_year(parse("2023"), of_2023).documents]
        self.db.rollups.insert_many(slices)
        if is_stale:  # its derived data are wrong: only its transactions may be read
            self.rows[self.months[-1]] = random_rows(random, self.months[-1], 30)
            self.db.transactions.insert_many([transaction(row) for row in self.rows[self.months[-1]]])
        states = {month: Month(60, 4, 4) for month in self.months}
        if is_stale:
            states[self.months[-1]] = Month(60, 4, 3)
        self.directory = Directory(
            VERSION, states, frozenset((parse("2023"),)), frozenset((parse("2024"),)), VOCABULARY
        )

    def answer(self, question: Question) -> tuple[str, Any]:
        """The source, and the result of `arrange` for what the plan reads."""
        found = plan(question, self.directory)
        cells: dict[tuple[int, ...], Parts] = {}
        for read in found.reads:
            for key, parts in self._read(question, read):
                if question.interval:
                    key = (day_number(question.interval.start(date_of(key[0]))), *key[1:])
                cells[key] = cells.get(key, Parts(0, 0, 0)).merge(parts)
        return found.source, arrange(question, Groups.of(cells, question.width), VOCABULARY)

    def _read(self, question: Question, read: Any) -> Iterable[tuple[tuple[int, ...], Parts]]:
        if isinstance(read, RollupRead):
            found = self.db.rollups.aggregate(rollup_pipeline(question, read))
            yield from parse_groups(question, list(found), is_coded=True).as_dict().items()
        elif isinstance(read, RawRead):
            daily = replace(question, interval=Interval.DAY) if question.interval else question  # no $dateTrunc there
            found = self.db.transactions.aggregate(raw_pipeline(daily, read.first, read.last))
            yield from parse_groups(question, list(found), is_coded=False).as_dict().items()
        elif isinstance(read, PagesRead):
            for piece in read.pieces:
                block = unpack(self.pages[piece.period])
                yield from evaluate(block, question, day_number(piece.first), day_number(piece.last)).as_dict().items()

    def naively(self, question: Question) -> Any:
        """The result of `arrange` for counting row by row."""
        cells: dict[tuple[int, ...], Parts] = {}
        for codes, cents in (row for rows in self.rows.values() for row in rows):
            day = date_of(codes["date"])
            if not (question.first or date.min) <= day <= (question.last or date.max):
                continue
            if any((codes[each.dimension.name] in each.codes) == each.negated for each in question.filters):
                continue
            bucket = (day_number(question.interval.start(day)),) if question.interval else ()
            key = (*bucket, *(codes[each.name] for each in question.query.by))
            cells[key] = cells.get(key, Parts(0, 0, 0)).merge(Parts(1, int(cents != NULL), max(cents, 0)))
        return arrange(question, Groups.of(cells, question.width), VOCABULARY)


small_database = cache(Small)
"""Read-only: creating one takes longer than querying it."""


def transaction(row: Row) -> dict[str, Any]:
    """A transaction with these codes, as stored."""
    codes, cents = row
    fields = {each.field: each.stored(codes[each.name]) for each in PURCHASES.stored}
    return fields | {"amount_cents": None if cents == NULL else cents}


def test_nobody_has_asked_this_before() -> None:
    """Neither its slug nor its dimensions are declared."""
    for query in NEW:
        assert query.slug not in {each.slug for each in QUERIES}
        assert set(query.by) not in [set(each.by) for each in QUERIES]


def test_its_parameters_are_understood() -> None:
    """The same names as for any query, with its own limit."""
    question = ask(ELEVENTH, {"from": ["2023-01-10"], "hour": ["3"], "not_gender": ["male"]}, VOCABULARY)
    assert (question.limit, {each.parameter for each in question.filters}) == (7, {"hour", "not_gender"})
    assert {"segment", "payment_method"} <= set(PARAMETERS)


def test_its_rollup_is_there_already() -> None:
    """A pair of dimensions, read by year and month, without a separate declaration."""
    found = plan(Question(ELEVENTH), small_database(is_stale=False).directory)
    assert [str(read) for read in found.reads] == ["payment_method×segment by month 2024-01, year 2023"]


def test_a_stale_month_of_it_is_read_from_transactions() -> None:
    """As for the declared ten."""
    found = plan(Question(ELEVENTH), small_database(is_stale=True).directory)
    assert found.source == "rollup+raw"


QUESTIONS: dict[str, dict[str, list[str]]] = {
    "all time": {},
    "a range that cuts months": {"from": ["2023-01-10"], "to": ["2024-01-15"]},
    "a filter on a dimension of its own": {"segment": ["Gold", "Basic"], "not_segment": ["Basic"]},
    "a filter on another": {"gender": ["female"]},
    "several": {"not_gender": ["female"], "hour": ["1", "2", "3", "0"], "from": ["2023-01-02"]},
    "by day": {"interval": ["day"]},
    "by week, cut": {"interval": ["week"], "from": ["2023-11-09"]},
    "by month": {"interval": ["month"], "not_payment_method": ["Card"]},
    "by quarter": {"interval": ["quarter"]},
    "by year": {"interval": ["year"]},
    "nothing matches": {"from": ["2001-01-01"], "to": ["2001-02-01"]},
}


@each_new
@pytest.mark.parametrize("is_stale", [False, True], ids=["fresh", "stale"])
def test_every_source_that_may_gives_its_exact_answer(query: Query, is_stale: bool) -> None:
    """Rows, total and sentence are those of counting row by row, for any question."""
    small = small_database(is_stale=is_stale)
    sources: set[str] = set()
    for parameters in QUESTIONS.values():
        expected = small.naively(ask(query, parameters, VOCABULARY))
        for source in (Source.AUTO, Source.RAW, *((Source.PAGES,) if not is_stale else ())):
            read, found = small.answer(ask(query, parameters | {"source": [source.value]}, VOCABULARY))
            assert found == expected, (parameters, read)
            sources |= set(read.split("+"))
    assert {"pages", "raw"} <= sources if not is_stale else {"raw"} <= sources
    assert "rollup" in sources or len(query.by) > 2 or DATE in query.by


def test_the_rollup_alone_answers_what_it_can() -> None:
    """Requested by name: the pair, split by month, filtered on its own dimensions."""
    small = small_database(is_stale=False)
    for name in ("all time", "a filter on a dimension of its own", "by month", "by quarter", "by year"):
        question = ask(ELEVENTH, QUESTIONS[name] | {"source": ["rollup"]}, VOCABULARY)
        source, found = small.answer(question)
        assert source == "rollup"
        assert found == small.naively(question)


def test_a_wrong_cell_would_be_seen() -> None:
    """The comparison can fail: one cent more in one cell changes the answer."""
    small = Small()
    question = Question(ELEVENTH)
    assert small.answer(question)[1] == small.naively(question)
    wrong = next(each for each in small.db.rollups.find() if each["_id"].startswith("2023:segment"))
    wrong["cells"]["payment_method"][0]["r"] += 1
    other = next(each for each in small.db.rollups.find() if each["_id"].startswith("2023:payment_method"))
    for cell in other["cells"]["segment"]:
        cell["r"] += 1
    for each in (wrong, other):
        small.db.rollups.replace_one({"_id": each["_id"]}, each)
    assert small.answer(question)[1] != small.naively(question)


def test_its_columns_follow_from_its_dimensions() -> None:
    """Names and types of a reply."""
    question = Question(BY_DAY, interval=Interval.MONTH)
    rows = arrange(question, merge([], question.width), VOCABULARY).rows
    chosen = plan(question, small_database(is_stale=False).directory)
    found = Answer(question, {}, rows, Parts(0, 0, 0), "", chosen, VERSION, None)  # type: ignore[arg-type]
    names = [(column.name, column.type) for column in found.columns]
    assert names[:3] == [("interval", "date"), ("date", "date"), ("hour", "integer")]
    assert [name for name, _ in names[3:]] == ["transactions", "priced_transactions", "revenue", "average_spend"]
