"""Paths, and the size of the sample."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
REAL_FILE = ROOT.parent / "shared" / "data" / "online_store_customer_data.csv"
SAMPLE_ROWS = 20_000
