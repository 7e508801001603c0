"""DuckDB: a table in the memory of each worker, sorted by day, with enumerations; a cursor for each thread.

Measured on a million rows: in memory 10 to 40% faster than a file opened for reading only; enumerations as fast as
codes. Replies of thousands of rows are faster as JSON made by DuckDB, small ones by Python.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import orjson

from bench.peers import reply
from bench.peers.asked import DATE, MEASURES, Asked, Labels
from bench.peers.rows import ROWS
from bench.peers.statement import COUNTED, Dialect, grouped, keys, names, order

DIALECT = Dialect()
MANY_KEYS = 3
TABLE = "purchases"


def connect(folder: Path, labels: Labels) -> "duckdb.DuckDBPyConnection":
    """A database with the table of all rows, on as many threads as there are cores."""
    peer = duckdb.connect()
    columns = []
    for name, values in labels.items():
        if name != "hour":
            texts = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
            peer.execute(f"CREATE TYPE {name}_type AS ENUM ({texts})")
        columns.append("hour" if name == "hour" else f"{name}::{name}_type AS {name}")
    source = f"SELECT date, {', '.join(columns)}, cents FROM '{folder / ROWS}' ORDER BY date"  # noqa: S608
    peer.execute(f"CREATE TABLE {TABLE} AS {source}")
    return peer


def answerer(
    peer: "duckdb.DuckDBPyConnection", table_of: Callable[[Asked], tuple[str, tuple[str, str, str]]]
) -> Callable[[Asked], bytes]:
    """Answers questions from the tables that `table_of` chooses."""
    own = threading.local()

    def answer(asked: Asked) -> bytes:
        if not hasattr(own, "cursor"):
            own.cursor = peer.cursor()
        cursor: Any = own.cursor
        groups = grouped(asked, DIALECT, *table_of(asked))
        if len(keys(asked)) < MANY_KEYS:
            rows = cursor.execute(groups + order(asked)).fetchall()
            if DATE in asked.by:
                place = keys(asked).index(DATE)
                rows = [(*row[:place], row[place].isoformat(), *row[place + 1 :]) for row in rows]
            return reply.of_rows(asked, rows)
        rows, *sums = cursor.execute(_as_json(groups, asked)).fetchone()
        said: bytes = orjson.dumps(reply.totals([[each or 0 for each in sums]]))
        return b'{"rows": ' + (rows or "[]").encode() + b', "totals": ' + said + b"}"

    return answer


def _as_json(groups: str, asked: Asked) -> str:
    shown = (
        "n", "p", "c / 100.0::DOUBLE", "CASE WHEN p > 0 THEN ((2 * c + p) // (2 * p)) / 100.0::DOUBLE END",
    )  # fmt: skip
    measures = ", ".join(f"{text} AS {name}" for text, name in zip(shown, MEASURES, strict=True))
    limit = f" LIMIT {asked.limit}" if asked.limit else ""
    rows = f"SELECT {names(asked)}, {measures} FROM g{order(asked)}{limit}"  # noqa: S608
    array = f"(SELECT json_group_array(r)::VARCHAR FROM ({rows}) r)"  # noqa: S608
    return f"WITH g AS MATERIALIZED ({groups}) SELECT {array}, sum(n)::BIGINT, sum(p)::BIGINT, sum(c)::BIGINT FROM g"  # noqa: S608


def open_peer(folder: Path, labels: Labels) -> Callable[[Asked], bytes]:
    """Answers from the table of all rows."""
    return answerer(connect(folder, labels), lambda asked: (TABLE, COUNTED))
