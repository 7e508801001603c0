"""What the data is: dimensions, measures, collections and errors. Standard library only, no I/O."""

VERSION = "0.2.0"
"""The latest release, for `setup.cfg` and every `--version`."""
