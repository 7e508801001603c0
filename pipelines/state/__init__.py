"""What the database says of itself: its version, and which periods are stale."""
