"""PostgreSQL with materialized views: of each dimension, by day and of all time; the rows for everything else."""

from collections.abc import Callable
from pathlib import Path

from bench.peers.asked import DATE, Asked, Labels
from bench.peers.postgres import answerer
from bench.peers.statement import ADDED, table_of


def open_peer(folder: Path, labels: Labels) -> Callable[[Asked], bytes]:
    """Answers from the smallest view that can."""

    def smallest(asked: Asked) -> tuple[str, tuple[str, str, str]]:
        table, sums = table_of(asked)
        is_total = sums is ADDED and asked.by != (DATE,) and not (asked.first or asked.last or DATE in asked.by)
        return (table.replace("daily_", "total_"), sums) if is_total else (table, sums)

    return answerer(folder, labels, smallest)
