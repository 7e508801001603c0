"""Where things are, and how large the sample is."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
REAL_FILE = ROOT.parent / "shared" / "data" / "online_store_customer_data.csv"
SAMPLE_ROWS = 20_000
