"""Who takes part: this service, the same asked for plain `$group`, and the peers."""

from dataclasses import dataclass

from bench.peers.figures import OURS, RAW


@dataclass(frozen=True)
class Peer:
    """Something that answers.

    Attributes:
        name: in tables and options.
        means: what it is.
        module: of `bench.peers`; None for this service.
        needs: what has to be installed.
        suffix: added to each question.
    """

    name: str
    means: str
    module: str | None = None
    needs: tuple[str, ...] = ()
    suffix: str = ""


PEERS = (
    Peer(OURS, "this service, `python -m service`, with its defaults"),
    Peer(RAW, "the same service asked with source=raw: a plain $group over the transactions", suffix="&source=raw"),
    Peer("duckdb", "DuckDB: a table in memory, sorted by day", "duckdb", ("duckdb", "orjson")),
    Peer("rollups", "DuckDB with daily rollups of each dimension", "rollups", ("duckdb", "orjson")),
    Peer("polars", "Polars: lazy queries on a frame in memory", "polars", ("polars", "orjson")),
    Peer("chdb", "chdb: ClickHouse in the process", "chdb", ("chdb",)),
    Peer("pg", "PostgreSQL: a table of codes, an index on the day", "postgres", ("psycopg", "orjson")),
    Peer("pgviews", "PostgreSQL with materialized views of each dimension", "views", ("psycopg", "orjson")),
)
OF_POSTGRES = ("postgres", "views")
