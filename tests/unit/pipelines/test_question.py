"""Questions from text: what is accepted, what is refused and how, and that no text gets through."""

import json
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import AnalyticsError, BadValue, UnknownName, UserError
from catalog.purchases import PURCHASES
from pipelines.ask.queries import BY_SLUG, QUERIES
from pipelines.ask.question import FILTER_PARAMETERS, PARAMETERS, Interval, Question, Source, ask, find_query
from pipelines.plan.compiler import raw_pipeline

VOCABULARY = PURCHASES.vocabulary
SUMMARY = BY_SLUG["overall-summary"]


def asked(**parameters: str | list[str]) -> Question:
    """The question for parameters; `from_` stands for `from`."""
    given_ = {name.rstrip("_"): [value] if isinstance(value, str) else value for name, value in parameters.items()}
    return ask(SUMMARY, given_, VOCABULARY)


# What is understood.


def test_no_parameters_ask_for_everything() -> None:
    """No range, no filter, the best source."""
    assert asked() == Question(SUMMARY)


def test_a_range_of_dates_is_understood() -> None:
    """Both ends inclusive; one day is a range."""
    question = asked(from_="2024-02-29", to="2024-02-29")
    assert (question.first, question.last) == (date(2024, 2, 29), date(2024, 2, 29))


@pytest.mark.parametrize("parameter", FILTER_PARAMETERS)
@pytest.mark.parametrize("letters", [str, str.lower, str.upper, str.title, str.swapcase])
def test_members_are_found_in_any_letter_case(parameter: str, letters: Any) -> None:
    """Every member of each dimension, in filters and negated filters."""
    members = PURCHASES.by_name[parameter.removeprefix("not_")].members
    (found,) = asked(**{parameter: [letters(member) for member in members]}).filters
    assert found.codes == tuple(range(len(members)))
    assert found.negated == parameter.startswith("not_")
    assert found.parameter == parameter


def test_values_are_a_set() -> None:
    """Neither order nor repetition changes the question."""
    assert asked(state=["Texas", "ohio", "TEXAS"]) == asked(state=["Ohio", "Texas"])


def test_the_order_of_parameters_does_not_change_the_question() -> None:
    """Equal questions have one canonical form."""
    one = ask(SUMMARY, {"gender": ["Male"], "not_state": ["Ohio"], "to": ["2024-01-01"]}, VOCABULARY)
    two = ask(SUMMARY, {"to": ["2024-01-01"], "not_state": ["Ohio"], "gender": ["Male"]}, VOCABULARY)
    assert one == two
    assert list(one.echo(VOCABULARY)) == list(two.echo(VOCABULARY))


@pytest.mark.parametrize("interval", list(Interval))
def test_every_interval_is_understood(interval: Interval) -> None:
    """By its name."""
    assert asked(interval=interval.value).interval is interval


@pytest.mark.parametrize("source", list(Source))
def test_every_source_is_understood(source: Source) -> None:
    """By its name."""
    assert asked(source=source.value).source is source


@pytest.mark.parametrize(("text", "limit"), [("1", 1), ("5", 5), ("007", 7), ("100000", 100_000)])
def test_a_limit_is_a_whole_number_from_one_up(text: str, limit: int) -> None:
    """Up to the maximum number of rows in a reply."""
    assert asked(limit=text).limit == limit


def test_a_query_has_its_own_limit_until_another_is_given() -> None:
    """The top five states, unless another number is given."""
    states = BY_SLUG["top-states"]
    assert ask(states, {}, VOCABULARY).limit == 5
    assert ask(states, {"limit": ["50"]}, VOCABULARY).limit == 50


def test_the_echo_says_the_parameters_in_their_canonical_form() -> None:
    """Our spelling, not the client's; hours as numbers; a negation under its own name."""
    question = asked(
        from_="2024-01-01", to="2024-12-31", state=["texas", "OHIO"], not_hour=["23", "0"], interval="week", limit="010"
    )
    assert question.echo(VOCABULARY) == {
        "from": "2024-01-01", "to": "2024-12-31", "state": ["Ohio", "Texas"], "not_hour": [0, 23], "interval": "week",
        "limit": 10,
    }  # fmt: skip


def test_the_echo_can_be_asked_again() -> None:
    """The filters in a reply, sent as parameters, are the same question."""
    question = asked(from_="2024-01-01", age_group=["65+"], not_referral=["referral"], interval="day", limit="3")
    again = {
        name: [str(each) for each in value] if isinstance(value, list) else [str(value)]
        for name, value in question.echo(VOCABULARY).items()
    }
    assert ask(SUMMARY, again, VOCABULARY) == question


def test_members_that_a_load_added_can_be_asked_for() -> None:
    """The current vocabulary counts, not the catalog's initial members."""
    grown = VOCABULARY | {"segment": (*VOCABULARY["segment"], "Diamond")}
    (found,) = ask(SUMMARY, {"segment": ["diamond"]}, grown).filters
    assert found.codes == (6,)
    with pytest.raises(UnknownName):
        ask(SUMMARY, {"segment": ["diamond"]}, VOCABULARY)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.slug)
def test_a_query_is_found_by_its_slug(query: Any) -> None:
    """Exactly."""
    assert find_query(query.slug) is query


# What is refused.

NAMES = {
    "a parameter with a typing error": ({"segmnt": ["Gold"]}, "parameter", "segmnt", "segment"),
    "a parameter in capitals": ({"FROM": ["2024-01-01"]}, "parameter", "FROM", "from"),
    "a negation of what cannot be negated": ({"not_from": ["2024-01-01"]}, "parameter", "not_from", None),
    "a date is no filter": ({"date": ["2024-01-01"]}, "parameter", "date", None),
    "a member with a typing error": ({"state": ["Texs"]}, "state", "Texs", "Texas"),
    "a second value that is wrong": ({"state": ["Texas", "Ohioo"]}, "state", "Ohioo", "Ohio"),
    "a negated member with a typing error": ({"not_gender": ["femal"]}, "not_gender", "femal", "Female"),
    "a member of another dimension": ({"gender": ["Gold"]}, "gender", "Gold", None),
    "an hour with a leading zero": ({"hour": ["07"]}, "hour", "07", None),
    "an hour that no day has": ({"hour": ["24"]}, "hour", "24", None),
    "a member with a space": ({"segment": [" Gold"]}, "segment", " Gold", "Gold"),
    "an empty member": ({"segment": [""]}, "segment", "", None),
    "full-width digits for an hour": ({"hour": ["\uff19"]}, "hour", "\uff19", None),
    "an interval with a typing error": ({"interval": ["mnth"]}, "interval", "mnth", "month"),
    "an empty interval": ({"interval": [""]}, "interval", "", None),
    "an unknown source": ({"source": ["cache"]}, "source", "cache", None),
    "a source with a typing error": ({"source": ["rwa"]}, "source", "rwa", "raw"),
}


@pytest.mark.parametrize("case", NAMES)
def test_an_unknown_name_is_refused_with_the_allowed_ones_and_the_nearest(case: str) -> None:
    """The error contains the parameter, the value, all allowed values, and the one that was probably meant."""
    parameters, place, value, near = NAMES[case]
    with pytest.raises(UnknownName) as caught:
        ask(SUMMARY, parameters, VOCABULARY)
    error = caught.value
    assert (error.parameter, error.value) == (place, value)
    if near:
        assert error.nearest == near
        assert f"Did you mean {near!r}?" in str(error)
    expected: dict[str, Any] = {"parameter": PARAMETERS, "interval": [*Interval], "source": [*Source]}
    every = tuple(expected.get(place) or PURCHASES.by_name[place.removeprefix("not_")].members)
    assert error.allowed == every[:50]
    if len(every) > 50:  # the states
        assert f"and 1 more; all 51 are listed at /v1/dimensions/{place.removeprefix('not_')}" in str(error)
    assert all(str(name) in str(error) for name in error.allowed)
    assert (error.status, error.exit_code) == (422, 2)


def test_an_unknown_query_is_refused_with_the_allowed_ones_and_the_nearest() -> None:
    """The nearest by its letters."""
    with pytest.raises(UnknownName) as caught:
        find_query("top-state")
    assert caught.value.nearest == "top-states"
    assert caught.value.allowed == tuple(query.slug for query in QUERIES)


DATES = [
    pytest.param("20240105", id="ISO without dashes"),
    pytest.param("2024-W01-5", id="ISO week"),
    pytest.param("2024-005", id="ISO day of the year"),
    pytest.param("2024-02-30", id="30 February"),
    pytest.param("2023-02-29", id="29 February of a common year"),
    pytest.param("1900-02-29", id="29 February of a common century"),
    pytest.param("2024-13-01", id="month 13"),
    pytest.param("2024-00-10", id="month 0"),
    pytest.param("2024-01-00", id="day 0"),
    pytest.param("0000-01-01", id="year 0"),
    pytest.param("\uff12\uff10\uff12\uff14-01-05", id="full-width digits"),
    pytest.param("\u0662\u0660\u0662\u0664-\u0660\u0661-\u0660\u0665", id="Arabic digits"),
    pytest.param("2024\u201001\u201005", id="hyphens that are no ASCII"),
    pytest.param("2024-1-5", id="single digits"),
    pytest.param("24-01-05", id="two-digit year"),
    pytest.param("12024-01-05", id="five-digit year"),
    pytest.param("+2024-01-05", id="sign"),
    pytest.param("-2024-01-05", id="negative year"),
    pytest.param("1/5/2024", id="M/D/YYYY"),
    pytest.param("05.01.2024", id="D.M.YYYY"),
    pytest.param("2024/01/05", id="slashes"),
    pytest.param("2024-01-05T00:00:00", id="with a time"),
    pytest.param(" 2024-01-05", id="space before"),
    pytest.param("2024-01-05 ", id="space after"),
    pytest.param("2024-01-05\n", id="line end after"),
    pytest.param("2024-01-05\x00", id="NUL after"),
    pytest.param("today", id="a word"),
    pytest.param("1704412800", id="Unix time"),
    pytest.param("", id="empty"),
]


@pytest.mark.parametrize("parameter", ["from", "to"])
@pytest.mark.parametrize("text", DATES)
def test_a_date_that_is_none_is_refused(parameter: str, text: str) -> None:
    """Only YYYY-MM-DD in ASCII, and only existing days: nothing is guessed or ignored."""
    with pytest.raises(BadValue) as caught:
        ask(SUMMARY, {parameter: [text]}, VOCABULARY)
    assert (caught.value.parameter, caught.value.value) == (parameter, text)
    assert "YYYY-MM-DD" in str(caught.value)


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    """It is empty by mistake, not on purpose."""
    with pytest.raises(BadValue, match=r"from: 2024-01-02 is after `to` \(2024-01-01\)\."):
        asked(from_="2024-01-02", to="2024-01-01")


@pytest.mark.parametrize(
    "text",
    [
        "0", "-1", "+1", "1.0", "1e3", "1_000", "100001", "1000000", " 1", "1 ", "1\n", "", "all", "0x10", "\uff11",
        "\u00b2", "9" * 5000, "NaN", "None",
    ],
    ids=lambda text: ascii(text)[:12],
)  # fmt: skip
def test_a_limit_that_is_no_whole_number_in_range_is_refused(text: str) -> None:
    """Only ASCII digits, from 1 to the maximum number of rows; the error says so."""
    with pytest.raises(BadValue, match="a whole number from 1 to 100,000") as caught:
        asked(limit=text)
    assert caught.value.parameter == "limit"


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("from", "2024-01-01"), ("to", "2024-01-01"), ("interval", "day"), ("limit", "3"), ("source", "raw")],
)
@pytest.mark.parametrize("times", [2, 3])
def test_a_parameter_of_one_value_given_more_often_is_refused(parameter: str, value: str, times: int) -> None:
    """Even the same value: which of them counts is never guessed."""
    with pytest.raises(BadValue, match=f"{parameter}: {times} values were given, only one is allowed.") as caught:
        asked(**{parameter: [value] * times})
    assert caught.value.parameter == parameter


# What tries to get through.

PAYLOADS = (
    "$ne", "$gt", "$where", "$regex", "$expr", "$function", "$accumulator", "$out", "$merge", "$lookup", "$unionWith",
    "$$ROOT", "$$CURRENT", "$amount_cents", "$segment_id", "a.b", "segment.0", "__proto__", "constructor.prototype",
    '{"$gt":""}', '{"$ne":null}', '{"$where":"sleep(1000)"}', '{"$regex":".*"}', '[{"$out":"x"}]', '{"$oid":"0"}',
    '{"$date":0}', '{"$numberLong":"1"}', "[$ne]", "[]", "{}", "null", "true", "undefined", "NaN", "Infinity", "-1",
    "1e9", "0x1F", "1;return true", "';return true;var a='", "\" || 1==1 //", "'; db.dropDatabase(); //", "1 OR 1=1",
    "' OR '1'='1", "'; DROP TABLE transactions; --", "Gold'--", "/.*/", "^", ".*", "Gold|Basic", "Gold,Basic",
    "Gold\x00", "\x00", "\x00$ne", "\x1b[31m", "\r\nSet-Cookie: a=b", "%00", "%24ne", "..%2f", "../../etc/passwd",
    "{{7*7}}", "${7*7}", "<script>alert(1)</script>", "\ufeffGold", "Go\u200bld", "\u202eGold", "\ud83d\ude00",
    "\uff04ne", "G\u00f6ld", "* ", "Texas ", "2024-01-01|", "function(){return true}", "ObjectId('0')", "ISODate()",
    "\\u0024ne", "\t", "\n", "A" * 10_000,
)  # fmt: skip
OURS = {"monday", *Interval, *(member for dimension in PURCHASES.filterable for member in dimension.members)}


def strings(node: Any) -> Iterator[str]:
    """Every string in a pipeline, keys included."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield key
            yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)
    elif isinstance(node, str):
        yield node


FIELDS = {dimension.field for dimension in PURCHASES.by_name.values()} | {"amount_cents"}
OPERATORS = set(
    strings(raw_pipeline(ask(SUMMARY, {"state": ["Ohio"], "not_state": ["Ohio"]}, VOCABULARY), date.min, date.max))
)


def test_there_are_enough_payloads() -> None:
    """At least sixty different ones, none of them a member."""
    assert len(set(PAYLOADS)) >= 60
    assert not {payload.casefold() for payload in PAYLOADS} & {member.casefold() for member in OURS}


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_an_injection_as_a_value_never_reaches_a_pipeline(parameter: str) -> None:
    """It is refused, alone and together with a valid value; the error is ours and safe to show."""
    good = {"from": "2024-01-01", "to": "2024-01-01", "interval": "day", "limit": "1", "source": "auto"}
    good["compare"] = "previous_year"
    fine = good.get(parameter) or PURCHASES.by_name[parameter.removeprefix("not_")].members[0]
    for payload in PAYLOADS:
        for values in ([payload], [fine, payload], [payload, fine]):
            with pytest.raises(UserError) as caught:
                ask(SUMMARY, {parameter: values}, VOCABULARY)
            assert caught.value.status == 422


def test_an_injection_as_a_parameters_name_never_reaches_a_pipeline() -> None:
    """Including the nesting notations of PHP and Express."""
    for payload in PAYLOADS:
        for name in (payload, f"segment[{payload}]", f"segment.{payload}", f"not_{payload}", f"{payload}segment"):
            with pytest.raises(UnknownName) as caught:
                ask(SUMMARY, {name: ["Gold"]}, VOCABULARY)
            assert caught.value.parameter == "parameter"


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(PARAMETERS), st.lists(st.text() | st.sampled_from(PAYLOADS), max_size=2)))
def test_whatever_text_is_given_the_pipeline_is_made_of_our_own_words(parameters: dict[str, list[str]]) -> None:
    """Either one of our errors, or a pipeline in which every string is a field, an operator or a member."""
    try:
        question = ask(SUMMARY, parameters, VOCABULARY)
    except AnalyticsError:
        return
    pipeline = raw_pipeline(question, question.first, question.last)
    assert set(strings(pipeline)) <= OURS | OPERATORS | FIELDS | {f"${field}" for field in FIELDS} | {
        "$dateTrunc", "date", "unit", "startOfWeek",
    }  # fmt: skip
    json.dumps(pipeline, default=lambda value: value.isoformat() if isinstance(value, datetime) else 1 / 0)


@settings(deadline=None)
@given(st.text(max_size=12))
def test_any_text_as_a_date_is_a_date_or_refused(text: str) -> None:
    """There is no other kind of error, and an accepted date is exactly the given one."""
    try:
        found = asked(from_=text).first
    except BadValue:
        return
    assert found is not None
    assert found.isoformat() == text
