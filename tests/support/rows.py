"""Purchases as lines of a CSV."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from random import Random

from catalog.purchases import PURCHASES, STATES

VALUES: Mapping[str, Sequence[str]] = {
    "Gender": ("Female", "Male", "male", ""), "Marital_status": ("Single", "Married"),
    "Segment": ("Basic", "Gold", "Missing", "Platinum", "Silver"), "Payment_method": ("Card", "PayPal", "Other"),
    "Employees_status": ("Employees", "workers", "self-employed", "Unemployment", ""), "Referral": ("0", "1", ""),
    "Amount_spent": ("", "0", "0.01", "999999999.99"),
}  # fmt: skip


def quietly(done: int, total: int) -> None:
    """Show no progress."""


def row(random: Random, number: int, day: date, states: Sequence[str] = STATES) -> str:
    """A random purchase on a day, as a line of a CSV."""
    fields = {column: random.choice(values) for column, values in VALUES.items()}
    if random.random() < 0.8:
        fields["Amount_spent"] = f"{random.randint(1, 300_000) / 100:.2f}"
    fields |= {
        "Transaction_ID": str(number),
        "Transaction_date": f"{day}T{random.choice((0, 9, random.randrange(24), 23)):02}:{random.randrange(60):02}:00",
        "Age": random.choice(("", "17", "18", "64", "65", str(random.randint(0, 120)))),
        "State_names": random.choice(states),
    }
    return ",".join(fields[column] for column in PURCHASES.header)


def write(path: Path, rows: Iterable[str]) -> Path:
    """Write the rows as a CSV."""
    path.write_text("\n".join([",".join(PURCHASES.header), *rows, ""]), encoding="utf-8")
    return path


def random_days(random: Random, count: int, first: date = date(2019, 11, 1), days: int = 900) -> list[date]:
    """Clustered days: some months are full, some empty, some have one day."""
    bunches = [first + timedelta(days=random.randrange(days)) for _ in range(random.randint(2, 8))]
    chosen = []
    for _ in range(count):
        if random.random() < 0.5:
            chosen.append(random.choice(bunches) + timedelta(days=random.randrange(4)))
        else:
            chosen.append(first + timedelta(days=random.randrange(days)))
    return chosen


def plain_row(number: int, **changes: str) -> str:
    """A plain row of a CSV, with some fields changed."""
    usual = ("", "2024-05-17T13:45:00", "Female", "39", "Single", "Ohio", "Gold", "workers", "Card", "0", "12.5")
    fields = dict(zip(PURCHASES.header, usual, strict=True))
    return ",".join((fields | {"Transaction_ID": str(number)} | changes).values())
