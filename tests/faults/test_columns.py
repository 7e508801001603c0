"""Columns while MongoDB is away: not used once the change stream has been silent for SILENCE_S, and never old."""

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from store.watch import SILENCE_S
from tests.support.faults.loads import environment_of
from tests.support.faults.proxy import proxied
from tests.support.mongod import Mongod, replica_set
from tests.support.process import load_until_done
from tests.support.rows import plain_row, write
from tests.support.service import Reply, Service, serving

pytestmark = [pytest.mark.live, pytest.mark.faults]

AWAY_S = 8


def eventually(condition: Callable[[], bool], seconds: float = 40) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def ask(service: Service) -> Reply:
    """A question that was not asked before."""
    return service.get(f"/v1/queries/top-states?limit={time.monotonic_ns() // 1000 % 99_000 + 1}")


def from_columns(service: Service) -> bool:
    """Whether it is answered from columns, without a question to MongoDB."""
    reply = ask(service)
    meta = reply.json["meta"] if reply.status == 200 else {}
    return bool(meta) and meta["source"] == "columns" and "mongo" not in meta["timing_ms"]


def all_from_columns(service: Service) -> bool:
    """Whether all workers do so: several ask at the same time, so that each has something to do."""
    with ThreadPoolExecutor(4) as several:
        return all(several.map(from_columns, [service] * 24))


@pytest.mark.parametrize("fault", ["stopped", "silent"])
def test_without_mongodb_columns_answer_for_a_second_and_then_nobody_does(
    tmp_path: Path, small_file: Path, fault: str
) -> None:
    """A server that is stopped, and a network that falls silent with a load behind it: no answer is old."""
    with replica_set(tmp_path, 1) as (mongod,), proxied(mongod.port) as proxy:
        own = environment_of(mongod, "columns")
        load_until_done(own, small_file)
        through = own | {
            "MONGODB_URI": f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true",
            "WORKERS": "2",
            "COLUMNS_MAX_MB": "100",
        }
        with serving(tmp_path / "log", through) as service:
            eventually(lambda: all_from_columns(service))
            before = ask(service).json["totals"]["transactions"]
            away = threading.Thread(target=_go_away, args=(mongod, fault, proxy.silence))
            away.start()
            begin = time.monotonic()
            if fault == "silent":
                load_until_done(own, write(tmp_path / "more.csv", [plain_row(10**8)]))
            replies = []
            while away.is_alive():
                asked_s, reply = time.monotonic() - begin, ask(service)
                replies.append((asked_s, time.monotonic() - begin, reply))
            away.join()
            given = [round(asked_s, 2) for asked_s, got_s, reply in replies if reply.status == 200 and got_s < AWAY_S]
            print(f"{len(given)} of {len(replies)} answered, the last one asked after {max(given, default=0)} s")
            assert max(given, default=0) < SILENCE_S + 0.2
            assert given or fault == "silent"
            refused = [reply for _, _, reply in replies if reply.status != 200]
            assert refused
            assert {reply.status for reply in refused} == {503}
            assert all(int(reply.headers["Retry-After"]) > 0 for reply in refused)
            eventually(lambda: all_from_columns(service))
            assert ask(service).json["totals"]["transactions"] == before + (fault == "silent")


def _go_away(mongod: Mongod, fault: str, silence: Callable[[float], int]) -> None:
    if fault == "silent":
        assert silence(AWAY_S) == 0
        return
    assert mongod._process
    os.kill(mongod._process.pid, signal.SIGSTOP)
    time.sleep(AWAY_S)
    os.kill(mongod._process.pid, signal.SIGCONT)
