"""What the data is: dimensions, measures, collections and errors. Standard library only, no I/O."""

VERSION = "0.1.0"
"""This release. `setup.cfg` takes it from here."""
