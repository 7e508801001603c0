"""Index specifications, each with the queries it serves; apply, verify and usage."""
