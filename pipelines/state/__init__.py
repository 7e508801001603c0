"""The state of the database: its version, and which periods are stale."""
