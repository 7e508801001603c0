"""The declaration of the data set: what follows from an entry, and what makes stored sums stale."""

from dataclasses import replace
from datetime import date
from typing import Any

import bson
import pytest

from catalog.dataset import Dataset
from catalog.dimensions import UNKNOWN, DatePart, date_of, day_number, day_of
from catalog.errors import InternalError
from catalog.kinds import NULL, Banded, Home, Listed, Referred
from catalog.purchases import AGE, AGE_GROUP, GENDER, PURCHASES, REFERRAL, STATE
from loader.reading import fields
from loader.reading.members import Members
from pipelines.ask.question import Filter
from pipelines.derived import columns
from pipelines.plan import compiler
from pipelines.plan.compiler import match_transactions
from tests.support.encoded import reply_of

QUARTER = DatePart(
    name="a_quarter", label="Quarter", members=("Q1", "Q2", "Q3", "Q4"), part=lambda day: (day.month - 1) // 3,
    formula=lambda day: {"$floor": {"$divide": [{"$subtract": [{"$month": day}, 1]}, 3]}},
)  # fmt: skip
CHANNEL = Referred(
    name="channel", label="Channel", column="Channel", home=Home.TRANSACTION, collection="channels",
    members=(UNKNOWN, "Shop", "Web"), optional=True,
)  # fmt: skip


def with_one(former: Any, new: Any) -> Dataset:
    """The data set with one attribute in place of another."""
    return replace(PURCHASES, attributes=tuple(new if each is former else each for each in PURCHASES.attributes))


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(replace(PURCHASES, attributes=(*PURCHASES.attributes, CHANNEL)), id="a column more"),
        pytest.param(replace(PURCHASES, attributes=PURCHASES.attributes[1:]), id="a column less"),
        pytest.param(replace(PURCHASES, parts=(*PURCHASES.parts, QUARTER)), id="a dimension more"),
        pytest.param(with_one(GENDER, replace(GENDER, members=(*GENDER.members, "Other"))), id="a label more"),
        pytest.param(with_one(GENDER, replace(GENDER, members=(UNKNOWN, "Male", "Female"))), id="other codes"),
        pytest.param(with_one(GENDER, replace(GENDER, name="sex")), id="another name"),
        pytest.param(
            with_one(AGE, replace(AGE, bands=replace(AGE_GROUP, bounds=(18, 25, 35, 45, 55, 66)))), id="another bound"
        ),
    ],
)
def test_what_changes_sums_has_another_fingerprint(changed: Dataset) -> None:
    """Data built under the former one are then stale."""
    assert changed.fingerprint != PURCHASES.fingerprint


@pytest.mark.parametrize(
    "same",
    [
        pytest.param(replace(PURCHASES), id="declared again"),
        pytest.param(with_one(GENDER, replace(GENDER, label="Sex", spellings=("Sex",))), id="what people read"),
        pytest.param(with_one(GENDER, replace(GENDER, shares={}, missing=0.5)), id="the sample"),
        pytest.param(with_one(STATE, replace(STATE, members=(*STATE.members, "Guam"))), id="the first members"),
    ],
)
def test_what_changes_no_sum_has_the_same_fingerprint(same: Dataset) -> None:
    """Nothing is rebuilt; the members of an open dimension are those of the database."""
    assert same.fingerprint == PURCHASES.fingerprint


def test_another_formula_has_another_fingerprint() -> None:
    """The fingerprint covers the meaning of a part of the date."""
    other = replace(QUARTER, formula=lambda day: {"$month": day})
    one, two = (replace(PURCHASES, parts=(part,)) for part in (QUARTER, other))
    assert one.fingerprint != two.fingerprint


@pytest.mark.parametrize("attribute", PURCHASES.attributes, ids=lambda attribute: attribute.name)
def test_the_sample_writes_what_is_read(attribute: Any) -> None:
    """Each text of the sample is read as a known member, and the shares add up."""
    if isinstance(attribute, Banded):
        assert all(fields.number(attribute, str(each)) == each for each in attribute.sample)
        return
    texts = list(attribute.shares or attribute.texts)
    members = Members(attribute, attribute.members)
    codes = [fields.written(attribute, text) if attribute.written else members.find(text) for text in texts]
    assert sorted(codes) == list(range(1, len(attribute.members))), "each once, and none of them is Unknown"
    if attribute.shares:
        assert sum(attribute.shares.values()) + attribute.missing == pytest.approx(1)


def test_names_fields_and_columns_are_there_once() -> None:
    """No two entries share one."""
    said = [name.casefold() for each in PURCHASES.columns for name in (each.column, *each.spellings)]
    named = [field for each in PURCHASES.columns for field in each.properties]
    for names in (said, named, [each.name for each in PURCHASES.columns], [each.name for each in PURCHASES.dimensions]):
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("attribute", PURCHASES.attributes, ids=lambda attribute: attribute.name)
def test_a_document_says_what_was_read(attribute: Any) -> None:
    """The fields of each number are those of the validator, and the dimension's code follows from them."""
    for number in range(attribute.empty, attribute.empty + attribute.size):
        document = attribute.document(number)
        assert document.keys() == attribute.properties.keys()
        if isinstance(attribute, Listed):
            assert attribute.code(document[attribute.field]) == number
    assert attribute.dimension.code(None) == 0


def test_a_filter_on_unknown_takes_documents_without_the_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """They were loaded before it was declared. A field that is not optional is always present."""
    monkeypatch.setattr(compiler, "PURCHASES", with_one(GENDER, CHANNEL))
    assert match_transactions((Filter(CHANNEL, (0, 2)),), None, None) == {"channel_id": {"$in": [0, 2, None]}}
    assert match_transactions((Filter(GENDER, (0,), negated=True),), None, None) == {"gender": {"$nin": ["Unknown"]}}
    assert match_transactions((Filter(PURCHASES.clock.hour, (0,)),), None, None) == {"hour": {"$in": [0]}}


def test_a_filter_on_a_part_of_the_date_is_an_expression() -> None:
    """Several of them are combined."""
    filters = (Filter(QUARTER, (0, 3)), Filter(QUARTER, (3,), negated=True))
    formula = QUARTER.formula("$day")
    assert match_transactions(filters, None, None) == {
        "$expr": {"$and": [{"$in": [formula, [0, 3]]}, {"$not": [{"$in": [formula, [3]]}]}]}
    }


@pytest.mark.parametrize("number", [day_number(date(2024, month, 15)) for month in range(1, 13)])
def test_a_part_of_the_date_follows_from_its_day(number: int) -> None:
    """As in the calendar."""
    assert QUARTER.members[QUARTER.code_of_day(number)] == f"Q{(date_of(number).month + 2) // 3}"


def transaction(**other: Any) -> dict[str, Any]:
    """A transaction as it is read for columns; its last field is `referral`."""
    unknown = {name: value for each in PURCHASES.attributes for name, value in each.document(each.empty).items()}
    known = {"day": day_of(0), "hour": 3, "amount_cents": bson.Int64(5), **unknown}
    del known["age"], known["referral"]
    return known | other


LACKING, WITH, TURNED = transaction(), transaction(referral="Referral"), {"referral": "Non-referral"} | transaction()


@pytest.mark.parametrize(
    ("documents", "codes"),
    [
        pytest.param([LACKING, LACKING], [0, 0], id="none has it"),
        pytest.param([LACKING, WITH], [0, 2], id="only the last has it, as its last field"),
        pytest.param([WITH, LACKING, WITH], [2, 0, 2], id="the first has it"),
        pytest.param([TURNED, WITH], [1, 2], id="in another order"),
    ],
)
def test_documents_without_a_field_are_read_as_unknown(
    monkeypatch: pytest.MonkeyPatch, documents: list[dict[str, Any]], codes: list[int]
) -> None:
    """Whichever documents of a reply lack an optional field."""
    later = replace(REFERRAL, optional=True)
    monkeypatch.setattr(columns, "PURCHASES", with_one(REFERRAL, later))
    monkeypatch.setitem(columns._BY_FIELD, "referral", later)
    found = columns._decode(reply_of(documents))
    assert found["referral"].tolist() == codes
    assert found["hour"].tolist() == [3] * len(documents)
    assert found["amount_cents"].tolist() == [5] * len(documents)
    assert found.keys() == {"amount_cents", *(each.name for each in PURCHASES.stored)}


@pytest.mark.parametrize("field", ["day", "hour", "segment_id"])
def test_a_transaction_without_a_field_that_is_not_optional_is_a_fault(field: str) -> None:
    """These fields were always present: nothing replaces them."""
    document = transaction(referral="Referral")
    del document[field]
    with pytest.raises(Exception, match=f"The field {field} of a transaction does not satisfy"):
        columns._decode(reply_of([document]))


@pytest.mark.parametrize(
    ("field", "stored"),
    [("day", "2024-01-01"), ("hour", 3.0), ("hour", None), ("segment_id", bson.Int64(1)), ("gender", "Other"),
     ("referral", 1), ("amount_cents", 5.0)],
)  # fmt: skip
def test_a_transaction_with_a_field_of_another_type_is_a_fault(field: str, stored: Any) -> None:
    """Also beside one that is right."""
    right = transaction(referral="Referral")
    for documents in ([right | {field: stored}], [right, right | {field: stored}]):
        with pytest.raises(InternalError, match=f"The field {field} of a transaction does not satisfy"):
            columns._decode(reply_of(documents))


def test_the_bands_of_a_number_have_no_gap() -> None:
    """From the smallest to the largest; an unknown number is in none."""
    assert AGE_GROUP.band(NULL) == UNKNOWN
    assert {AGE_GROUP.band(age) for age in range(AGE.most + 1)} == set(AGE_GROUP.members[1:])
