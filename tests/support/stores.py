"""A test's own stores, and their directories."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.state.directory import read_directory
from pipelines.state.version import Directory
from store.client import Store
from store.settings import Settings


@contextmanager
def new_store(data_dir: Path) -> Iterator[Store]:
    """A store on a new database, dropped afterwards."""
    with Store(Settings(database=f"test-{uuid.uuid4().hex[:8]}", data_dir=data_dir)) as store:
        try:
            yield store
        finally:
            store.client.drop_database(store.settings.database)


def directory(store: Store) -> Directory:
    """The current directory."""
    with store.snapshot() as snapshot:
        return read_directory(snapshot)


def make_all_stale(store: Store) -> None:
    """Make all periods stale, as if all had changed."""
    store.db.periods.update_many({}, {"$unset": {"built": ""}})
    store.db.status.update_one({"_id": "data"}, {"$inc": {"builds": 1}})
