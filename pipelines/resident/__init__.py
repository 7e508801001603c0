"""Resident columns: what is in memory, and how questions are answered from it."""
