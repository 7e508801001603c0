"""Index specifications, each naming what it serves; apply, verify and usage."""
