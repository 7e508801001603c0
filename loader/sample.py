"""Write a realistic CSV of any size, the same for the same seed: columns, formats and gaps as in the real file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from catalog.dimensions import STATES
from catalog.errors import UserError
from loader.reading.header import COLUMNS

FIRST_ID = 1000
FIRST_DAY = np.datetime64("2018-01-01T00:00:00", "us")
DAYS = 2587
"""The real file's range, 2018-01-01 to 2025-01-30."""

BLOCK_ROWS = 100_000
_SHARES = {
    "Gender": {"Female": 0.5398, "Male": 0.4491, "": 0.0111},
    "Marital_status": {"Married": 0.5864, "Single": 0.4136},
    "Segment": {"Basic": 0.4522, "Silver": 0.1951, "Platinum": 0.1764, "Gold": 0.0983, "Missing": 0.078},
    "Employees_status": {
        "Employees": 0.3766, "workers": 0.3177, "self-employed": 0.1939, "Unemployment": 0.1015, "": 0.0103,
    },
    "Payment_method": {"PayPal": 0.465, "Card": 0.2982, "Other": 0.2368},
    "Referral": {"1": 0.6119, "0": 0.3264, "": 0.0617},
}  # fmt: skip
_NO_AGE, _NO_AMOUNT = 0.0167, 0.0963


def write_sample(path: Path, rows: int, seed: int, progress: Callable[[int, int], None]) -> None:
    """Write `rows` purchases, ascending in time.

    Raises:
        UserError: the file cannot be written.
    """
    random = np.random.default_rng(seed)
    minutes = np.sort(random.integers(0, DAYS * 1440, rows))
    try:
        with path.open("w", encoding="ascii", newline="") as file:
            file.write(",".join(COLUMNS) + "\r\n")
            for begin in range(0, rows, BLOCK_ROWS):
                block = _block(random, begin, minutes[begin : begin + BLOCK_ROWS])
                block.to_csv(file, header=False, index=False, lineterminator="\r\n")
                progress(begin + len(block), rows)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}).") from error


def _block(random: np.random.Generator, begin: int, minutes: "np.ndarray[Any, np.dtype[np.int64]]") -> pd.DataFrame:
    rows = len(minutes)
    chosen = {column: random.choice(list(shares), rows, p=list(shares.values())) for column, shares in _SHARES.items()}
    ages = random.integers(15, 79, rows).astype(str)
    cents = random.integers(200, 300_000, rows)
    amounts = (cents / 100).astype(str)  # the shortest text of the double, as in the real file: 1557.5
    stamps = np.datetime_as_string(FIRST_DAY + minutes.astype("timedelta64[m]"), unit="us")
    columns = chosen | {
        "Transaction_ID": np.arange(FIRST_ID + begin, FIRST_ID + begin + rows).astype(str),
        "Transaction_date": stamps,
        "Age": np.where(random.random(rows) < _NO_AGE, "", ages),
        "State_names": random.choice(STATES, rows),
        "Amount_spent": np.where(random.random(rows) < _NO_AMOUNT, "", amounts),
    }
    return pd.DataFrame({column: columns[column] for column in COLUMNS})
