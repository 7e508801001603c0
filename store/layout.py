"""The layout of a database: a program that knows only older layouts must not read or write it."""

from collections.abc import Mapping
from typing import Any

from catalog.collections import DATA_VERSION, LAYOUT, PERIODS, STATUS
from catalog.errors import StoreUnavailable
from store.client import Document, Store


class NewerLayout(StoreUnavailable):
    """The database has a layout that this program does not know."""

    def __init__(self, written: Any) -> None:
        super().__init__(
            f"This database was written by a newer release (layout {written}, this program knows {LAYOUT})",
            "Upgrade the program",
        )


def check_layout(status: Mapping[str, Any] | None) -> None:
    """Refuse a database whose status document has an unknown layout.

    Raises:
        NewerLayout: the layout is newer than this program.
    """
    written = (status or {}).get("schema", 1)
    if written not in range(1, LAYOUT + 1):
        raise NewerLayout(written)


def require_layout(store: Store) -> Document | None:
    """The status document of the data version, or None if there is none.

    Raises:
        NewerLayout: the database has a layout that this program does not know.
    """
    status = store.outside.find_one(STATUS.name, {"_id": DATA_VERSION})
    check_layout(status)
    return status


def adopt_layout(store: Store) -> None:
    """Upgrade a database with an older layout; its validators are already current."""
    older = {"_id": DATA_VERSION, "schema": {"$exists": False}}
    recorded = store.outside.count(PERIODS.name)
    changes = {"$rename": {"layout": "builds"}, "$set": {"schema": LAYOUT, "recorded": recorded}}
    store.outside.update(STATUS.name, older, changes)
