"""The time that derived data take: a full refresh, a verification, an append until everything is fresh again."""

import csv
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from catalog.collections import PERIODS, TRANSACTIONS
from catalog.dimensions import date_of
from catalog.status import LoadStatus
from loader.load import load
from loader.loads.options import Options
from loader.loads.remove import remove
from loader.sample import write_sample
from pipelines.derived.refresh import refresh
from pipelines.derived.verify import verify
from pipelines.state.directory import bump_version, read_directory
from store.client import Store, Transaction

APPENDED_ROWS = 10_000


def measure(store: Store) -> Mapping[str, float]:
    """Seconds by step, on the filled database, which is the same afterwards."""
    with store.snapshot() as reads:
        months = read_directory(reads).months
    last = max(months)
    days = {(month.start - date_of(0)).days for month in months}

    def mark(transaction: Transaction) -> None:
        bump_version(transaction, days)

    store.transaction(mark)
    found = {"full refresh": _seconds(lambda: refresh(store)), "verify": _seconds(lambda: verify(store, _quietly))}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "append.csv"
        _write_append(store, path, last.start.isoformat())
        found[f"append {APPENDED_ROWS:,} rows to {last.name}, all fresh"] = _seconds(
            lambda: load(store, path, Options(), 0.0, _quietly)
        )
        loads = store.outside.find_one("loads", {"file": path.name, "status": LoadStatus.COMPLETE}) or {}
        remove(store, loads["_id"], _quietly)
    found["transactions"] = float(store.outside.estimate(TRANSACTIONS.name))
    found["periods"] = float(store.outside.estimate(PERIODS.name))
    return found


def _write_append(store: Store, path: Path, day: str) -> None:
    """Write purchases of one day, with new ids."""
    sample = path.with_name("sample.csv")
    write_sample(sample, APPENDED_ROWS, 3, _quietly)
    newest = store.outside.find_one(TRANSACTIONS.name, sort=[("_id", -1)]) or {"_id": 0}
    with sample.open(newline="") as source, path.open("w", newline="") as target:
        rows = csv.DictReader(source)
        writer = csv.DictWriter(target, list(rows.fieldnames or ()))
        writer.writeheader()
        for number, row in enumerate(rows, int(newest["_id"]) + 1):
            time_of_day = row["Transaction_date"].partition("T")[2]
            writer.writerow(row | {"Transaction_ID": str(number), "Transaction_date": f"{day}T{time_of_day}"})


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _quietly(done: int, total: int) -> None:
    """Show no progress."""
