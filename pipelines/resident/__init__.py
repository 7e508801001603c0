"""Columns in memory: what they are, their files, and answers from them."""
