"""The commands in the documents, and the comparison of their output with the text below them."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog.purchases import PURCHASES
from tests.support.places import ROOT

DOCUMENTS = tuple(sorted((ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))))
CONSOLE = "console"
PROMPT = "$ "
SHORTENED = "..."
COMMAND = re.compile(r"(\$ |make |curl |python |pip |git |\.venv/bin/|[A-Z][A-Z_]*=\S* )")
"""The beginnings of lines that are shell commands."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_JSON_PARTS = re.compile(r'"(?:[^"\\]|\\.)*"|\.\.\.|[\[\]{}]|[^"\[\]{}.]+|\.')
_MEMBERS = sorted({str(each) for values in PURCHASES.vocabulary.values() for each in values}, key=len, reverse=True)
_MEMBER = re.compile("|".join(rf"\b{re.escape(each)}" for each in _MEMBERS if not each.isdigit()))
_FIGURE = re.compile(r"\d[\d,.:T-]*\d|\d")
_ID = re.compile(r"\b[0-9a-f]{8}(?:[0-9a-f]{24})?\b")
_NAME = re.compile(r'W/"[^"]*"')
_OWN_PLACES = ("$.timing_ms", "$.meta.timing_ms", "$.meta.data_version", "$.meta.verification")
_OWN = re.compile(
    r'\d+\.\d ms|data version \d+|"data_version": \d+|W/"[^"]*"|\b[0-9a-f]{32}\b|20\d\d-\d\d-\d\dT[\d:.+]+'
)
Mask = Callable[[str], str]


@dataclass(frozen=True)
class Block:
    """A fenced block of a document.

    Attributes:
        document: its path in the repository.
        line: its first line.
        language: the word after the fence.
        text: its lines.
    """

    document: str
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        """Its name in tests."""
        return f"{self.document}: {self.first}"

    @property
    def first(self) -> str:
        """Its first command, or its first line."""
        return self.text.partition("\n")[0].removeprefix(PROMPT)

    @property
    def commands(self) -> list[tuple[str, str]]:
        """Each command with the output below it."""
        parts = re.split(rf"^{re.escape(PROMPT)}", self.text, flags=re.MULTILINE)[1:]
        return [(command, said) for command, _, said in (part.partition("\n") for part in parts)]


def blocks(path: Path) -> Iterator[Block]:
    """The fenced blocks of a document."""
    text = path.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(str(path.relative_to(ROOT)), line, found[1], found[2])


def masked(text: str) -> str:
    """The text with everything masked that depends on the rows: figures, dates, members, ids, column widths.

    The HTTP status line is left unchanged.
    """
    lines = []
    for line in text.strip().splitlines():
        if not line.startswith("HTTP/"):
            line = _FIGURE.sub("N", _ID.sub("ID", _MEMBER.sub("NAME", _NAME.sub("ETAG", line))))
        lines.append(" ".join(line.split()))
    return "\n".join(lines)


def own(text: str) -> str:
    """The text with everything masked that differs between runs on the documented rows."""
    return _OWN.sub("OWN", text.strip())


def differences(wanted: str, said: str, mask: Mask, *, goes_on: bool = False) -> list[str]:
    """The differences between documented and actual output; with `goes_on`, the program may print more."""
    if not wanted.lstrip().startswith("{"):
        lines, found = mask(wanted).splitlines(), mask(said).splitlines()
        found = found[: len(lines)] if goes_on else found
        return [f"{one!r} in the document, {two!r} was said" for one, two in _paired(lines, found) if one != two]
    try:
        document = json.loads(said)
    except ValueError:
        return [f"no JSON: {said[:200]!r}"]
    return list(_unlike(json.loads(lengthened(wanted)), document, "$", mask))


def _paired(one: list[str], two: list[str]) -> Iterator[tuple[str | None, str | None]]:
    for number in range(max(len(one), len(two))):
        yield (one[number] if number < len(one) else None), (two[number] if number < len(two) else None)


def lengthened(text: str) -> str:
    """JSON with `...` for omissions as valid JSON: an entry of that name, or an element."""
    inside: list[str] = []
    parts = []
    for part in _JSON_PARTS.findall(text):
        if part in "[{":
            inside.append(part)
        elif part in "]}":
            inside.pop()
        elif part == SHORTENED:
            part = '"...": null' if inside[-1] == "{" else '"..."'
        parts.append(part)
    return "".join(parts)


def _unlike(wanted: Any, found: Any, where: str, mask: Mask) -> Iterator[str]:
    if isinstance(wanted, dict) and isinstance(found, dict):
        yield from _unlike_entries(wanted, found, where, mask)
    elif isinstance(wanted, list) and isinstance(found, list):
        yield from _unlike_elements(wanted, found, where, mask)
    elif isinstance(wanted, str) and isinstance(found, str):
        start, shortened, _ = mask(wanted).partition(SHORTENED)
        if not (mask(found).startswith(start) if shortened else mask(found) == start):
            yield f"{where} is {wanted!r} in the document, {found!r} was said"
    elif _kind(wanted) is not _kind(found) or (
        wanted != found and (isinstance(wanted, bool) or (mask is own and not where.startswith(_OWN_PLACES)))
    ):
        yield f"{where} is {wanted!r} in the document, {found!r} was said"


def _kind(value: Any) -> type:
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


def _unlike_entries(wanted: Mapping[str, Any], found: Mapping[str, Any], where: str, mask: Mask) -> Iterator[str]:
    names = [name for name in found if name in wanted]
    if names != [name for name in wanted if name != SHORTENED]:
        yield f"{where} has {list(wanted)} in the document, {list(found)} were said"
    if SHORTENED not in wanted and len(names) < len(found):
        yield f"{where} has {[name for name in found if name not in wanted]} that the document leaves out"
    for name in names:
        yield from _unlike(wanted[name], found[name], f"{where}.{name}", mask)


def _unlike_elements(wanted: list[Any], found: list[Any], where: str, mask: Mask) -> Iterator[str]:
    """The differences between arrays. Beside `...`, elements may be anywhere, in order; without it, they are all."""
    shown = [each for each in wanted if each != SHORTENED]
    if len(shown) == len(wanted):
        if len(wanted) != len(found):
            yield f"{where} has {len(wanted)} elements in the document, {len(found)} were said"
        for number, (one, two) in enumerate(zip(wanted, found, strict=False)):
            yield from _unlike(one, two, f"{where}[{number}]", mask)
        return
    rest = iter(found)
    for each in shown:
        if all([*_unlike(each, other, where, mask)] for other in rest):
            yield f"{where} has no {each!r}"
