"""DuckDB with daily rollups: a table of days and each single dimension, and the rows for everything else."""

from collections.abc import Callable
from pathlib import Path

from bench.peers.asked import DIMENSIONS, Asked, Labels
from bench.peers.duckdb import TABLE, answerer, connect
from bench.peers.statement import COUNTED, table_names, table_of


def open_peer(folder: Path, labels: Labels) -> Callable[[Asked], bytes]:
    """Answers from the smallest table that can."""
    peer = connect(folder, labels)
    for name, columns in table_names(DIMENSIONS).items():
        keys, sums = ", ".join(columns), "{}::INTEGER AS n, {}::INTEGER AS p, {}::BIGINT AS c".format(*COUNTED)
        peer.execute(f"CREATE TABLE {name} AS SELECT {keys}, {sums} FROM {TABLE} GROUP BY {keys} ORDER BY {keys}")  # noqa: S608
    return answerer(peer, table_of)
