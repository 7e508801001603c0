"""When two names are one, when they only look the same, and what cannot be a name."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import labels
from catalog.purchases import PURCHASES

SAME = {
    "letter case": ("Texas", "tEXAS"),
    "decomposed": ("Qu\u00e9bec", "Que\u0301bec"),
    "decomposed capitals": ("\u00c9VORA", "e\u0301vora"),
    "a sharp s": ("Stra\u00dfe", "STRASSE"),
    "a ligature": ("Office", "O\ufb03ce"),
    "the kelvin sign": ("Kent", "\u212aent"),
}
ALIKE = {
    "full-width": ("Texas", "\uff34\uff45\uff58\uff41\uff53"),
    "a no-break space": ("New York", "New\u00a0York"),
    "two spaces": ("New York", "New  York"),
    "an ideographic space at the end": ("Texas", "Texas\u3000"),
    "an en dash": ("Self-Employed", "Self\u2013Employed"),
    "superscript digits": ("Zone 2", "Zone \u00b2"),
    "a curly apostrophe": ("O'Hare", "O\u2019Hare"),
    "Cyrillic only": ("cocoapox", "\u0441\u043e\u0441\u043e\u0430\u0440\u043e\u0445"),
    "Cyrillic capitals": ("MOCKBA", "\u041c\u041e\u0421\u041a\u0412\u0410"),
    "Greek capitals": ("ATHINA", "\u0391\u03a4\u0397INA"),
    "other digits": ("Zone 12", "Zone \u0661\u0662"),
    "half-width kana": ("\u30ea\u30f3\u30b4", "\uff98\uff9d\uff7a\uff9e"),
    "the other kana": ("\u30ea\u30f3\u30b4", "\u308a\u3093\u3054"),
}
DIFFERENT = [("Texas", "Texes"), ("O1", "01"), ("New York", "NewYork"), ("Sao Paulo", "S\u00e3o Paulo"), ("1", "l")]
UNFIT = {
    "a zero-width space": ("Te\u200bxas", "U+200B"),
    "a zero-width joiner": ("Te\u200dxas", "U+200D"),
    "a byte order mark": ("\ufeffTexas", "U+FEFF"),
    "a soft hyphen": ("Te\u00adxas", "U+00AD"),
    "a grapheme joiner": ("Te\u034fxas", "U+034F"),
    "a variation selector": ("Texas\ufe0f", "U+FE0F"),
    "a Hangul filler": ("\u3164", "U+3164"),
    "a Braille blank": ("Te\u2800xas", "U+2800"),
    "a control character": ("Te\x07xas", "U+0007"),
    "a private character": ("Te\ue000xas", "U+E000"),
    "an unassigned character": ("Te\u0378xas", "U+0378"),
    "a no-break space alone": ("\u00a0", "no visible characters"),
    "other blanks alone": ("\u2003\u3000", "no visible characters"),
    "Latin with a Cyrillic letter": ("T\u0435xas", "mixes Cyrillic and Latin letters"),
    "Latin with a Greek letter": ("Texa\u03c2", "mixes Greek and Latin letters"),
    "Cherokee": ("\u13a1\u13aa", "an uncommon script (Cherokee)"),
}
FIT = [
    "Puerto Rico", "Qu\u00e9bec", "S\u00e3o Paulo", "\u041c\u043e\u0441\u043a\u0432\u0430",
    "\u0391\u03b8\u03ae\u03bd\u03b1", "\u6771\u4eac Tower", "\u30b9\u30fc\u30d1\u30fc", "\uc11c\uc6b8",
    "\u0928\u0908 \u0926\u093f\u0932\u094d\u0932\u0940",
    "N/A", "-", "$ne", "Hawai\u02bbi", "\U0001f642", "3",
]  # fmt: skip


@pytest.mark.parametrize("case", SAME)
def test_one_name_in_two_forms_has_one_key(case: str) -> None:
    """Letter case and composition do not make another name."""
    one, other = SAME[case]
    assert labels.key(one) == labels.key(other)
    assert labels.skeleton(one) == labels.skeleton(other)


@pytest.mark.parametrize("case", ALIKE)
def test_names_that_only_look_the_same_have_one_skeleton_and_two_keys(case: str) -> None:
    """So the second is distinguished, and refused instead of guessed."""
    one, other = ALIKE[case]
    assert labels.key(one) != labels.key(other)
    assert labels.skeleton(one) == labels.skeleton(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_names_that_a_keyboard_tells_apart_are_different(one: str, other: str) -> None:
    """Names that people distinguish on purpose are neither merged nor refused."""
    assert labels.skeleton(one) != labels.skeleton(other)


@pytest.mark.parametrize("case", UNFIT)
def test_what_cannot_be_a_name_is_told_why(case: str) -> None:
    """Hidden characters, empty names, and mixed or rare scripts."""
    text, why = UNFIT[case]
    fault = labels.fault(text)
    assert fault
    assert why in fault


@pytest.mark.parametrize("text", FIT)
def test_names_of_all_the_world_are_fit(text: str) -> None:
    """One script, or those combined in East Asia, with digits and signs."""
    assert labels.fault(text) is None


def test_the_members_of_a_new_database_are_fit_and_different() -> None:
    """By their skeletons."""
    for dimension in PURCHASES.references:
        assert len({labels.skeleton(name) for name in dimension.members}) == len(dimension.members)
        assert [labels.fault(name) for name in dimension.members] == [None] * len(dimension.members)


@given(st.text(max_size=12))
def test_a_key_is_stable_and_finer_than_a_skeleton(text: str) -> None:
    """Composing, decomposing or folding a text does not change its key; texts of one key have one skeleton."""
    for form in (text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text), labels.key(text)):
        assert labels.key(form) == labels.key(text)
        assert labels.skeleton(form) == labels.skeleton(text)
    assert labels.skeleton(labels.skeleton(text)) == labels.skeleton(text)


def test_a_name_that_is_there_twice_has_both_codes() -> None:
    """Ordered by code."""
    assert labels.index(("Unknown", "Basic", "UNKNOWN", "Gold")) == {"unknown": (0, 2), "basic": (1,), "gold": (3,)}
