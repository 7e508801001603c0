"""The parts of a verification: derived data, rows, and the accounts of the loads, one module each."""
