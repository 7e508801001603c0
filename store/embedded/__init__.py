"""The embedded MongoDB: the server of a data folder, and the guardian that stops it after its last user."""
