"""Years of transactions as columns, mapped into memory: what answers without MongoDB."""
