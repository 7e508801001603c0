"""PostgreSQL for comparison: its own server for one measurement, with the same data in the same normalized design.

COPY into a staging table, four reference tables, customers, transactions with keys and the same secondary indexes, and
one materialized view for each of the eleven questions: what an experienced PostgreSQL user would write. The settings
are the defaults, except for the memory for sorting and building indexes.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.ask.queries import QUERIES

ENUMERATED = ("gender", "age_group", "marital_status", "referral")
REFERENCED = {
    "state": ("states", "state_names"),
    "segment": ("segments", "segment"),
    "employment_status": ("employment_status", "employees_status"),
    "payment_method": ("payment_methods", "payment_method"),
}

_SETTINGS = (
    "listen_addresses=", "shared_buffers=512MB", "maintenance_work_mem=256MB", "work_mem=64MB", "max_wal_size=4GB",
)  # fmt: skip

_STAGE = """
CREATE UNLOGGED TABLE staging (
    transaction_id bigint, transaction_date timestamp, gender text, age int, marital_status text, state_names text,
    segment text, employees_status text, payment_method text, referral text, amount_spent numeric);
"""
_COPY = r"\copy staging FROM '{path}' WITH (FORMAT csv, HEADER true, FORCE_NOT_NULL (gender, marital_status, state_names, segment, employees_status, payment_method, referral))"  # noqa: E501
_TABLES = """
CREATE TABLE customers (
    id bigint PRIMARY KEY, age smallint, age_group text NOT NULL, gender text NOT NULL, marital_status text NOT NULL,
    referral text NOT NULL, state_id int NOT NULL REFERENCES states, segment_id int NOT NULL REFERENCES segments,
    employment_status_id int NOT NULL REFERENCES employment_status);
CREATE TABLE transactions (
    id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers,
    payment_method_id int NOT NULL REFERENCES payment_methods, transaction_date timestamp NOT NULL, amount_cents bigint,
    day date NOT NULL, hour smallint NOT NULL, state_id int NOT NULL, segment_id int NOT NULL,
    employment_status_id int NOT NULL, age_group text NOT NULL, gender text NOT NULL, marital_status text NOT NULL,
    referral text NOT NULL, load_id text NOT NULL);
CREATE TEMP VIEW cleaned AS SELECT
    t.transaction_id AS id, t.transaction_date, t.age,
    CASE WHEN age IS NULL THEN 'Unknown' WHEN age < 18 THEN 'Under 18' WHEN age < 25 THEN '18-24'
         WHEN age < 35 THEN '25-34' WHEN age < 45 THEN '35-44' WHEN age < 55 THEN '45-54' WHEN age < 65 THEN '55-64'
         ELSE '65+' END AS age_group,
    COALESCE(NULLIF(t.gender, ''), 'Unknown') AS gender,
    COALESCE(NULLIF(t.marital_status, ''), 'Unknown') AS marital_status,
    CASE t.referral WHEN '1' THEN 'Referral' WHEN '0' THEN 'Non-referral' WHEN '' THEN 'Unknown' ELSE t.referral END
        AS referral,
    s.id AS state_id, g.id AS segment_id, e.id AS employment_status_id, p.id AS payment_method_id,
    (amount_spent * 100)::bigint AS amount_cents
FROM staging t
JOIN states s ON s.name = lower(t.state_names) JOIN segments g ON g.name = lower(t.segment)
JOIN employment_status e ON e.name = lower(t.employees_status)
JOIN payment_methods p ON p.name = lower(t.payment_method);
INSERT INTO customers SELECT id, age, age_group, gender, marital_status, referral, state_id, segment_id,
    employment_status_id FROM cleaned;
INSERT INTO transactions SELECT id, id, payment_method_id, transaction_date, amount_cents, transaction_date::date,
    extract(hour FROM transaction_date), state_id, segment_id, employment_status_id, age_group, gender, marital_status,
    referral, 'load' FROM cleaned;
"""
_INDEXES = """
CREATE INDEX ON transactions (day, hour);
CREATE INDEX ON transactions (state_id, day);
CREATE INDEX ON transactions (load_id, id);
CREATE INDEX ON customers (state_id, segment_id);
ANALYZE;
"""


@contextmanager
def server() -> Iterator[Path | None]:
    """A fresh server on a Unix socket, in a folder that is removed afterwards; None if PostgreSQL is not installed."""
    folders = [*sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True), os.environ.get("PATH", "")]
    initdb, postgres = (shutil.which(name, path=os.pathsep.join(folders)) for name in ("initdb", "postgres"))
    if not (initdb and postgres and shutil.which("psql")):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        user = _user(folder)
        data = f"{folder}/data"
        make = [initdb, "-D", data, "-A", "trust", "-U", "bench", "-E", "UTF8", "--locale=C"]
        subprocess.run(make, check=True, user=user, stdout=subprocess.DEVNULL)  # noqa: S603
        serve = [postgres, "-D", data, "-k", folder, *(part for each in _SETTINGS for part in ("-c", each))]
        process = subprocess.Popen(serve, user=user, stderr=subprocess.DEVNULL)  # noqa: S603
        try:
            _wait(Path(folder) / ".s.PGSQL.5432", process)
            yield Path(folder)
        finally:
            process.terminate()
            process.wait()


def load(folder: Path, path: Path) -> tuple[dict[str, float], tuple[int, int, int]]:
    """Load a CSV; returns the seconds of each step, and transactions, priced transactions and cents."""
    steps = {
        "copy": [_STAGE, _COPY.format(path=path)],
        "tables": [_references(), _TABLES],
        "indexes": [_INDEXES],
        "materialized views": [_views()],
    }
    seconds = {}
    for name, statements in steps.items():
        start = time.perf_counter()
        for statement in statements:
            run(folder, statement)
        seconds[name] = time.perf_counter() - start
    total = run(folder, "SELECT count(*), count(amount_cents), sum(amount_cents) FROM transactions")
    transactions, priced, cents = (int(each) for each in total.split("|"))
    return seconds, (transactions, priced, cents)


def run(folder: Path, statement: str) -> str:
    """The output of psql for a statement."""
    command = ["psql", "-h", str(folder), "-U", "bench", "-d", "postgres", "-XqtA", "-v", "ON_ERROR_STOP=1"]
    done = subprocess.run(command, input=statement, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout.strip()


def _references() -> str:
    """The reference tables, with names in lower case, as letter case does not matter."""
    statements = "CREATE TABLE {0} (id serial PRIMARY KEY, name text UNIQUE NOT NULL);\n"
    statements += "INSERT INTO {0} (name) SELECT DISTINCT lower({1}) FROM staging ORDER BY 1;\n"
    return "".join(statements.format(*each) for each in REFERENCED.values())


def _views() -> str:
    columns = {name: f"{name}_id" for name in REFERENCED} | {"date": "day"}
    views = ""
    for number, query in enumerate(QUERIES):
        keys = ", ".join(columns.get(each.name, each.name) for each in query.by)
        sums = "count(*) AS n, count(amount_cents) AS p, sum(amount_cents) AS r"
        grouped = f"{keys}, {sums} FROM transactions GROUP BY {keys}" if keys else f"{sums} FROM transactions"
        views += f"CREATE MATERIALIZED VIEW view_{number} AS SELECT {grouped};"
    return views


def _user(folder: str) -> str | None:
    """The user to run as: PostgreSQL refuses to run as root, so then `nobody`, who gets the folder."""
    if os.geteuid():
        return None
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return "nobody"


def _wait(path: Path, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(300):
        with socket.socket(socket.AF_UNIX) as probe:
            if process.poll() is not None:
                raise RuntimeError("PostgreSQL did not start")
            try:
                probe.connect(str(path))
            except OSError:
                time.sleep(0.1)
            else:
                return
    raise RuntimeError("PostgreSQL did not answer")
