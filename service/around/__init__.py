"""What surrounds each request: identity, logs, metrics, keys, limits, compression, problems."""
