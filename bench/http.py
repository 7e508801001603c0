"""This service over HTTP beside its peers: the same CSV, the same random questions, answers compared.

Only one of them is under load at a time. What is measured goes round and round among them, in slices shorter than what
disturbs a machine, and medians are taken over all rounds.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bench import postgres
from bench.peers import running
from bench.peers.client import TIMEOUT_S
from bench.peers.compare import difference, normalised
from bench.peers.figures import OURS, Latency, Throughput
from bench.peers.pool import PROCESSES, Clients
from bench.peers.questions import CLASSES, mix, questions
from bench.peers.roster import OF_POSTGRES, PEERS, Peer
from bench.peers.rows import prepare
from catalog.errors import UserError
from loader.sample import write_sample

WORKERS = 2
ROUNDS = 3
CLIENTS = (1, 8, 32)
COMPARED = 4
"""So many questions of each class are compared."""

LATENCY_WEIGHT, MIX_WEIGHT = 1, 3
"""What share of the time one class with one client gets, and the mix with some number of clients."""

OVERRUN = 1.5
"""Slow answers may take so many times the given seconds; then it is ended."""

PATHS_A_SECOND = 4_000
WARM_S = 1.0
SEED = 11
LOADED_A_SECOND = 5_000
"""A load slower than this is given up."""

Tell = Callable[[str], None]


@dataclass
class Measured:
    """What was measured.

    Attributes:
        peers: those that took part.
        skipped: why others did not.
        latency: by class and by peer.
        throughput: by number of clients and by peer.
        compared: how many answers were compared, by peer.
        notes: what else a reader should know.
    """

    rows: int
    seconds: float
    workers: int
    peers: list[Peer] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    latency: dict[str, dict[str, Latency]] = field(default_factory=dict)
    throughput: dict[int, dict[str, Throughput]] = field(default_factory=dict)
    compared: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def p50(self) -> dict[str, dict[str, float | None]]:
        """Milliseconds, by class and peer."""
        return {what: {name: each.p50 for name, each in by.items()} for what, by in self.latency.items()}

    @property
    def rates(self) -> dict[str, dict[str, float | None]]:
        """Answers a second, by clients and peer."""
        by_clients = self.throughput.items()
        return {clients_named(n): {name: each.rate for name, each in by.items()} for n, by in by_clients}


def clients_named(number: int) -> str:
    """A number of clients in words."""
    return f"{number} client{'s' if number > 1 else ''}"


def measure(rows: int, names: Sequence[str], seconds: float, data_dir: Path | None, tell: Tell) -> Measured:
    """Set all up, compare their answers, and measure for so many seconds.

    Raises:
        UserError: a server does not start, or two gave different answers.
    """
    found = Measured(rows, seconds, WORKERS)
    with ExitStack() as stack:
        folder = stack.enter_context(_folder(data_dir))
        csv = _sample(folder, rows, tell)
        ports = _start(stack, found, names, folder, csv, tell)
        clients = stack.enter_context(Clients())
        _compare(found, ports, clients, tell)
        _measure(found, ports, clients, tell)
    return found


@contextmanager
def _folder(data_dir: Path | None) -> Iterator[Path]:
    if data_dir:
        data_dir.mkdir(parents=True, exist_ok=True)
        yield data_dir.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="bench-http-") as folder:
        yield Path(folder)


def _sample(folder: Path, rows: int, tell: Tell) -> Path:
    path = folder / f"sample-{rows}.csv"
    if not path.exists():
        tell(f"writing {rows:,} rows")
        part = path.with_suffix(".part")
        write_sample(part, rows, 42, lambda done, total: None)
        part.rename(path)
    return path


def _start(
    stack: ExitStack, found: Measured, names: Sequence[str], folder: Path, csv: Path, tell: Tell
) -> Mapping[str, int]:
    """Start all that can be; their ports by name."""
    tell("loading the file and starting this service")
    ours = stack.enter_context(running.service(folder, csv, found.workers, 60 + found.rows / LOADED_A_SECOND))
    prepared = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-peers-")))
    prepare(csv, prepared)
    server: Path | None = None
    ports = {}
    for each in PEERS:
        if names and each.name not in (OURS, *names):
            continue
        missing = [package for package in each.needs if find_spec(package) is None]
        if missing:
            found.skipped[each.name] = f"{' and '.join(missing)} is not installed; pip install -e '.[bench]'"
        elif each.module in OF_POSTGRES and not server and not (server := _postgres(stack, prepared, tell)):
            found.skipped[each.name] = "PostgreSQL (initdb, postgres and psql) is not installed"
        else:
            tell(f"starting {each.name}")
            port = stack.enter_context(running.peer(each.module, prepared, found.workers)) if each.module else ours
            ports[each.name] = port
            found.peers.append(each)
            continue
        tell(f"{each.name} is skipped: {found.skipped[each.name]}")
    return ports


def _postgres(stack: ExitStack, prepared: Path, tell: Tell) -> Path | None:
    server = stack.enter_context(postgres.server())
    if server:
        from bench.peers.postgres import load

        tell("loading PostgreSQL")
        load(prepared, server)
    return server


def _compare(found: Measured, ports: Mapping[str, int], clients: Clients, tell: Tell) -> None:
    """Ask all the same, and compare every row; it also warms them up."""
    tell("comparing answers")
    asked = questions(SEED - 1)
    for of in CLASSES:
        if of.is_ours:
            continue
        for path in islice(asked[of.name], COMPARED if of.of_mix else 1):
            given = parse_qs(urlsplit(path).query)
            keys = (*(["interval"] if "interval" in given else []), *given["by"])
            truth = None
            for peer in found.peers:
                [told] = clients.ask(ports[peer.name], 1, 0, [path + peer.suffix], shows_bodies=True)
                [status], [body] = told["statuses"], told["bodies"]
                if status != 200:
                    _note(found, f"{peer.name} gave {status or 'no reply'} for {of.name}", tell)
                    continue
                figures = normalised(body, keys)
                truth = figures if truth is None else truth
                if wrong := difference(truth, figures):
                    raise UserError(f"{found.peers[0].name} and {peer.name} differ at {path}: {wrong}.")
                found.compared[peer.name] = found.compared.get(peer.name, 0) + 1
    warm = list(islice(mix(asked), 20_000))
    for number, peer in enumerate(found.peers):
        part = warm[number * 2_000 : (number + 1) * 2_000]
        clients.ask(ports[peer.name], 2 * PROCESSES, WARM_S, [path + peer.suffix for path in part])


def _note(found: Measured, note: str, tell: Tell) -> None:
    if note not in found.notes:
        found.notes.append(note)
        tell(note)


def _measure(found: Measured, ports: Mapping[str, int], clients: Clients, tell: Tell) -> None:
    """All that is measured, round after round."""
    asked, mixed = questions(SEED), mix(questions(SEED + 1))
    weight = sum(LATENCY_WEIGHT * (1 if of.is_ours else len(found.peers)) for of in CLASSES)
    weight += MIX_WEIGHT * len(CLIENTS) * len(found.peers)
    unit = found.seconds / (ROUNDS * weight)
    stuck: list[tuple[str, str]] = []
    steps = [(of.name, 1, asked[of.name], unit * LATENCY_WEIGHT) for of in CLASSES]
    steps += [(clients_named(number), number, mixed, unit * MIX_WEIGHT) for number in CLIENTS]
    begun = time.monotonic()
    for round_ in range(ROUNDS):
        turn = round_ % len(found.peers)
        for what, number, source, seconds in steps:
            elapsed = time.monotonic() - begun
            if round_ and elapsed > OVERRUN * found.seconds:
                _note(found, f"the time was over in round {round_ + 1} of {ROUNDS}", tell)
                return
            tell(f"round {round_ + 1} of {ROUNDS}, {elapsed:.0f} s: {what}")
            paths = list(islice(source, number + int(seconds * PATHS_A_SECOND)))
            for peer in found.peers[turn:] + found.peers[:turn]:
                if _is_asked(peer, what, stuck):
                    told = clients.ask(ports[peer.name], number, seconds, [path + peer.suffix for path in paths])
                    _count(found, peer, what, number, told, seconds)
                    if any(0 in each["statuses"] for each in told):
                        stuck.append((peer.name, what))
                        _note(found, f"{peer.name} gave no reply within {TIMEOUT_S:.0f} s: {what}", tell)


def _is_asked(peer: Peer, what: str, stuck: Sequence[tuple[str, str]]) -> bool:
    """Not what is another's, nor what gave no reply before; and nothing more where that happened twice."""
    is_other = any(of.name == what and of.is_ours for of in CLASSES) and peer.name != OURS
    return not is_other and (peer.name, what) not in stuck and [name for name, _ in stuck].count(peer.name) < 2


def _count(
    found: Measured, peer: Peer, what: str, number: int, told: Sequence[Mapping[str, Any]], seconds: float
) -> None:
    if what == clients_named(number):
        found.throughput.setdefault(number, {}).setdefault(peer.name, Throughput()).add(told, number, seconds)
    else:
        latency = found.latency.setdefault(what, {}).setdefault(peer.name, Latency())
        for each in told:
            latency.add(each["ms"], each["statuses"])
    if any(each["is_exhausted"] for each in told) and seconds > 0.1:
        _note(
            found, f"{peer.name} answered all questions that were made for it before the time was over", lambda _: None
        )
