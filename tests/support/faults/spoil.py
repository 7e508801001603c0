"""Make a sample imperfect: rows that must be refused, rows that repeat an earlier one, and ids used twice."""

import csv
import io
from pathlib import Path
from random import Random

from loader.sample import write_sample

REFUSED, REPEATED, CONFLICTING = 0.001, 0.0005, 0.0002
"""Shares of the rows, too small for `--max-quarantined` to stop the load."""


def write_spoiled(path: Path, rows: int, seed: int, of: int = 0) -> Path:
    """Write a sample with every kind of row; with `of`, the first rows of a sample of that size, so of fewer months.

    Repeats begin half-way, so that earlier batches are written without lookups.
    """
    write_sample(path, max(rows, of), seed, lambda done, total: None)
    random = Random(seed)
    with path.open(encoding="ascii", newline="") as file:
        header, *lines = file.readlines()[: rows + 1]
    good = list(lines)
    for at in random.sample(range(rows), max(1, int(rows * REFUSED))):
        lines[at] = with_amount(good[at], "oops")
    for share, conflicting in ((REPEATED, False), (CONFLICTING, True)):
        for _ in range(max(1, int(rows * share))):
            earlier = good[random.randrange(rows // 2)]
            line = with_amount(earlier, f"{random.randrange(10**6, 10**7)}.25") if conflicting else earlier
            lines.insert(random.randrange(rows // 2 + 1, len(lines)), line)
    with path.open("w", encoding="ascii", newline="") as file:
        file.writelines([header, *lines])
    return path


def split(path: Path, first: Path, second: Path) -> None:
    """Split a file into two halves; the second one repeats some rows of the first."""
    with path.open(encoding="ascii", newline="") as file:
        header, *lines = file.readlines()
    for part, half in ((first, lines[: len(lines) // 2]), (second, lines[len(lines) // 2 :])):
        with part.open("w", encoding="ascii", newline="") as file:
            file.writelines([header, *half])


def with_amount(line: str, amount: str) -> str:
    row = next(csv.reader([line]))
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow([*row[:-1], amount])
    return out.getvalue()
