"""Elections during a load and questions: the load is finished, and no reply is wrong."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from itertools import cycle
from pathlib import Path
from random import Random

import pytest

from store.client import Store
from store.settings import Settings
from tests.support.faults.judge import expect, judge
from tests.support.faults.servers import Mongod, primary_of, replica_set, uri_of
from tests.support.process import Process, committed_rows, load_until_done, loader
from tests.support.service import Service, serving

pytestmark = [pytest.mark.live, pytest.mark.faults]

ROUNDS = 5
QUESTIONS = (
    "/v1/queries/overall-summary",
    "/v1/queries/revenue-by-segment",
    "/v1/queries/overall-summary?source=raw",
    "/v1/queries/top-states?gender=Female&gender=Male&gender=Unknown&payment_method=Card&not_payment_method=PayPal",
    "/v1/queries/daily-sales?interval=month",
)
OVER_ALL = tuple(each for each in QUESTIONS if "gender" not in each)


def parts_of(path: Path, count: int) -> list[Path]:
    """The file cut into this many parts, in order."""
    header, *lines = path.read_bytes().splitlines(keepends=True)
    size = len(lines) // count + 1
    parts = []
    for number in range(count):
        part = path.with_name(f"part-{number}.csv")
        part.write_bytes(header + b"".join(lines[number * size : (number + 1) * size]))
        parts.append(part)
    return parts


def totals_on_the_way(parts: list[Path]) -> dict[int, int]:
    """The cents of each number of transactions that a load may have inserted so far."""
    found, cents = {0: 0}, 0
    for each in expect(parts):
        for amount in each.cents.values():
            cents += amount or 0
            found[len(found)] = cents
    return found


class Asker:
    """Sends questions over HTTP all the time and compares each reply with the file."""

    def __init__(self, service: Service, right: dict[int, int]) -> None:
        self._service, self._right = service, right
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(2)]
        self.told: Counter[str] = Counter()
        self.wrong: list[str] = []

    def __enter__(self) -> "Asker":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        for target in cycle(QUESTIONS[number:] + QUESTIONS[:number]):
            if self._stop.is_set():
                return
            reply = self._service.request("GET", target)
            if reply.status == 503 and reply.headers["Retry-After"]:
                self.told["503"] += 1
                time.sleep(0.05)
            elif reply.status != 200:
                self.wrong.append(f"{target}: {reply.status} {reply.body[:300]!r}")
            else:
                self.told["200"] += 1
                self._judge(target, reply.json)

    def _judge(self, target: str, body: dict[str, object]) -> None:
        rows, totals = body["rows"], body["totals"]
        assert isinstance(rows, list)
        assert isinstance(totals, dict)
        if target in OVER_ALL:
            count, cents = totals["transactions"], int(Decimal(totals["revenue"]) * 100)
            if self._right.get(count) != cents:
                self.wrong.append(f"{target}: {count} transactions, {cents} cents, {self._right.get(count)} expected")
        if "limit" not in target and "top-states" not in target:
            added = sum(row["transactions"] for row in rows), sum(Decimal(row["revenue"]) for row in rows)
            if added != (totals["transactions"], Decimal(totals["revenue"])):
                self.wrong.append(f"{target}: rows add up to {added}, totals are {totals}")


def disturb(servers: list[Mongod], *, kill: bool) -> None:
    """Replace the primary: by kill -9 and a restart, or by a step-down."""
    primary = primary_of(servers)
    if kill:
        primary.kill()
        time.sleep(3)
        primary.start()
    else:
        primary.command({"replSetStepDown": 10, "secondaryCatchUpPeriodSecs": 5, "force": True})
    primary_of(servers)


def lose_majority(servers: list[Mongod], asker: Asker) -> None:
    """Kill two of three servers: replies must say that MongoDB is unavailable, until they are restarted."""
    primary = primary_of(servers)
    others = [each for each in servers if each is not primary]
    for server in (primary, others[0]):
        server.kill()
    wait_until(lambda: asker.told["503"] > 0, "no 503 without a primary")
    for server in (primary, others[0]):
        server.start()
    primary_of(servers)
    answered = asker.told["200"]
    wait_until(lambda: asker.told["200"] > answered, "no 200 with a primary")


def wait_for_rows(servers: list[Mongod], file: str, process: Process) -> None:
    """Wait until the load of a file has committed something."""
    with Store(Settings(database="elections", uri=uri_of(servers))) as store:
        while process.runs and committed_rows(store, file) < 1:
            time.sleep(0.005)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition, for a minute at most."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_elections_make_no_answer_wrong_and_lose_no_row(tmp_path: Path, long_file: Path, random: Random) -> None:
    """Five loads; in each the primary steps down or is killed while questions are asked."""
    parts = parts_of(long_file, ROUNDS + 1)
    output, runs = "", Counter[str]()
    with replica_set(tmp_path / "set", 3) as servers:
        environment = {"MONGODB_URI": uri_of(servers), "MONGODB_DATABASE": "elections"}
        ours = environment | {"PATH": os.environ["PATH"]}
        output += load_until_done(ours, parts[0])[1]
        with (
            serving(tmp_path / "service.log", environment) as service,
            Asker(service, totals_on_the_way(parts)) as asker,
        ):
            for number, part in enumerate(parts[1:]):
                process = loader(ours, "load", part)
                wait_for_rows(servers, part.name, process)
                time.sleep(random.uniform(0, 1))
                assert process.runs, "the load ended before it could be disturbed"
                disturb(servers, kill=number % 2 == 0)
                needed, said = load_until_done(ours, part, process)
                runs[f"{needed} runs"] += 1
                output += said
            lose_majority(servers, asker)
        print(f"{dict(runs)}; replies: {dict(asker.told)}, wrong: {len(asker.wrong)}")
        assert asker.wrong == []
        assert asker.told["200"] > 10
        with Store(Settings(database="elections", uri=uri_of(servers))) as store:
            assert judge(store, parts, output) == []
