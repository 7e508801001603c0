"""From a CSV to the six collections: survey, clean, encode, write in ordered transactional batches, report."""
