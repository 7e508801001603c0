"""From codes to committed batches."""
