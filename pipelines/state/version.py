"""What the database holds at one moment, as the planner and the caches see it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from catalog.calendar import Period, year_of
from catalog.dimensions import Vocabulary
from catalog.purchases import PURCHASES


class Version(NamedTuple):
    """Names a state of the data.

    Attributes:
        epoch: names the database; a new one begins again with another.
        number: the data version; grows with each commit that changes an answer, 0 before the first.
        layout: grows with each refresh, which changes what is read but no answer.
    """

    epoch: str
    number: int
    layout: int

    def has_data_of(self, other: "Version") -> bool:
        """Whether the data are the same, however they are laid out."""
        return (self.epoch, self.number) == (other.epoch, other.number)


EMPTY = Version("", 0, 0)


@dataclass(frozen=True)
class Month:
    """A month that has, or had, transactions.

    Attributes:
        rows: how many, when its page and rollups were built.
        changed: the data version that changed its transactions last.
        built: the data version that its page and rollups show; None where there are none yet.
    """

    rows: int
    changed: int
    built: int | None

    @property
    def stale(self) -> bool:
        """Whether its page and rollups must not be used."""
        return self.built != self.changed


@dataclass(frozen=True)
class Directory:
    """The state of the database as of one snapshot.

    Attributes:
        version: its name.
        months: by period, in order of time.
        fresh_years: the years whose rollups are right.
        stale_years: the others.
        vocabulary: the members of the dimensions.
        verification: what the last `loader verify` found, or None.
    """

    version: Version
    months: Mapping[Period, Month] = field(default_factory=dict)
    fresh_years: frozenset[Period] = frozenset()
    stale_years: frozenset[Period] = frozenset()
    vocabulary: Vocabulary = field(default_factory=lambda: PURCHASES.vocabulary)

    verification: Mapping[str, Any] | None = None

    @cached_property
    def rows(self) -> Mapping[Period, int]:
        """How many transactions each month and year has, as far as they are built."""
        rows = {month: state.rows for month, state in self.months.items()}
        for month, count in tuple(rows.items()):
            year = year_of(month.start)
            rows[year] = rows.get(year, 0) + count
        return rows

    @cached_property
    def stale_months(self) -> tuple[Period, ...]:
        """The months to be refreshed."""
        return tuple(month for month, state in self.months.items() if state.stale)
