"""Hold the transactions against the file that they came from: control totals."""

from dataclasses import dataclass
from pathlib import Path

from catalog.collections import LOADS, QUARANTINE, TRANSACTIONS
from catalog.errors import UserError
from catalog.kinds import NULL
from catalog.measures import AMOUNT
from loader.loads.report import CONFLICT
from loader.reading.clean import Cleaner, tomorrow
from loader.reading.files import read_chunks, survey
from store.client import Store, any_of, translated
from store.schema import read_vocabulary


@dataclass(frozen=True)
class Control:
    """What a file says, beside what is stored.

    Attributes:
        file: its name.
        rows, stored_rows: transactions in the file, each id once, and how many of them are stored.
        cents, stored_cents: the sum of their known amounts.
    """

    file: str
    rows: int
    stored_rows: int
    cents: int
    stored_cents: int

    @property
    def ok(self) -> bool:
        """Whether all is there, to the cent."""
        return (self.rows, self.cents) == (self.stored_rows, self.stored_cents)

    def __str__(self) -> str:
        verdict = "equal" if self.ok else "DIFFERENT"
        return (
            f"{self.file}: {self.rows:,} transactions, {self.cents:,} cents; "
            f"stored: {self.stored_rows:,} transactions, {self.stored_cents:,} cents: {verdict}"
        )


def compare_with_file(store: Store, path: Path) -> Control:
    """Read a loaded file again, and look up each of its transactions.

    Raises:
        UserError: this file was not loaded.
        FileRefused: it cannot be read.
    """
    found = survey(path)
    with translated():
        load_ids = [load["_id"] for load in store.db[LOADS.name].find({"sha256": found.sha256}, {"_id": 1})]
        if not load_ids:
            raise UserError(f"{path}: this file was not loaded, or has been changed since. Load it first.")
        refused = {"load_id": {"$in": load_ids}, "reason": CONFLICT}
        conflicts = {row["line"] for row in store.db[QUARANTINE.name].find(refused, {"line": 1})}
        cleaner = Cleaner(found.header, read_vocabulary(store), store.settings.timezone, tomorrow())
        seen: set[int] = set()
        rows = stored_rows = cents = stored_cents = 0
        for chunk in read_chunks(found):
            clean = cleaner.clean(chunk)
            columns = zip(
                clean.lines.tolist(),
                clean.columns["transaction_id"].tolist(),
                clean.columns[AMOUNT].tolist(),
                strict=True,
            )
            wanted = {}
            for line, transaction_id, amount in columns:
                if line not in conflicts and transaction_id not in seen:
                    wanted[transaction_id] = 0 if amount == NULL else amount
            seen.update(wanted)
            rows, cents = rows + len(wanted), cents + sum(wanted.values())
            projection = {AMOUNT: 1}
            for transaction in store.db[TRANSACTIONS.name].find(any_of(list(wanted)), projection):
                stored_rows += 1
                stored_cents += transaction[AMOUNT] or 0
    return Control(path.name, rows, stored_rows, cents, stored_cents)
