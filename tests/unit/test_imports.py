"""Imports among the tests."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.places import ROOT

TESTS = ROOT / "tests"
PRODUCT = {path.parent.name for path in ROOT.glob("*/__init__.py")}
"""The packages of the product, and `bench` and `tests`."""

INDEPENDENT = [TESTS / "support" / "oracle.py", TESTS / "support" / "malformed" / "reader.py"]
"""The modules that the product is compared with."""


def imported(source: str) -> Iterator[str]:
    """Every module that a source imports; for `from a import b` also `a.b`, which may be a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module
            yield from (f"{module}.{each.name}" for each in node.names)


def is_of_tests(module: str) -> bool:
    """Whether it is a test module or a conftest."""
    parts = module.split(".")
    return (parts[0] in ("tests", "")) and any(part.startswith("test_") or part == "conftest" for part in parts)


def offenders(folder: Path) -> list[str]:
    """Imports from a test module or a conftest."""
    return [
        f"{path.relative_to(folder)} imports {module}"
        for path in sorted(folder.rglob("*.py"))
        for module in imported(path.read_text())
        if is_of_tests(module)
    ]


def test_no_module_imports_from_a_test_module() -> None:
    """Shared code is in `tests/support`."""
    assert offenders(TESTS) == []


def test_an_import_from_a_test_module_is_found(tmp_path: Path) -> None:
    """In every notation, at the top or in a function; imports of support modules are allowed."""
    (tmp_path / "test_one.py").write_text(
        "from tests.unit.test_two import a\nfrom tests.unit import test_three\nimport tests.unit.test_four\n"
        "def f():\n    from .test_five import b\nfrom tests.conftest import c\n"
        "from tests.support.rows import row\nimport pytest\n"
    )
    assert {each.split()[-1] for each in offenders(tmp_path)} == {
        "tests.unit.test_two", "tests.unit.test_two.a", "tests.unit.test_three", "tests.unit.test_four",
        ".test_five", ".test_five.b", "tests.conftest", "tests.conftest.c",
    }  # fmt: skip


def of_the_product(source: str) -> set[str]:
    """Our packages that a source imports."""
    return {module.partition(".")[0] for module in imported(source)} & {*PRODUCT, ""}


@pytest.mark.parametrize("path", INDEPENDENT, ids=lambda path: path.stem)
def test_what_the_product_is_held_against_shares_nothing_with_it(path: Path) -> None:
    """Neither functions nor declarations, of packages or other tests: otherwise, both could have the same error."""
    assert {"catalog", "loader", "pipelines", "service", "store", "tests"} <= PRODUCT
    assert of_the_product(path.read_text()) == set()


@pytest.mark.parametrize("line", ["import catalog.labels", "from pipelines.ask import queries", "from . import rows"])
def test_an_import_of_the_product_is_found(line: str) -> None:
    """Even in the middle of a function."""
    assert of_the_product(f"import csv\ndef f():\n    {line}\n")
