"""Write a realistic CSV of any size, the same for the same seed: columns, formats and gaps as in the real file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from catalog.errors import UserError
from catalog.kinds import Banded, Listed
from catalog.purchases import PURCHASES

Ints = np.ndarray[Any, np.dtype[np.int64]]
FIRST_ID = 1000
FIRST_DAY = np.datetime64("2018-01-01T00:00:00", "us")
DAYS = 2587
"""The real file's range, 2018-01-01 to 2025-01-30."""

BLOCK_ROWS = 100_000


def write_sample(path: Path, rows: int, seed: int, progress: Callable[[int, int], None]) -> None:
    """Write `rows` purchases, ascending in time.

    Raises:
        UserError: the file cannot be written.
    """
    random = np.random.default_rng(seed)
    minutes = np.sort(random.integers(0, DAYS * 1440, rows))
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            file.write(",".join(PURCHASES.header) + "\r\n")
            for begin in range(0, rows, BLOCK_ROWS):
                block = _block(random, begin, minutes[begin : begin + BLOCK_ROWS])
                block.to_csv(file, header=False, index=False, lineterminator="\r\n")
                progress(begin + len(block), rows)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}).") from error


def _block(random: np.random.Generator, begin: int, minutes: Ints) -> pd.DataFrame:
    """The rows of a block. Keep the order of the random draws, so that the same seed writes the same file."""
    rows = len(minutes)
    columns: dict[str, Any] = {
        PURCHASES.key.column: np.arange(FIRST_ID + begin, FIRST_ID + begin + rows).astype(str),
        PURCHASES.clock.column: np.datetime_as_string(FIRST_DAY + minutes.astype("timedelta64[m]"), unit="us"),
    }
    for each in PURCHASES.attributes:
        if isinstance(each, Listed) and each.shares:
            shares = {**each.shares, **({"": each.missing} if each.missing else {})}
            columns[each.column] = random.choice(list(shares), rows, p=list(shares.values()))
    for number in PURCHASES.attributes:
        if isinstance(number, Banded):
            columns[number.column] = random.integers(number.sample.start, number.sample.stop, rows).astype(str)
    amount = PURCHASES.amount
    cents = random.integers(amount.sample.start, amount.sample.stop, rows)
    columns[amount.column] = (cents / 100).astype(str)  # the shortest text of the double, as in the real file: 1557.5
    for column in PURCHASES.columns:
        if isinstance(column, Listed) and column.shares:
            continue  # its empty fields have been drawn already
        if isinstance(column, Listed):
            columns[column.column] = random.choice(column.texts, rows)
        if column.missing:
            columns[column.column] = np.where(random.random(rows) < column.missing, "", columns[column.column])
    return pd.DataFrame({name: columns[name] for name in PURCHASES.header})
