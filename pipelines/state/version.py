"""The state of the database at one moment, as the planner and the caches see it. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from itertools import accumulate
from struct import unpack
from typing import Any, NamedTuple

from catalog.calendar import Grain, Period, year_of
from catalog.dimensions import Vocabulary, date_of, day_number
from catalog.purchases import DATE, PURCHASES


class Version(NamedTuple):
    """Identifies a state of the data.

    Attributes:
        epoch: identifies the database; a new database has another.
        number: the data version; grows with each commit that changes an answer, 0 before the first.
        builds: grows with each refresh, which changes the data read but no answer.
    """

    epoch: str
    number: int
    builds: int

    def has_data_of(self, other: "Version") -> bool:
        """Whether the data are the same, whatever was derived from them."""
        return (self.epoch, self.number) == (other.epoch, other.number)


EMPTY = Version("", 0, 0)


@dataclass(frozen=True)
class Month:
    """A month that has, or had, transactions.

    Attributes:
        rows: how many, when its page and rollups were built.
        changed: the data version that last changed its transactions.
        built: the data version of its pages and rollups; None if there are none yet.
    """

    rows: int
    changed: int
    built: int | None

    @property
    def stale(self) -> bool:
        """Whether its page and rollups must not be used."""
        return self.built != self.changed


@dataclass(frozen=True, eq=False)
class Counts:
    """How many transactions a month or year had when it was built: what is read must add up to this.

    Attributes:
        rows: of all.
        packed: by dimension, of each code as four bytes, the lowest first; by day of the month under `date`.
    """

    rows: int
    packed: Mapping[str, bytes] = field(default_factory=dict)
    _unpacked: dict[str, tuple[int, ...]] = field(default_factory=dict, init=False, repr=False)

    def of(self, dimension: str) -> tuple[int, ...]:
        """How many of each code; codes beyond the end have none."""
        found = self._unpacked.get(dimension)
        if found is None:
            packed = self.packed.get(dimension, b"")
            found = self._unpacked[dimension] = unpack(f"<{len(packed) // 4}I", packed)
        return found

    def codes(self, dimension: str) -> Iterator[int]:
        """Those that transactions had."""
        return (code for code, rows in enumerate(self.of(dimension)) if rows)


@dataclass(frozen=True)
class Directory:
    """The state of the database as of one snapshot.

    Attributes:
        version: its name.
        months: by period, in order of time.
        fresh_years: the years whose rollups are current.
        stale_years: the others.
        vocabulary: the members of the dimensions.
        verification: the result of the last verification, or None.
        counts: of the periods that were built.
        unrecorded: periods with transactions but without a document; they are stale.
        incomplete: periods with missing rollups or pages; they are treated as stale.
    """

    version: Version
    months: Mapping[Period, Month] = field(default_factory=dict)
    fresh_years: frozenset[Period] = frozenset()
    stale_years: frozenset[Period] = frozenset()
    vocabulary: Vocabulary = field(default_factory=lambda: PURCHASES.vocabulary)

    verification: Mapping[str, Any] | None = None
    counts: Mapping[Period, Counts] = field(default_factory=dict)
    unrecorded: frozenset[Period] = frozenset()
    incomplete: frozenset[Period] = frozenset()

    @cached_property
    def rows(self) -> Mapping[Period, int]:
        """The number of transactions of each month and year that was built."""
        rows = {month: state.rows for month, state in self.months.items()}
        for month, count in tuple(rows.items()):
            year = year_of(month.start)
            rows[year] = rows.get(year, 0) + count
        return rows

    @cached_property
    def stale_months(self) -> tuple[Period, ...]:
        """The months to be refreshed."""
        return tuple(month for month, state in self.months.items() if state.stale)

    def months_between(self, first: date | None, last: date | None) -> tuple[Period, ...]:
        """The months that have days from `first` to `last`, in order of time; None is open."""
        months = self._ordered
        if not first and not last:
            return months
        begin = bisect_left(months, first, key=lambda month: month.last) if first else 0
        end = bisect_right(months, last, key=lambda month: month.start) if last else len(months)
        return months[begin:end]

    def stale_months_among(self, months: Sequence[Period]) -> bool:
        """Whether some of these months are stale."""
        return bool(self.stale_months) and any(self.months[month].stale for month in months)

    def rows_of(self, months: Sequence[Period]) -> int:
        """The transactions of months that follow each other in `months`, when they were built."""
        if not months:
            return 0
        before = self._rows_before
        return before[self._place[months[-1]] + 1] - before[self._place[months[0]]]

    @cached_property
    def _place(self) -> Mapping[Period, int]:
        return {month: place for place, month in enumerate(self._ordered)}

    @cached_property
    def _rows_before(self) -> tuple[int, ...]:
        return tuple(accumulate((state.rows for state in self.months.values()), initial=0))

    @cached_property
    def days(self) -> tuple[date, date] | None:
        """The first and last day with transactions; None where that is not known, or there are none."""
        if self.stale_months:
            return None
        found = [
            date_of(day_number(month.start) + place)
            for month in self._ordered
            for place in self.counts.get(month, Counts(0)).codes(DATE.name)
        ]
        return (found[0], found[-1]) if found else None

    @cached_property
    def _ordered(self) -> tuple[Period, ...]:
        return tuple(self.months)

    def without(self, periods: Iterable[Period]) -> "Directory":
        """The same, without using the derived data of some periods, as part of it is missing."""
        missing = frozenset(periods)
        months = {
            month: replace(state, built=None) if month in missing else state for month, state in self.months.items()
        }
        years = frozenset(period for period in missing if period.grain is Grain.YEAR)
        return replace(
            self, months=months, fresh_years=self.fresh_years - years, stale_years=self.stale_years | years,
            incomplete=self.incomplete | missing,
        )  # fmt: skip

    def is_verified(self, first: date | None = None, last: date | None = None) -> bool | None:
        """Whether the last verification found no difference and covered the current transactions of these days.

        None if there was no verification yet.
        """
        if self.verification is None:
            return None
        if self._is_all_verified:
            return True
        return self._is_verification_whole and all(
            self._is_month_verified(state)
            for month, state in self.months.items()
            if (not first or first <= month.last) and (not last or month.start <= last)
        )

    @cached_property
    def _is_all_verified(self) -> bool:
        return self._is_verification_whole and all(map(self._is_month_verified, self.months.values()))

    @property
    def _is_verification_whole(self) -> bool:
        """Whether it compared everything and found no difference, and all of it is still there.

        What was stale then was not compared.
        """
        found = self.verification or {}
        return bool(found.get("ok")) and not found.get("stale") and not self.incomplete and not self.unrecorded

    def _is_month_verified(self, month: Month) -> bool:
        return not month.stale and month.changed <= (self.verification or {}).get("data_version", -1)

    @property
    def last_verification(self) -> Mapping[str, Any] | None:
        """The last verification in short: `ok`, the data `version` that it is of, and when it was, `at`."""
        found = self.verification
        return found and {"ok": found["ok"], "version": found["data_version"], "at": found["verified_at"]}
