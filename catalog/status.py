"""The states of a load."""

from enum import StrEnum


class LoadStatus(StrEnum):
    """How far a load has come. `CHECKED` is only reported; the others are stored in the load's document."""

    RUNNING = "running"
    COMPLETE = "complete"
    STOPPED = "stopped"
    """Too many rows were refused; the same command continues it."""

    REMOVING = "removing"
    REMOVED = "removed"
    CHECKED = "checked"
    """Read by `loader check`: nothing was written."""


GONE = (LoadStatus.REMOVING, LoadStatus.REMOVED)
"""The states of a load whose transactions have been removed, or are being removed."""

STORED = tuple(each.value for each in LoadStatus if each is not LoadStatus.CHECKED)
"""The states that a load's document may have."""
