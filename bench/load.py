"""A complete load, beside raw inserts as its limit and beside PostgreSQL, in one run."""

import tempfile
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from bench import postgres
from catalog.collections import CUSTOMERS, TRANSACTIONS
from catalog.measures import LIFT
from catalog.purchases import PURCHASES
from loader.load import load
from loader.loads.options import Options
from loader.reading.clean import Cleaner, tomorrow
from loader.reading.files import read_chunks, survey
from loader.writing.documents import encode
from pipelines.derived.verify import verify
from store.bson.to_documents import Encoded
from store.client import Store
from store.settings import Settings

LIMIT_CHUNKS = 10


def compare(path: Path) -> Mapping[str, float]:
    """Seconds of each step, each on a fresh server, and rows per second: ours and the limit.

    Raises:
        AssertionError: the two databases have different contents, or ours does not verify.
    """
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Store(Settings(data_dir=Path(folder))) as store:
        limit = _raw_inserts(store, path)
        seconds, total = _ours(store, path)
    found |= {f"ours, {name}": value for name, value in seconds.items()}
    found["ours, all"] = sum(seconds.values())
    with postgres.server() as folder_of:
        if folder_of:
            steps, same = postgres.load(folder_of, path)
            if same != total:
                raise AssertionError(f"PostgreSQL holds {same}, MongoDB {total}")
            found |= {f"PostgreSQL, {name}": value for name, value in steps.items()}
            found["PostgreSQL, all"] = sum(steps.values())
    found["rows a second, raw inserts"] = limit
    found["rows a second, batches"] = total[0] / seconds["batches"]
    return found


def _ours(store: Store, path: Path) -> tuple[dict[str, float], tuple[int, int, int]]:
    begin = last = time.perf_counter()

    def progress(done: int, total: int) -> None:
        nonlocal last
        last = time.perf_counter()

    load(store, path, Options(), 0.0, progress)
    end = time.perf_counter()
    if not verify(store, lambda done, total: None).ok:
        raise AssertionError("the load does not verify")
    seconds = {"batches": last - begin, "indexes and rollups": end - last, "verify": time.perf_counter() - end}
    total = next(store.db[TRANSACTIONS.name].aggregate([{"$group": {"_id": None, **LIFT}}]))
    return seconds, (total["n"], total["p"], total["r"])


def _raw_inserts(store: Store, path: Path) -> float:
    """Rows per second of raw inserts: prepared documents, one thread per big collection, and nothing else, neither
    transactions nor checkpoints nor versions.
    """
    found = survey(path)
    vocabulary = PURCHASES.vocabulary
    cleaner = Cleaner(found.header, vocabulary, store.settings.timezone, tomorrow())
    ready = []
    for chunk in islice(read_chunks(found), LIMIT_CHUNKS):
        clean = cleaner.clean(chunk)
        ready.append(encode(clean, clean.columns["transaction_id"], "limit"))
    start = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        customers = pool.submit(_insert, store, CUSTOMERS.name, (each for each, _ in ready))
        transactions = pool.submit(_insert, store, TRANSACTIONS.name, (each for _, each in ready))
        customers.result(), transactions.result()
    seconds = time.perf_counter() - start
    store.client.drop_database(store.settings.database)
    return sum(len(each) for each, _ in ready) / seconds


def _insert(store: Store, collection: str, batches: Iterable[list[Encoded]]) -> None:
    for documents in batches:
        store.db.command({"insert": collection, "documents": documents, "bypassDocumentValidation": True})
