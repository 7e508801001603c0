"""One file an endpoint, and how replies look."""
