"""A question as SQL. Names and values were checked against what there is, so they can stand in the text."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.peers.asked import DATE, Asked

COUNTED = ("count(*)", "count(cents)", "coalesce(sum(cents), 0)")
ADDED = ("sum(n)", "sum(p)", "sum(c)")
"""The sums of rows, and of a table that has them summed up by day."""


def quoted(name: str, label: str) -> str:
    """A value as it stands in SQL where columns have labels."""
    return label if name == "hour" else "'" + label.replace("'", "''") + "'"


@dataclass(frozen=True)
class Dialect:
    """How one database says it.

    Attributes:
        year: the first day of a date's year.
        whole: a sum as a whole number of 64 bits.
        value: a value of a dimension.
    """

    year: str = "date_trunc('year', date)::date"
    whole: str = "({})::bigint"
    value: Callable[[str, str], str] = quoted


def keys(asked: Asked) -> tuple[str, ...]:
    """The columns that a row is named by, in order."""
    return ("interval", *asked.by) if asked.is_by_year else asked.by


def grouped(asked: Asked, dialect: Dialect, table: str, sums: tuple[str, str, str] = COUNTED) -> str:
    """The groups: the keys, then n, p and c (transactions, those with an amount, cents), without an order."""
    measures = [f"{dialect.whole.format(sum_)} AS {name}" for sum_, name in zip(sums, "npc", strict=True)]
    return f"{selected(asked, dialect, measures)} FROM {table}{where(asked, dialect)} GROUP BY {names(asked)}"


def selected(asked: Asked, dialect: Dialect, measures: Iterable[str]) -> str:
    """The keys and some measures."""
    year = [f'{dialect.year} AS "interval"'] if asked.is_by_year else []
    return f"SELECT {', '.join([*year, *asked.by, *measures])}"


def where(asked: Asked, dialect: Dialect) -> str:
    """Which rows count."""
    conditions = [f"date >= '{asked.first}'"] if asked.first else []
    conditions += [f"date <= '{asked.last}'"] if asked.last else []
    for name, labels in asked.filters:
        values = ", ".join(dialect.value(name, label) for label in labels)
        conditions.append(f"{name} IN ({values})" if len(labels) > 1 else f"{name} = {values}")
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def names(asked: Asked) -> str:
    """The keys as SQL."""
    return ", ".join(f'"{key}"' for key in keys(asked))


def order(asked: Asked, revenue: str = "c") -> str:
    """The order of the rows."""
    return f" ORDER BY {names(asked)}" if asked.is_in_time else f" ORDER BY {revenue} DESC, {names(asked)}"


def table_of(asked: Asked, rows: str = "purchases") -> tuple[str, tuple[str, str, str]]:
    """The table of days that has a question's sums, or that of all rows."""
    if asked.is_by_year or len(asked.dimensions) > 1:
        return rows, COUNTED
    return f"daily_{next(iter(asked.dimensions), 'all')}", ADDED


def table_names(dimensions: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The tables of days, and their columns besides the sums."""
    return {"daily_all": (DATE,)} | {f"daily_{name}": (DATE, name) for name in dimensions}
