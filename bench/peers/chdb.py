"""chdb, which is ClickHouse in the process: enumerations, and JSON with totals made by ClickHouse itself.

Measured on a million rows, the engine Memory is 20 to 30% faster than MergeTree, whose index pays with more of them.
One session answers one question at a time: with a session for each thread, chdb 4.4 stopped answering within seconds.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet
from chdb.session import Session

from bench.peers import reply
from bench.peers.asked import DATE, Asked, Labels
from bench.peers.rows import ROWS
from bench.peers.statement import Dialect, names, order, selected, where

DIALECT = Dialect(year="toStartOfYear(date)")
FEW_ROWS = 2_000_000
SETTINGS = (
    " SETTINGS output_format_json_quote_64bit_integers = 0, output_format_write_statistics = 0,"
    " output_format_parallel_formatting = 0,"
    " compile_expressions = 0, compile_aggregate_expressions = 0, compile_sort_description = 0"
)
"""Compiling pays for long queries; with it the mix of one client had 10 answers a second instead of 130."""

NO_ROWS, HEAD_BYTES = b"\t[\n,", 20_000
"""What ClickHouse writes in place of rows and totals where there are none, which is no JSON."""

_P, _C = "count(cents)", "coalesce(sum(cents), 0)"
FIGURES = (
    "count() AS transactions", f"{_P} AS priced_transactions", f"{_C} / 100 AS revenue",
    f"if({_P} > 0, intDiv(2 * {_C} + {_P}, 2 * {_P}) / 100, NULL) AS average_spend",
)  # fmt: skip


def open_peer(folder: Path, labels: Labels) -> Callable[[Asked], bytes]:
    """Answers from a table of all rows."""
    turn = threading.Lock()
    session = Session()
    columns = [
        f"{name} " + ("UInt8" if name == "hour" else f"Enum8({', '.join(map(_literal, values))})")
        for name, values in labels.items()
    ]
    is_small = pyarrow.parquet.read_metadata(folder / ROWS).num_rows <= FEW_ROWS
    engine = "Memory" if is_small else f"MergeTree ORDER BY {DATE}"
    session.query("CREATE DATABASE IF NOT EXISTS peer")
    session.query(
        f"CREATE TABLE peer.purchases ({DATE} Date, {', '.join(columns)}, cents Nullable(Int32)) ENGINE = {engine}"
    )
    all_names = ", ".join((DATE, *labels, "cents"))
    source = f"SELECT {all_names} FROM file('{folder / ROWS}', Parquet) ORDER BY {DATE}"  # noqa: S608
    session.query(f"INSERT INTO peer.purchases ({all_names}) {source}")

    def answer(asked: Asked) -> bytes:
        limit = f" LIMIT {asked.limit}" if asked.limit else ""
        statement = selected(asked, DIALECT, FIGURES) + " FROM peer.purchases" + where(asked, DIALECT)
        statement += f" GROUP BY {names(asked)} WITH TOTALS{order(asked, 'revenue')}{limit}"
        with turn:
            body = bytes(session.query(statement + SETTINGS, "JSON").bytes())
        return body if NO_ROWS not in body[:HEAD_BYTES] else reply.of_rows(asked, [])

    return answer


def _literal(label: str) -> str:
    return "'" + label.replace("'", "\\'") + "'"
