"""The most expensive question that the public parameters can make, asked by several clients at once."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.client import Store
from tests.support.service import Service, serving

pytestmark = pytest.mark.live
WORST = "/v1/explore?by=state&by=hour&by=age_group&interval=year"
HEAVY_CLIENTS, SECONDS = 4, 4.0
MOST_BYTES = 300 << 20


@pytest.fixture(scope="module")
def service(loaded: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service with one worker, its columns built."""
    log: Path = tmp_path_factory.mktemp("service") / "log"
    named = {"DATA_DIR": str(loaded.settings.data_dir), "MONGODB_DATABASE": loaded.settings.database}
    with serving(log, {**named, "COLUMNS_MAX_MB": "64"}) as found:
        deadline = time.monotonic() + 30
        limits = itertools.count(1)  # what was answered before stays the answer
        while found.get(f"/v1/explore?limit={next(limits)}").json["meta"]["source"] != "columns":
            assert time.monotonic() < deadline, "no columns were built"
            time.sleep(0.1)
        yield found


def test_expensive_questions_cost_others_no_answer(service: Service) -> None:
    """Beside four clients that ask nothing else, every cheap question is answered; and so are theirs."""
    heavy: Counter[int] = Counter()
    cheap: Counter[int] = Counter()
    limits = itertools.count(90_000)  # no question is asked twice, so none is kept
    until = time.monotonic() + SECONDS

    def ask_much() -> None:
        while time.monotonic() < until:
            heavy[service.get(f"{WORST}&limit={next(limits)}").status] += 1

    def ask_little() -> None:
        while time.monotonic() < until:
            begin = time.monotonic()
            cheap[service.get(f"/v1/queries/top-states?limit={next(limits)}").status] += 1
            taken.append(time.monotonic() - begin)

    taken: list[float] = []
    threads = [threading.Thread(target=ask_much) for _ in range(HEAVY_CLIENTS)]
    threads += [threading.Thread(target=ask_little) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    print(f"heavy {dict(heavy)}, cheap {dict(cheap)}, median {sorted(taken)[len(taken) // 2] * 1000:.1f} ms")
    assert set(cheap) == {200}
    assert set(heavy) == {200}
    assert cheap[200] > heavy[200], "cheap questions do not wait for expensive ones"


def test_a_worker_keeps_no_memory_of_them(service: Service) -> None:
    """What a worker has for itself after its largest replies."""
    reply = service.get(WORST)
    assert len(reply.json["rows"]) > 10_000
    workers = children(service.pid)
    assert workers
    for pid in workers:
        own = private_bytes(pid)
        print(f"worker {pid}: {own >> 20} MB of its own")
        assert own < MOST_BYTES


def children(pid: int) -> list[int]:
    """The workers of a service."""
    found = [Path(f"/proc/{pid}/task/{each.name}/children").read_text() for each in Path(f"/proc/{pid}/task").iterdir()]
    pids = [int(each) for text in found for each in text.split()]
    return [each for each in pids if b"mongod" not in Path(f"/proc/{each}/cmdline").read_bytes()]


def private_bytes(pid: int) -> int:
    """The memory that a process shares with nobody."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private")) << 10
