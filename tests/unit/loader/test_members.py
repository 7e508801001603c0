"""The members of a dimension while a file is read: found, added, refused, all in linear time."""

import sys
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from catalog.dimensions import Dimension, day_number
from catalog.errors import UnknownName, nearest
from catalog.kinds import MAX_MEMBERS
from catalog.purchases import GENDER, PURCHASES, SEGMENT, STATE
from loader.reading import members as module
from loader.reading.clean import Clean, Cleaner, Refused
from loader.reading.files import Chunk
from loader.reading.header import Header
from loader.reading.members import MAX_HINTS, Members, NewMember

VOCABULARY = PURCHASES.vocabulary
TEXAS, NEXT = STATE.members.index("Texas"), len(STATE.members)
UNKNOWN = ["Unknown", "unknown", "UNKNOWN", "uNkNoWn", ""]
ALIKE = {
    "full-width": "\uff34\uff45\uff58\uff41\uff53",
    "another space at the end": "Texas\u00a0",
    "a full-width letter": "Texa\uff53",
}


def cleaner(**more: Any) -> Cleaner:
    """A cleaner that adds new members."""
    header = Header(PURCHASES.header, tuple(range(len(PURCHASES.header))))
    return Cleaner(header, VOCABULARY, ZoneInfo("UTC"), day_number(date(2026, 1, 2)), **{"add_members": True, **more})


def row(number: int, **fields: str) -> str:
    """A line of a file."""
    given = {"state": "Ohio", "segment": "Gold", "amount": "1.50"} | fields
    return (
        f"{number},2024-01-01T00:00:00,Male,30,Single,{given['state']},{given['segment']},Workers,Card,0,"
        f"{given['amount']}"
    )


def clean(cleaner: Cleaner, *lines: str) -> Clean:
    """The lines cleaned as one chunk."""
    return cleaner.clean(Chunk(list(range(2, 2 + len(lines))), [line.encode() for line in lines], None, 0, 0))


def refused(found: Clean) -> Refused:
    """The only refused row."""
    (only,) = found.refused
    return only


@pytest.mark.parametrize("text", UNKNOWN)
@pytest.mark.parametrize("dimension", [*PURCHASES.references, GENDER], ids=lambda dimension: dimension.name)
@pytest.mark.parametrize("may_grow", [False, True], ids=["refuse", "add"])
def test_the_literal_unknown_is_what_an_empty_field_is(dimension: Dimension, text: str, may_grow: bool) -> None:
    """Code 0, in any letter case, and never a separate member."""
    members = Members(dimension, dimension.members, may_grow=may_grow)
    assert members.code(text) == 0
    members.settle()
    assert members.take_added() == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("Guam", "GUAM", id="letter case"),
        pytest.param("Qu\u00e9bec", "Que\u0301bec", id="composed, decomposed"),
        pytest.param("Que\u0301bec", "QU\u00c9BEC", id="decomposed, composed"),
        pytest.param("Stra\u00dfe", "STRASSE", id="a sharp s"),
    ],
)
def test_one_name_in_two_forms_makes_one_member(first: str, second: str) -> None:
    """In one chunk and across chunks; the name is stored in composed form."""
    reading = cleaner()
    found = clean(reading, row(1, state=first), row(2, state=second))
    again = clean(reading, row(3, state=second), row(4, state=first))
    assert [len(each.new_members) for each in (found, again)] == [1, 0]
    assert {*found.columns["state"].tolist(), *again.columns["state"].tolist()} == {NEXT}
    assert found.new_members[0].name in ("Guam", "Qu\u00e9bec", "Stra\u00dfe")


@pytest.mark.parametrize("text", ALIKE.values(), ids=ALIKE)
def test_what_looks_like_a_member_is_refused_and_told_so(text: str) -> None:
    """Nothing is guessed: it is neither added nor treated as the member; if nothing may be added, it is the hint."""
    found = clean(cleaner(), row(1), row(2, state=text))
    assert (refused(found).reason, found.new_members) == ("state_look_alike", ())
    assert "looks like the existing state 'Texas'" in refused(found).message
    strict = refused(clean(cleaner(add_members=False), row(1, state=text)))
    assert strict.reason == "state_unknown"
    assert "did you mean Texas?" in strict.message


def test_a_look_alike_of_another_script_is_refused() -> None:
    """Cyrillic letters that all look Latin; also compared with a name that the same file has just added."""
    found = clean(cleaner(), row(1, state="COMO"), row(2, state="\u0421\u041e\u041c\u041e"))
    assert refused(found).reason == "state_look_alike"
    assert [each.name for each in found.new_members] == ["COMO"]


@pytest.mark.parametrize("text", ["T\u0435xas", "\u00a0", "Te\u034fxas", "\u3164", "\u13a1\u13aa", "Guam\ue000"])
def test_what_cannot_be_a_name_is_not_added(text: str) -> None:
    """Mixed scripts, blanks, invisible characters."""
    found = clean(cleaner(), row(1, state=text))
    assert (refused(found).reason, found.new_members) == ("state_unfit", ())


@pytest.mark.parametrize("text", ["Gu\u200bam", "\u200b", "Gu\u00adam", "\ufeff\ufeff"])
def test_zero_width_characters_are_refused_as_in_any_field(text: str) -> None:
    """Before a member is looked up."""
    found = clean(cleaner(), row(1), row(2, state=text))
    assert (refused(found).reason, found.new_members) == ("hidden_character", ())


def test_a_refused_row_adds_nothing() -> None:
    """Its new name would be a member without a transaction; a later valid row adds it."""
    reading = cleaner()
    found = clean(
        reading, row(1, state="Guam", amount="much"), row(2, state="Samoa"), row(3, segment="Iron", amount="x")
    )
    assert found.new_members == (NewMember(STATE, NEXT, "Samoa"),)
    later = clean(reading, row(4, state="Guam"))
    assert later.new_members == (NewMember(STATE, NEXT + 1, "Guam"),)


def test_codes_follow_the_file_and_stay() -> None:
    """A name gets its code with its first row; the fast path knows it from the next chunk on."""
    reading = cleaner()
    first = clean(reading, row(1, state="B"), row(2, state="A"), row(3, state="B"), row(4, segment="Iron"))
    second = clean(reading, row(5, state="A"), row(6, state="b"))
    assert first.columns["state"].tolist()[:3] == [NEXT, NEXT + 1, NEXT]
    assert second.columns["state"].tolist() == [NEXT + 1, NEXT]
    assert first.columns["segment"].tolist()[3] == len(SEGMENT.members)
    assert [each.code for each in first.new_members] == [NEXT, NEXT + 1, len(SEGMENT.members)]


def test_a_database_that_holds_a_name_twice_gives_the_first_code() -> None:
    """It may have been filled before names were unique."""
    members = Members(STATE, (*STATE.members, "UNKNOWN", "texas"), may_grow=True)
    assert (members.code("Unknown"), members.code("TEXAS"), members.code("Guam")) == (0, TEXAS, NEXT + 2)


def test_a_full_dimension_refuses_the_next_name_and_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the declared limit, with its own reason; existing members are still found."""
    monkeypatch.setattr(module, "MAX_MEMBERS", NEXT + 1)
    found = clean(cleaner(), row(1, state="Guam"), row(2, state="Samoa"), row(3, state="guam"), row(4))
    assert refused(found).reason == "state_full"
    assert f"the limit of {NEXT + 1} is reached" in refused(found).message
    assert len(found.lines) == 3


def calls(count: int, **more: Any) -> int:
    """The number of function calls, built-ins included, to read this many rows with a new name each."""
    reading = cleaner(**more)
    lines = [row(number, state=f"Place {number:06d}") for number in range(count)]
    number = 0

    def count_call(frame: Any, event: str, argument: Any) -> None:
        nonlocal number
        number += event in ("call", "c_call")

    sys.setprofile(count_call)
    try:
        found = clean(reading, *lines)
    finally:
        sys.setprofile(None)
    assert len(found.lines) + len(found.refused) == count
    return number


@pytest.mark.parametrize("add_members", [True, False], ids=["add", "refuse"])
def test_reading_new_names_is_linear(monkeypatch: pytest.MonkeyPatch, add_members: bool) -> None:
    """Twice the names, twice the work: counted, not timed. Hints, which are bounded, are left out of the count."""
    monkeypatch.setattr(module, "MAX_MEMBERS", 10**6)
    monkeypatch.setattr(module, "nearest", lambda value, allowed: None)
    calls(10, add_members=add_members)  # work that is done only once
    few, many = (calls(count, add_members=add_members) for count in (1_000, 4_000))
    assert many < 4.4 * few


def test_hints_are_bounded_and_never_sought_for_what_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparing with every member is costly: a limited number of times per file, once per name, never when adding."""
    sought: list[str] = []
    monkeypatch.setattr(module, "nearest", lambda value, allowed: sought.append(value))
    clean(cleaner(), *(row(number, state=f"Place {number}") for number in range(100)))
    assert sought == []
    reading = cleaner(add_members=False)
    clean(reading, *(row(number, state=f"Place {number % 7}") for number in range(100)))
    assert len(sought) == 7
    clean(reading, *(row(number, state=f"Place {number}") for number in range(2 * MAX_HINTS)))
    assert len(sought) == MAX_HINTS


def test_an_error_lists_at_most_50_names_how_many_there_are_and_where() -> None:
    """It also names the nearest of all of them."""
    names = [f"Place {number}" for number in range(MAX_MEMBERS)]
    error = UnknownName("state", "Plaec 777", names, "/v1/dimensions/state")
    assert error.allowed == tuple(names[:50])
    assert error.nearest == "Place 777"
    assert f"and {MAX_MEMBERS - 50:,} more; all {MAX_MEMBERS:,} are listed at /v1/dimensions/state." in str(error)
    assert len(str(error)) < 1_000
    assert "more" not in str(UnknownName("state", "x", names[:50], "/v1/dimensions/state"))


def test_the_nearest_of_very_many_names_is_sought_among_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """An older database may have 65,536: at most 2,000 with the same beginning are compared."""
    compared: list[int] = []

    def count(value: str, names: Any, n: int) -> list[str]:
        compared.append(len(names))
        return []

    monkeypatch.setattr("catalog.errors.get_close_matches", count)
    names = [f"{'abcdefghij'[number % 10]}{number}" for number in range(2**16)]
    assert nearest("Z1", names) is None
    assert nearest("a1", names) is None
    assert nearest("A10", names) == "a10"
    assert compared == [0, 2_000]
