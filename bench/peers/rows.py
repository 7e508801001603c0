"""The CSV as the peers load it: one Parquet file with labels as this service words them, days, hours and whole cents.

It shares no code with the loader, so that an answer which is compared is compared with another reading of the file.
"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from bench.peers.asked import DIMENSIONS, Labels

ROWS, LABELS = "rows.parquet", "labels.json"
_BANDS = ((0, "Under 18"), (18, "18-24"), (25, "25-34"), (35, "35-44"), (45, "45-54"), (55, "55-64"), (65, "65+"))
_WORDED = {
    "employment_status": {"workers": "Workers", "self-employed": "Self-Employed"},
    "referral": {"0": "Non-referral", "1": "Referral"},
}
_TEXTS = {
    "gender": "Gender", "marital_status": "Marital_status", "state": "State_names", "segment": "Segment",
    "employment_status": "Employees_status", "payment_method": "Payment_method", "referral": "Referral",
}  # fmt: skip
_TYPES = {
    **dict.fromkeys(_TEXTS.values(), pa.string()),
    "Transaction_date": pa.timestamp("us"), "Age": pa.int16(), "Amount_spent": pa.float64(),
}  # fmt: skip


def prepare(path: Path, folder: Path) -> None:
    """Write the Parquet file of a CSV, and the values of each dimension, into a folder."""
    options = pa.csv.ConvertOptions(column_types=_TYPES, include_columns=list(_TYPES), strings_can_be_null=True)
    seen: dict[str, set[str]] = {name: set() for name in DIMENSIONS}
    writer = None
    for batch in pa.csv.open_csv(path, convert_options=options):
        block = _cleaned(batch)
        for name, values in seen.items():
            values.update(map(str, pc.unique(block[name]).to_pylist()))
        writer = writer or pa.parquet.ParquetWriter(folder / ROWS, block.schema)
        writer.write_table(block)
    if writer:
        writer.close()
    labels = {name: sorted(values, key=_number_or_text) for name, values in seen.items()}
    (folder / LABELS).write_text(json.dumps(labels))


def read_labels(folder: Path) -> Labels:
    """The values of each dimension, in order."""
    return {name: tuple(values) for name, values in json.loads((folder / LABELS).read_text()).items()}


def _cleaned(batch: pa.RecordBatch) -> pa.Table:
    columns: dict[str, Any] = {name: _worded(name, batch[text]) for name, text in _TEXTS.items()}
    ages, clock = batch["Age"], batch["Transaction_date"]
    bands: Any = pa.scalar("Unknown")
    for least, label in _BANDS:
        bands = pc.if_else(pc.fill_null(pc.greater_equal(ages, least), fill_value=False), label, bands)
    cents = pc.round(pc.multiply(batch["Amount_spent"], 100)).cast(pa.int32())
    return pa.table(
        columns
        | {"age_group": bands, "date": clock.cast(pa.date32()), "hour": pc.hour(clock).cast(pa.uint8()), "cents": cents}
    )


def _worded(name: str, texts: Any) -> Any:
    for text, label in _WORDED.get(name, {}).items():
        texts = pc.if_else(pc.equal(texts, text), label, texts)
    return pc.fill_null(texts, "Unknown")


def _number_or_text(label: str) -> tuple[int, str]:
    return (int(label) if label.isdigit() else 0, label)
