"""Text that is safe to open in a spreadsheet: nothing from a client or a file runs there as a formula."""

import re
import unicodedata

_FORMULA = frozenset("=+-@")
_BREAKS = ("\t", "\r", "\n")
_NEGATIVE = re.compile(r"-[0-9]+(\.[0-9]+)?", re.ASCII)


def harmless(text: str) -> str:
    """The text, with an apostrophe in front if a spreadsheet would run it; negative numbers are unchanged.

    Blanks or invisible characters before a sign do not hide it, nor does a full-width form of the sign: programs drop
    the former and normalize the latter. See https://owasp.org/www-community/attacks/CSV_Injection.
    """
    if _NEGATIVE.fullmatch(text):
        return text
    is_formula = text.startswith(_BREAKS) or unicodedata.normalize("NFKC", _first_visible(text))[:1] in _FORMULA
    return f"'{text}" if is_formula else text


def _first_visible(text: str) -> str:
    """The first character that is neither a separator (Z) nor a control or format character (C); empty for none."""
    return next((each for each in text if unicodedata.category(each)[0] not in "ZC"), "")
