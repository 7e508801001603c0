"""Every message that a user can see, rendered into one file for review: `tests/messages.txt`.

After changing a message, regenerate the file with `python -m tests.support.messages` and read the difference.
"""

import ast
import importlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
from click.testing import CliRunner

from catalog.collections import TRANSACTIONS
from catalog.errors import FileRefused
from catalog.measures import MEASURES, NOTHING, Parts
from catalog.purchases import PURCHASES
from catalog.status import LoadStatus
from loader.loads.control import Control
from loader.loads.remove import Removal
from loader.loads.report import LoadReport
from loader.reading.clean import Cleaner
from loader.reading.files import read_chunks, survey
from pipelines.ask.queries import QUERIES
from pipelines.derived.commands import report_text
from pipelines.derived.verification.findings import Difference, Verification, reload
from tests.support.listed import Listed
from tests.support.malformed.cases import SETTINGS, write
from tests.support.malformed.corpus import CASES
from tests.support.places import ROOT

FILE = ROOT / "tests" / "messages.txt"
PACKAGES = ("catalog", "store", "pipelines", "indexes", "loader", "service")
COMMANDS = ("loader", "pipelines", "indexes", "store", "service", "service.keys")


def render() -> str:
    """All messages, by kind."""
    parts = {
        "Help of the commands": helps(),
        "Files that are refused": refused_files(),
        "Rows that are refused: reason and message": refused_rows(),
        "Answers in a sentence": sentences(),
        "Reports": reports(),
        "Messages in the source, {...} stands for a value": in_source(),
    }
    return "\n\n".join("\n".join((title, "=" * len(title), "", *lines)) for title, lines in parts.items()) + "\n"


def helps() -> Iterator[str]:
    """`--help` of each command, 80 columns wide."""
    for module in COMMANDS:
        main = importlib.import_module(module if "." in module else f"{module}.__main__").main
        for path in ((), *((name,) for name in main.commands)) if isinstance(main, click.Group) else ((),):
            name = f"python -m {module}"
            done = CliRunner().invoke(main, [*path, "--help"], prog_name=name, terminal_width=80)
            yield from (f"$ {' '.join((name, *path, '--help'))}", *done.output.splitlines(), "")


def refused_files() -> Iterator[str]:
    """The messages for files that are refused as a whole."""
    said: dict[str, None] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(each for each in CASES if each.is_refused):
            place = Path(folder) / str(number)
            place.mkdir()
            try:
                survey(write(place, case))
            except FileRefused as error:
                text = str(error).replace(f"{place}/", "").replace(", ".join(PURCHASES.header), "(all columns)")
                said.setdefault(re.sub(r"corrupt \(.*\)", "corrupt (zlib's error)", text))
    yield from said


def refused_rows() -> Iterator[str]:
    """The messages for the rows of the corpus that go to quarantine."""
    said: dict[str, None] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            if not case.is_refused:
                found = survey(write(Path(folder), case))
                for adds in (False, True):
                    cleaner = Cleaner(found.header, PURCHASES.vocabulary, SETTINGS.timezone, 20_000, add_members=adds)
                    for chunk in read_chunks(found):
                        said |= {f"{each.reason}: {each.message}": None for each in cleaner.clean(chunk).refused}
    shapes = (
        re.sub(r"date \S+ (is|does)", r"date DATE \1", re.sub(r"U\+[0-9A-F]{4}", "U+NNNN", each)) for each in said
    )
    yield from sorted(dict.fromkeys(re.sub("x{60,}", "xxx...", each) for each in shapes))


def sentences() -> Iterator[str]:
    """Title, question and answer of each query, with two groups, one and none."""
    for query in QUERIES:
        yield f"{query.title}: {query.question}"
        members = query.by[0].members[1:3] if query.by else ("all", "all")
        first, second = members or ("2024-03-15", "2024-03-16")
        one, other = (first, Parts(3, 2, 100_000)), (second, Parts(2, 2, 50_000))
        for groups, total in (((one, other), Parts(5, 4, 150_000)), ((one,), one[1]), ((), NOTHING)):
            yield f"  {query.sentence.tell(Listed(groups), total)}"
    yield from (f"{each.name}: {each.label}" for each in (*PURCHASES.dimensions, *MEASURES))


def reports() -> Iterator[str]:
    """The reports of loads, removals and verifications, with all possible lines."""
    report = LoadReport("purchases.csv", "6a40c831e0cf33e8", seconds=2.5)
    report.add(1_000, 980, 12, {"state_unknown": 8}, {"Age": 3})
    for status in LoadStatus:
        report.status, report.repeated = status, status is LoadStatus.COMPLETE
        yield str(report)
    removal = Removal("6a40c831e0cf33e8", 980, files={"77": "second.csv", "78": "third.csv"})
    removal.kept["77"], removal.released["78"] = 12, 8
    yield str(removal)
    for noted, stored in ((True, 980), (False, 979)):
        control = Control("purchases.csv", "6a40c831e0cf33e8", 980, stored, 150_000, 150_000, is_noted=noted)
        control.add(980 - stored, "transaction 17 is missing")
        yield str(control)
    yield report_text(Verification(50, 85, 8, 1_242_359, 1_000_000))
    differing = Verification(50, 85, 8, 1_242_359, 1_000_000, stale=2, differences=2, lasting=1)
    differing.shown = [
        Difference(TRANSACTIONS.name, "hour of 17", "3", "4", reload("6a40c831e0cf33e8")),
        Difference("2024-03", "rollup 2024-03:all:0, total 0", "None", "Parts(transactions=3, priced=3, cents=900)"),
    ]
    yield report_text(differing)


def in_source() -> Iterator[str]:
    """All texts of more than one word in the source, except documentation, with `{...}` for inserted values."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if found := [" ".join(each.split()) for each in _texts(ast.parse(path.read_text(encoding="utf-8")))]:
                yield from ("", str(path.relative_to(ROOT)), *(f"  {each}" for each in dict.fromkeys(found)))


def _texts(node: ast.AST) -> Iterator[str]:
    """The texts within a node, in order."""
    for each in ast.iter_child_nodes(node):
        if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant):
            continue  # documentation
        if isinstance(each, ast.Constant | ast.JoinedStr):
            text = _text(each)
            if _PROSE.search(text):
                yield text
        if isinstance(each, ast.JoinedStr):
            yield from (text for part in each.values if isinstance(part, ast.FormattedValue) for text in _texts(part))
        else:
            yield from _texts(each)


_PROSE = re.compile(r"[a-z}:,`] [A-Za-z{]")


def _text(node: ast.AST) -> str:
    """A string as written in the source, with the name of each inserted value."""
    match node:
        case ast.Constant(value=str()):
            return str(node.value)
        case ast.JoinedStr():
            return "".join(map(_text, node.values))
        case ast.FormattedValue(value=value):
            return f"{{{_name(value)}}}"
    return ""


def _name(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=key)):
            return str(key)
    return "..."


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
