"""Polars: a frame in the memory of each worker, sorted by day, with enumerations; lazy queries, JSON by itself."""

from collections.abc import Callable
from pathlib import Path

import orjson
import polars as pl

from bench.peers import reply
from bench.peers.asked import DATE, MEASURES, Asked, Labels
from bench.peers.rows import ROWS
from bench.peers.statement import keys

SUMS = (pl.len().alias("n"), pl.col("cents").count().alias("p"), pl.col("cents").cast(pl.Int64).sum().alias("c"))
_N, _P, _C = (pl.col(name).cast(pl.Int64) for name in "npc")
FIGURES = (
    _N, _P, (_C / 100).round(2), pl.when(_P > 0).then(((2 * _C + _P) // (2 * _P) / 100).round(2)),
)  # fmt: skip
"""Polars multiplies by 1/100, and gives 1499.8600000000001; rounding makes it the nearest double again."""


def open_peer(folder: Path, labels: Labels) -> Callable[[Asked], bytes]:
    """Answers from the frame."""
    enumerated = [pl.col(name).cast(pl.Enum(values)) for name, values in labels.items() if name != "hour"]
    frame = pl.read_parquet(folder / ROWS).with_columns(enumerated).sort(DATE).rechunk()

    def answer(asked: Asked) -> bytes:
        rows = frame.lazy()
        for bound, is_first in ((asked.first, True), (asked.last, False)):
            if bound:
                rows = rows.filter(pl.col(DATE) >= bound if is_first else pl.col(DATE) <= bound)
        for name, values in asked.filters:
            given = [int(value) if name == "hour" else value for value in values]
            rows = rows.filter(pl.col(name).is_in(given) if len(given) > 1 else pl.col(name) == given[0])
        names = list(keys(asked))
        if asked.is_by_year:
            rows = rows.with_columns(pl.col(DATE).dt.truncate("1y").alias("interval"))
        groups = rows.group_by(names).agg(SUMS).collect()
        downward = [True] + [False] * len(names)
        groups = groups.sort(names) if asked.is_in_time else groups.sort(["c", *names], descending=downward)
        total: bytes = orjson.dumps(reply.totals([groups.select("n", "p", "c").sum().row(0)]))
        measures = [figure.alias(name) for figure, name in zip(FIGURES, MEASURES, strict=True)]
        body: str = groups.head(asked.limit or len(groups)).select(*names, *measures).write_json()
        return b'{"rows": ' + body.encode() + b', "totals": ' + total + b"}"

    return answer
