"""The embedded MongoDB: the server of a data folder, and the guardian that ends it with its last user."""
