"""Load a CSV into the six collections: survey, clean, encode, write in ordered transactional batches, report."""
