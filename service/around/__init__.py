"""Everything around a request: identity, logs, metrics, keys, limits, compression, problems."""
