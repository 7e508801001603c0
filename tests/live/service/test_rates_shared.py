"""Limits hold for all processes together: their counts are in MongoDB."""

import threading
from collections import Counter

import pytest

from service.around.connection import Connection
from service.around.rates import SHARES, Rates
from store.client import Store

pytestmark = pytest.mark.live
LIMIT = 500


def test_several_processes_together_allow_no_more_than_the_limit(store: Store) -> None:
    """Three counters, each asked from two threads; what is not allowed is at most what the others still hold."""
    connections = [Connection(store.settings) for _ in range(3)]
    counters = [Rates(f"{LIMIT}/hour", connection) for connection in connections]
    found: Counter[bool] = Counter()
    lock = threading.Lock()

    def ask(counter: Rates) -> None:
        for _ in range(LIMIT // 4):
            is_allowed = counter.take("shop", "").remaining >= 0
            with lock:
                found[is_allowed] += 1

    threads = [threading.Thread(target=ask, args=(each,)) for each in counters for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    held = len(threads) * (LIMIT // SHARES)
    assert LIMIT - held <= found[True] <= LIMIT
    assert store.db.rate_counters.count_documents({}) == 1
    for connection in connections:
        connection.close()
