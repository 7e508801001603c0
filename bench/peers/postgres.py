"""PostgreSQL: one table of codes, in the order of days, with an index on the day; a connection for each thread.

The labels are a matter of the endpoint, which knows the codes. Statements are planned without the compiler (JIT), which
costs more than it gains here.
"""

import subprocess
import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from bench.peers import reply
from bench.peers.asked import DATE, DIMENSIONS, Asked, Labels
from bench.peers.rows import ROWS, read_labels
from bench.peers.statement import COUNTED, Dialect, grouped, keys, order, table_names
from bench.postgres import run

TABLE = "purchases"
SOCKET = "socket"
"""The file in the folder that names the server's own folder."""


def load(folder: Path, server: Path) -> None:
    """Fill the table and the materialized views."""
    labels = read_labels(folder)
    codes = server / "rows.csv"
    _write_codes(folder / ROWS, labels, codes)
    columns = ", ".join(f"{name} smallint NOT NULL" for name in DIMENSIONS)
    run(server, f"CREATE TABLE {TABLE} (date date NOT NULL, {columns}, cents integer)")
    run(server, rf"\copy {TABLE} FROM '{codes}' WITH (FORMAT csv)")
    codes.unlink()
    sums = "{} AS n, {} AS p, {} AS c".format(*COUNTED)
    views = table_names(DIMENSIONS) | {f"total_{name}": (name,) for name in DIMENSIONS}
    for name, keys_ in views.items():
        named = ", ".join(keys_)
        run(
            server,
            f"CREATE MATERIALIZED VIEW {name} AS SELECT {named}, {sums} FROM {TABLE} GROUP BY {named} ORDER BY {named};"  # noqa: S608
            + (f"CREATE INDEX ON {name} ({named})" if DATE in keys_ else ""),
        )
    run(server, f"CREATE INDEX ON {TABLE} (date)")
    run(server, "VACUUM ANALYZE")
    (folder / SOCKET).write_text(str(server))


def open_peer(folder: Path, labels: Labels) -> Callable[[Asked], bytes]:
    """Answers from the table of all rows."""
    return answerer(folder, labels, lambda asked: (TABLE, COUNTED))


def answerer(
    folder: Path, labels: Labels, table_of: Callable[[Asked], tuple[str, tuple[str, str, str]]]
) -> Callable[[Asked], bytes]:
    """Answers questions from the tables that `table_of` chooses."""
    own = threading.local()
    server = (folder / SOCKET).read_text()
    codes = {name: {label: str(code) for code, label in enumerate(values)} for name, values in labels.items()}
    dialect = Dialect(value=lambda name, label: codes[name][label])
    shown: dict[str, Callable[[Any], Any]] = {DATE: date.isoformat, "interval": date.isoformat}
    shown |= {name: values.__getitem__ for name, values in labels.items()}
    shown |= {"hour": list(map(int, labels["hour"])).__getitem__}

    def answer(asked: Asked) -> bytes:
        if not hasattr(own, "connection"):
            own.connection = psycopg.connect(
                f"host={server} user=bench dbname=postgres", autocommit=True, options="-c jit=off"
            )
        statement = grouped(asked, dialect, *table_of(asked)) + order(asked)
        rows = own.connection.execute(statement).fetchall()
        show = [shown[key] for key in keys(asked)]
        return reply.of_rows(
            asked, [(*(each(key) for each, key in zip(show, row, strict=False)), *row[-3:]) for row in rows]
        )

    return answer


def version() -> str:
    """The server's version."""
    said = subprocess.run(["postgres", "--version"], capture_output=True, text=True, check=False)  # noqa: S607
    return said.stdout.strip()


def _write_codes(rows: Path, labels: Labels, path: Path) -> None:
    options = pyarrow.csv.WriteOptions(include_header=False)
    with path.open("wb") as file:
        for batch in pyarrow.parquet.ParquetFile(rows).iter_batches():
            columns = {DATE: batch[DATE]}
            for name in DIMENSIONS:
                values = pa.array(labels[name]).cast(batch[name].type)
                columns[name] = pc.index_in(batch[name], values)
            pyarrow.csv.write_csv(pa.table(columns | {"cents": batch["cents"]}), file, options)
    path.chmod(0o644)
