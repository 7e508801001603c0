"""When two names are the same: the key by which a member is found, and the skeleton that no two members may share.

Texts with the same *key* are the same name: they differ only in letter case or Unicode composition (NFC, NFD), and have
one code. Texts with the same *skeleton* only look the same: full-width forms, other spaces, dashes or digits, the other
kana, letters of another script. Nothing is guessed: the later one is refused, with the name that it looks like.

A skeleton is Unicode's NFKC_Casefold with single spaces, one dash, one set of digits and one kana, and with the
letters of Cyrillic, Greek and Armenian that pass for Latin ones (in either case) made Latin. Letters of one script are
not confused with each other: `O` and `0`, `l` and `I` are different names, as a keyboard has both.
"""

import unicodedata
from functools import lru_cache

_EAST_ASIAN = frozenset(("LATIN", "CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO"))
"""The scripts that one name may mix; any other must be the only one."""

_SCRIPTS = _EAST_ASIAN | {
    "ARABIC", "ARMENIAN", "BENGALI", "CYRILLIC", "DEVANAGARI", "ETHIOPIC", "GEORGIAN", "GREEK", "GUJARATI", "GURMUKHI",
    "HEBREW", "KANNADA", "KHMER", "LAO", "MALAYALAM", "MYANMAR", "ORIYA", "SINHALA", "TAMIL", "TELUGU", "THAANA",
    "THAI", "TIBETAN",
}  # fmt: skip
"""The scripts in everyday use (Unicode UAX #31). The rest, such as Cherokee, is rich in letters that look Latin."""

_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_LETTERS = frozenset(("Lu", "Ll", "Lt", "Lo"))
_BLANK = frozenset(map(chr, (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0)))
"""Letters, marks and symbols that are invisible, besides the variation selectors."""

_LOOK_ALIKES = str.maketrans(
    # small letters: each looks like the Latin one below it, or its capital like that one's capital
    "авеѕіјкмнорстухӏԁԛԝһ" "αβεζηικμνορτυχ" "օսհոցզ" "ɑɡıɩ" "ぁぃぅぇぉっゃゅょゎゕゖ" "‘’ʻʼ",
    "abesijkmhopctyxldqwh" "abezhikmvoptyx" "ouhngq" "agii" "あいうえおつやゆよわかけ" "''''",
)  # fmt: skip
_KANA_APART = ord("ァ") - ord("ぁ")


def key(text: str) -> str:
    """The form by which a name is found: case-folded, in one Unicode composition."""
    if text.isascii():
        return text.casefold()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def skeleton(text: str) -> str:
    """What a name looks like; empty if nothing is visible."""
    if text.isascii():
        return " ".join(text.casefold().split())
    folded = text
    for _ in range(2):
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", folded).casefold())
    return " ".join("".join(map(_plain, folded)).translate(_LOOK_ALIKES).split())


def fault(text: str) -> str | None:
    """Why a text cannot be the name of a new member, or None if it can."""
    for character in text:
        if unicodedata.category(character) in _HIDDEN or _shows_nothing(character):
            return f"it contains the hidden character U+{ord(character):04X}"
    if not skeleton(text):
        return "it has no visible characters"
    scripts = {_script(character) for character in text if unicodedata.category(character) in _LETTERS}
    if rare := sorted(scripts - _SCRIPTS):
        return f"it uses an uncommon script ({rare[0].capitalize()})"
    if len(scripts) > 1 and not scripts <= _EAST_ASIAN:
        return f"it mixes {' and '.join(each.capitalize() for each in sorted(scripts))} letters"
    return None


@lru_cache(maxsize=64)
def index(names: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """The codes of each key, where a name's code is its position; several if a database contains a name twice."""
    found: dict[str, tuple[int, ...]] = {}
    for code, name in enumerate(names):
        found[key(name)] = (*found.get(key(name), ()), code)
    return found


def stored(text: str) -> str:
    """A name as it is stored: in composed form, otherwise unchanged."""
    return unicodedata.normalize("NFC", text)


@lru_cache(maxsize=1 << 12)
def _plain(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Pd":
        return "-"
    if category == "Nd":
        return str(unicodedata.digit(character))
    return chr(ord(character) - _KANA_APART) if "ァ" <= character <= "ヶ" else character


def _shows_nothing(character: str) -> bool:
    return character in _BLANK or "VARIATION SELECTOR" in unicodedata.name(character, "")


def _script(letter: str) -> str:
    """The script of a letter: the first word of its name, once it is written in its plain form."""
    plain = unicodedata.normalize("NFKC", letter)[0]
    return unicodedata.name(plain, "?").split()[0]
