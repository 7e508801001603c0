"""Somebody who follows CONTRIBUTING.md: a copy of the program, and in it the entries as they stand in the document."""

import shutil
import textwrap
from pathlib import Path
from typing import Any

from catalog import purchases
from tests.support.documents import Block, blocks
from tests.support.places import ROOT

DOCUMENT = ROOT / "CONTRIBUTING.md"
COLUMN, QUERY = "Add a column, or a dimension", "Add an eleventh query"
PYTHON = "python"
_LEFT = shutil.ignore_patterns(".git", ".venv*", "var", "build", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info")


def section(title: str, language: str) -> list[Block]:
    """The blocks of that language in a section."""
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    begin = lines.index(f"## {title}")
    end = next((at for at, line in enumerate(lines) if at > begin and line.startswith("## ")), len(lines))
    return [block for block in blocks(DOCUMENT) if begin < block.line <= end and block.language == language]


def entries() -> dict[str, Any]:
    """What the section on columns and dimensions declares, by its name there."""
    names = dict(vars(purchases))
    for block in section(COLUMN, PYTHON):
        exec(block.text, names)
    return {name: value for name, value in names.items() if name.isupper() and name not in vars(purchases)}


def copy_of_the_program(folder: Path) -> Path:
    """The tree in a folder of its own, which may be changed."""
    return Path(shutil.copytree(ROOT, folder / "program", ignore=_LEFT))


def add_the_query(tree: Path) -> None:
    """Write the entry of the section on an eleventh query into `QUERIES`."""
    (block,) = section(QUERY, PYTHON)
    _insert(tree / "pipelines" / "ask" / "queries.py", "QUERIES = (\n", after=f"{textwrap.indent(block.text, '    ')},")


def add_the_column(tree: Path) -> None:
    """Write both entries of the section on columns above `PURCHASES`, and their names into it."""
    path = tree / "catalog" / "purchases.py"
    text = "\n".join(block.text for block in section(COLUMN, PYTHON))
    _insert(path, "\nPURCHASES = Dataset(\n", before=text, after="    parts=(QUARTER,),\n")
    _insert(path, "PAYMENT_METHOD, REFERRAL", after=", CHANNEL")


def _insert(path: Path, at: str, *, before: str = "", after: str = "") -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(at) == 1, f"{path} has no place {at!r}, or several"
    path.write_text(text.replace(at, f"{before}{at}{after}"), encoding="utf-8")
