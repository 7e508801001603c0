"""Peers of the service: what a good engineer would build in a day, each behind a small endpoint of the same form."""
