"""Compiled pipelines, by value, and what they can never contain."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from catalog.measures import LIFT
from catalog.purchases import PURCHASES
from pipelines.ask.queries import BY_SLUG, QUERIES
from pipelines.ask.question import FILTER_PARAMETERS, Filter, Interval, Question, ask
from pipelines.plan.compiler import raw_pipeline

VOCABULARY = PURCHASES.vocabulary


def day(year: int, month: int, number: int) -> datetime:
    """The stored form of a date."""
    return datetime(year, month, number, tzinfo=UTC)


def grouped(key: Any) -> dict[str, Any]:
    """The last stage: grouping by `key`, with the accumulators of the parts."""
    return {
        "$group": {
            "_id": key,
            "n": {"$sum": 1},
            "p": {"$sum": {"$cond": [{"$eq": ["$amount_cents", None]}, 0, 1]}},
            "r": {"$sum": "$amount_cents"},
        }
    }


def truncated(unit: str, **more: str) -> dict[str, Any]:
    """The first day of the interval that contains a transaction's day."""
    return {"$dateTrunc": {"date": "$day", "unit": unit, **more}}


CASES: dict[str, tuple[str, dict[str, list[str]], list[dict[str, Any]]]] = {
    "segments": ("revenue-by-segment", {}, [grouped("$segment_id")]),
    "payment methods": ("transactions-by-payment-method", {}, [grouped("$payment_method_id")]),
    "genders": ("average-spend-by-gender", {}, [grouped("$gender")]),
    "marital status": ("revenue-by-marital-status", {}, [grouped("$marital_status")]),
    "states, without a limit: the rest is in the total": ("top-states", {"limit": ["1"]}, [grouped("$state_id")]),
    "referral": ("referral-comparison", {}, [grouped("$referral")]),
    "employment status": ("revenue-by-employment-status", {}, [grouped("$employment_status_id")]),
    "age groups": ("revenue-by-age-group", {}, [grouped("$age_group")]),
    "hours": ("hourly-sales", {}, [grouped("$hour")]),
    "days": ("daily-sales", {}, [grouped("$day")]),
    "everything": ("overall-summary", {}, [grouped(None)]),
    "from": (
        "overall-summary", {"from": ["2024-02-29"]}, [{"$match": {"day": {"$gte": day(2024, 2, 29)}}}, grouped(None)],
    ),
    "to": (
        "overall-summary", {"to": ["2024-12-31"]}, [{"$match": {"day": {"$lte": day(2024, 12, 31)}}}, grouped(None)],
    ),
    "a range": (
        "daily-sales",
        {"from": ["2024-01-15"], "to": ["2024-02-14"]},
        [{"$match": {"day": {"$gte": day(2024, 1, 15), "$lte": day(2024, 2, 14)}}}, grouped("$day")],
    ),
    "a member of a reference is its id": (
        "overall-summary", {"state": ["texas", "Alabama"]}, [{"$match": {"state_id": {"$in": [1, 43]}}}, grouped(None)],
    ),
    "a fixed member is its label": (
        "overall-summary", {"age_group": ["65+", "UNDER 18"]},
        [{"$match": {"age_group": {"$in": ["Under 18", "65+"]}}}, grouped(None)],
    ),
    "an hour is a number": (
        "overall-summary", {"hour": ["23", "0"]}, [{"$match": {"hour": {"$in": [0, 23]}}}, grouped(None)],
    ),
    "a negation": (
        "revenue-by-segment", {"not_segment": ["Missing"]},
        [{"$match": {"segment_id": {"$nin": [3]}}}, grouped("$segment_id")],
    ),
    "a member and a negation of one dimension": (
        "overall-summary", {"not_gender": ["Unknown"], "gender": ["Male"]},
        [{"$match": {"gender": {"$in": ["Male"], "$nin": ["Unknown"]}}}, grouped(None)],
    ),
    "a value given twice counts once": (
        "overall-summary", {"gender": ["male", "Male"]}, [{"$match": {"gender": {"$in": ["Male"]}}}, grouped(None)],
    ),
    "filters and a range": (
        "hourly-sales", {"to": ["2024-01-31"], "referral": ["Referral"]},
        [{"$match": {"referral": {"$in": ["Referral"]}, "day": {"$lte": day(2024, 1, 31)}}}, grouped("$hour")],
    ),
    "by day": (
        "revenue-by-segment", {"interval": ["day"]}, [grouped({"interval": "$day", "segment": "$segment_id"})],
    ),
    "by week, from Monday": (
        "hourly-sales", {"interval": ["week"]},
        [grouped({"interval": truncated("week", startOfWeek="monday"), "hour": "$hour"})],
    ),
    "by month": (
        "top-states", {"interval": ["month"]}, [grouped({"interval": truncated("month"), "state": "$state_id"})],
    ),
    "by quarter": (
        "daily-sales", {"interval": ["quarter"]}, [grouped({"interval": truncated("quarter"), "date": "$day"})],
    ),
    "everything by year": ("overall-summary", {"interval": ["year"]}, [grouped(truncated("year"))]),
}  # fmt: skip


def compiled(slug: str, given: dict[str, list[str]]) -> list[dict[str, Any]]:
    """The pipeline on the transactions for a question given as text."""
    question = ask(BY_SLUG[slug], given, VOCABULARY)
    return raw_pipeline(question, question.first, question.last)


@pytest.mark.parametrize("case", CASES)
def test_a_question_compiles_to_this_pipeline(case: str) -> None:
    """By value: the stages, their order and every literal."""
    slug, given, pipeline = CASES[case]
    assert compiled(slug, given) == pipeline


def test_the_table_shows_the_first_eleven() -> None:
    """None of them is missing; later queries are compared with the oracle and need not be shown here."""
    assert {slug for slug, _, _ in CASES.values()} <= {query.slug for query in QUERIES}
    assert len({slug for slug, _, _ in CASES.values()}) == 11


def literals(node: Any) -> Iterator[Any]:
    """Every value of a pipeline that is neither a mapping nor a list."""
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from literals(inner)
    if not isinstance(node, dict | list):
        yield node


def keys(node: Any) -> Iterator[str]:
    """Every key of a pipeline."""
    if isinstance(node, dict):
        yield from node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from keys(inner)


@pytest.mark.parametrize("interval", [None, *Interval])
@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.slug)
def test_every_literal_is_of_an_allowed_type(query: Any, interval: Interval | None) -> None:
    """Strings, whole numbers, aware dates and null; no doubles, regular expressions, code or binaries."""
    filters = tuple(
        Filter(dimension, (0, len(dimension.members) - 1), negated)
        for dimension in PURCHASES.filterable
        if dimension.is_stored
        for negated in (True, False)
    )
    pipeline = raw_pipeline(Question(query, filters=filters, interval=interval), date(2020, 1, 1), date(2020, 12, 31))
    for value in literals(pipeline):
        assert type(value) in (str, int, datetime, type(None))
        assert not isinstance(value, datetime) or value.tzinfo is UTC
    assert set(filter(lambda key: key.startswith("$"), keys(pipeline))) <= {
        "$match", "$group", "$in", "$nin", "$gte", "$lte", "$sum", "$cond", "$eq", "$dateTrunc",
    }  # fmt: skip


@pytest.mark.parametrize("parameter", FILTER_PARAMETERS)
def test_no_text_of_a_request_gets_into_a_pipeline(parameter: str) -> None:
    """A member in another letter case appears in our own spelling, or as its code."""
    members = PURCHASES.by_name[parameter.removeprefix("not_")].members
    given = [member.swapcase() for member in members]
    inside = {value for value in literals(compiled("overall-summary", {parameter: given})) if isinstance(value, str)}
    assert not {text for text in given if text not in members} & inside
    assert {text for text in inside if not text.startswith("$")} <= set(members)


def test_the_pipeline_lifts_with_the_measures_own_accumulators() -> None:
    """The parts are defined once, and every query uses that."""
    for query in QUERIES:
        group = raw_pipeline(Question(query), None, None)[-1]["$group"]
        assert {name: group[name] for name in LIFT} == LIFT
        assert set(group) == {"_id", *LIFT}


def test_compiling_twice_gives_equal_pipelines_that_share_nothing() -> None:
    """Pure: changing one leaves the other."""
    question = Question(BY_SLUG["overall-summary"], filters=(Filter(PURCHASES.by_name["gender"], (1,)),))
    one, two = raw_pipeline(question, None, None), raw_pipeline(question, None, None)
    assert one == two
    one[0]["$match"]["gender"]["$in"].append("Male")
    assert one != two
    assert question.filters[0].codes == (1,)
