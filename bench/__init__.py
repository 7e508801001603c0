"""Side-by-side measurements, run on demand: `python -m bench --help`."""
