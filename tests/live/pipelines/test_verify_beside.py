"""A verification during a load and a removal finds nothing: each comparison is made in one snapshot."""

import threading
from datetime import date, timedelta
from pathlib import Path
from random import Random

import pytest

from loader.load import Options, load
from loader.loads.remove import remove
from pipelines.derived.verification import rows as by_rows
from pipelines.derived.verify import verify
from store.client import Store
from store.settings import Settings
from tests.support.rows import quietly, row, write

pytestmark = pytest.mark.live


@pytest.mark.parametrize("customers", ["transaction", "profile"])
def test_a_verification_beside_a_load_and_a_removal_finds_nothing(
    store: Store, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, customers: str
) -> None:
    """With many small batches and ranges, new names, malformed rows and repeats.

    Each of two loads adopts rows of the other, one of them while it is running.
    """
    monkeypatch.setattr("loader.reading.files.CHUNK_ROWS", 100)
    monkeypatch.setattr("loader.loads.remove.BATCH_ROWS", 100)
    monkeypatch.setattr(by_rows, "ROWS", 300)
    random = Random(5)
    lines = [row(random, n, date(2022, 1, 1) + timedelta(days=n % 90), (f"State {n // 400}",)) for n in range(3_000)]
    lines[500:500] = [lines[3], lines[4].rpartition(",")[0] + ",oops"]
    path = write(tmp_path / "a.csv", lines)
    options = Options(customers=customers, new_members="add")
    done = threading.Event()
    problems: list[BaseException] = []

    def write_and_remove() -> None:
        try:
            settings = Settings(database=store.settings.database, data_dir=data_dir)
            with Store(settings) as other, Store(settings) as another:
                overlapping = first
                for _ in range(2):
                    begun: list[str] = []

                    def meanwhile(done: int, size: int, begun: list[str] = begun, of: str = overlapping) -> None:
                        if done > size // 2 and not begun:
                            begun.append(of)
                            kept.append(remove(another, of, quietly).kept.total())

                    load_id = load(other, path, options, 1.0, meanwhile).load_id
                    overlapping = load(other, tmp_path / "b.csv", options, 1.0, quietly).load_id
                    kept.append(remove(other, load_id, quietly).kept.total())
                load(other, path, options, 1.0, quietly)
        except BaseException as error:  # noqa: BLE001  told below
            problems.append(error)
        finally:
            done.set()

    kept: list[int] = []
    overlap = [*lines[:100], *lines[-100:]]
    first = load(store, write(tmp_path / "b.csv", overlap), options, 1.0, quietly).load_id
    beside = threading.Thread(target=write_and_remove)
    beside.start()
    times = 0
    try:
        while not done.is_set():
            assert verify(store, quietly).shown == []
            times += 1
    finally:
        beside.join()
    assert not problems
    assert times > 1
    assert all(kept), kept
    assert len(kept) == 4
    assert verify(store, quietly).shown == []
