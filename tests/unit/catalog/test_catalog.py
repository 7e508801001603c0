"""The vocabulary of the data: dimensions and their codes, measures, collections, errors."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import errors
from catalog.collections import COLLECTIONS, CUSTOMERS, SIX, TRANSACTIONS
from catalog.dimensions import UNKNOWN, Dimension, date_of, day_number, day_of
from catalog.kinds import NULL
from catalog.measures import Parts
from catalog.purchases import AGE_GROUP, DATE, EMPLOYMENT_STATUS, HOUR, PURCHASES, REFERRAL, STATES

VOCABULARY = PURCHASES.vocabulary
parts = st.builds(Parts, *[st.integers(0, 10**15)] * 3)


@pytest.mark.parametrize(
    ("age", "label"),
    [
        (None, "Unknown"), (0, "Under 18"), (17, "Under 18"), (18, "18-24"), (24, "18-24"), (25, "25-34"),
        (34, "25-34"), (35, "35-44"), (44, "35-44"), (45, "45-54"), (54, "45-54"), (55, "55-64"), (64, "55-64"),
        (65, "65+"), (120, "65+"),
    ],
)  # fmt: skip
def test_an_age_group_begins_and_ends_where_its_label_says(age: int | None, label: str) -> None:
    """Both edges of each group."""
    assert AGE_GROUP.band(NULL if age is None else age) == label
    assert label in AGE_GROUP.members


def test_there_are_fifty_states() -> None:
    """Each occurs once, in alphabetical order."""
    assert len(STATES) == len(set(STATES)) == 50
    assert list(STATES) == sorted(STATES)


@pytest.mark.parametrize("dimension", PURCHASES.filterable, ids=lambda dimension: dimension.name)
def test_members_differ_in_more_than_letter_case(dimension: Dimension) -> None:
    """Filters and fields ignore letter case, so no two members may be equal without it."""
    assert len({member.casefold() for member in dimension.members}) == len(dimension.members)
    if dimension in [each.dimension for each in PURCHASES.attributes]:
        assert dimension.members[0] == UNKNOWN, "code 0 is what is missing"


@pytest.mark.parametrize("dimension", PURCHASES.filterable, ids=lambda dimension: dimension.name)
def test_a_code_is_stored_and_read_back(dimension: Dimension) -> None:
    """Each code survives being stored and has a label, and no two have the same stored value."""
    codes = range(len(dimension.members))
    assert [dimension.code(dimension.stored(code)) for code in codes] == list(codes)
    assert len({dimension.stored(code) for code in codes}) == len(codes)
    labels = [dimension.label_of(code, VOCABULARY) for code in codes]
    assert labels == (list(range(24)) if dimension is HOUR else list(dimension.members))


@given(st.dates(date(1970, 1, 1), date(2100, 1, 1)))
def test_a_day_is_stored_as_its_midnight(day: date) -> None:
    """Day number, stored form and label agree."""
    number = day_number(day)
    assert date_of(number) == day
    assert DATE.stored(number) == day_of(number) == datetime(day.year, day.month, day.day, tzinfo=UTC)
    assert DATE.code(DATE.stored(number)) == number
    assert DATE.label_of(number, VOCABULARY) == day.isoformat()


def test_labels_are_those_of_the_contract() -> None:
    """Clients rely on these names."""
    assert REFERRAL.members == ("Unknown", "Non-referral", "Referral")
    assert set(EMPLOYMENT_STATUS.members) == {"Unknown", "Employees", "Workers", "Self-Employed", "Unemployment"}
    names = [
        "gender", "age_group", "marital_status", "state", "segment", "employment_status", "payment_method", "referral",
        "hour", "date",
    ]  # fmt: skip
    assert [name for name in PURCHASES.by_name if name in names] == names


def test_each_dimension_is_a_field_of_a_transaction() -> None:
    """Every group-by dimension is stored, and references are to reference collections."""
    assert {dimension.field for dimension in PURCHASES.stored} <= set(TRANSACTIONS.properties)
    assert [dimension.collection for dimension in PURCHASES.references] == [
        "states", "segments", "employment_status", "payment_methods",
    ]  # fmt: skip


def test_the_six_collections_are_those_of_the_contract() -> None:
    """Their names, and the fields of the two big ones."""
    assert {collection.name for collection in SIX} == {
        "transactions", "customers", "states", "segments", "employment_status", "payment_methods",
    }  # fmt: skip
    assert set(CUSTOMERS.properties) == {
        "_id", "age", "age_group", "gender", "marital_status", "referral", "state_id", "segment_id",
        "employment_status_id",
    }  # fmt: skip
    assert set(TRANSACTIONS.properties) == set(CUSTOMERS.properties) | {
        "customer_id", "payment_method_id", "transaction_date", "day", "hour", "amount_cents", "load_id",
    }  # fmt: skip
    assert len({collection.name for collection in COLLECTIONS}) == len(COLLECTIONS)


@pytest.mark.parametrize("collection", COLLECTIONS, ids=lambda collection: collection.name)
def test_a_validator_names_every_field_and_no_other(collection: Any) -> None:
    """Each field is described and required unless optional, and no other field is allowed."""
    schema = collection.validator["$jsonSchema"]
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == set(collection.properties) - set(collection.optional)
    assert all(described for described in schema["properties"].values())
    assert set(collection.optional) <= set(collection.properties)


@pytest.mark.parametrize(
    ("value", "allowed", "found"),
    [
        ("texs", ("Texas", "Ohio"), "Texas"),
        ("TEXAS", ("Texas", "Ohio"), "Texas"),
        ("zzz", ("Texas", "Ohio"), None),
        ("x", (), None),
    ],
)
def test_the_nearest_name_is_found_in_any_letter_case(value: str, allowed: tuple[str, ...], found: str | None) -> None:
    """A hint if a name is near, none if it would be a guess."""
    assert errors.nearest(value, allowed) == found


@pytest.mark.parametrize(
    ("error", "exit_code", "said"),
    [
        pytest.param(errors.UnknownName("state", "Texs", ["Texas"]), 2, "Did you mean 'Texas'", id="unknown name"),
        pytest.param(
            errors.BadValue("from", "x", "'x' is not a valid date."),
            2,
            "from: 'x' is not a valid date.",
            id="bad value",
        ),
        pytest.param(errors.SourceRefused("rollup", ["no"]), 2, "Use source=auto", id="source refused"),
        pytest.param(errors.FileRefused("a.csv", "line 1", "it is bad", "Mend it"), 3, "a.csv, line 1:", id="file"),
        pytest.param(errors.LoadError("It stopped", "Go on"), 1, "It stopped. Go on.", id="load"),
        pytest.param(errors.TooManyQuarantined("Many", "Look"), 4, "Many. Look.", id="quarantine"),
        pytest.param(errors.StoreUnavailable("Away", "Start it"), 1, "Away. Start it.", id="store"),
        pytest.param(errors.InternalError("Ours"), 1, "Ours", id="internal"),
    ],
)
def test_an_error_is_one_line_with_an_exit_code(error: errors.AnalyticsError, exit_code: int, said: str) -> None:
    """Commands print it unchanged and exit with its code."""
    assert said in str(error)
    assert "\n" not in str(error)
    assert error.exit_code == exit_code


def test_an_unknown_name_tells_what_is_allowed() -> None:
    """A client can correct its request with the error's fields."""
    error = errors.UnknownName("state", "Texs", ("Texas", "Ohio"))
    assert (error.parameter, error.value, error.allowed, error.nearest) == (
        "state", "Texs", ("Texas", "Ohio"), "Texas",
    )  # fmt: skip
    assert error.status == 422
