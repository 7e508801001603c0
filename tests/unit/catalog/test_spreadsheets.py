"""Text that a spreadsheet would run as a formula is prefixed, however it is disguised; negative numbers are not."""

import pytest

from catalog.spreadsheets import harmless


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\ufe66", "\u207a"])
@pytest.mark.parametrize(
    "before", ["", " ", "\u00a0", "\u2003", "\u3000", "\ufeff", "\u200b", "\u2028", "\x00", "\x0b", "\t", " \u00a0\t"]
)
def test_a_formula_is_guarded_whatever_stands_before_its_sign(before: str, sign: str) -> None:
    """ASCII, full-width, small and raised signs, after blanks and invisible characters."""
    text = f"{before}{sign}cmd|' /c calc'!A0"
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize(
    "text", ["\tx", "\rx", "\nx", "=", "-", "+1", "-1+1", "--1", "-1e5", "-\u0661", "-1,5", "- 1", "-1\n"]
)
def test_breaks_bare_signs_and_sums_are_guarded(text: str) -> None:
    """Also text that only begins like a number."""
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize(
    "text", ["-1", "-1557.50", "-0", "", " ", "\u00a0", "Ohio", "a=b", "1-1", "1", "'=1", "\u2212 1", "#"]
)
def test_negative_numbers_and_other_text_stay_as_they_are(text: str) -> None:
    """A refund in an export can be summed, and loaded again."""
    assert harmless(text) == text
