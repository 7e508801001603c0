"""Data derived from the transactions: slices, pages, their refresh and their verification."""
