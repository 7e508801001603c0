"""What a read of rollups has to add up to, so that nothing of it can be missing unnoticed. Pure.

A period's document counts the transactions of each code. The cells that a question reads have to add up to what is
counted; where the counts cannot tell, as below two filters, so many slices as are counted have to be there instead.
"""

from collections.abc import Iterable
from datetime import date

from catalog.calendar import Grain, Period, month_of
from catalog.dimensions import Dimension
from catalog.errors import InternalError
from catalog.purchases import DATE
from pipelines.ask.question import Question
from pipelines.plan.reads import RollupRead
from pipelines.state.version import Counts, Directory

_NONE = Counts(0)


class NotWhole(InternalError):
    """Something is missing of what was built of some periods."""

    def __init__(self, periods: Iterable[Period]) -> None:
        self.periods = frozenset(periods)
        super().__init__(f"rollups or pages are incomplete: {', '.join(sorted(each.name for each in self.periods))}")


def among(question: Question, dimension: Dimension | None) -> dict[str, list[int]]:
    """The condition that the filters put on the codes of a dimension; an unfiltered one has none."""
    condition: dict[str, list[int]] = {}
    for each in question.filters:
        if each.dimension is dimension:
            condition["$nin" if each.negated else "$in"] = list(each.codes)
    return condition


def cuts_days(read: RollupRead) -> bool:
    """Whether the cells are days, and not all of the periods' days count."""
    return (
        read.cells_by is not None
        and read.cells_by.is_date
        and any(not (read.first <= p.start and p.last <= read.last) for p in read.periods)
    )


def leaves_days(question: Question, read: RollupRead) -> bool:
    """Whether days that do not count are read too: what a member had on them is not counted anywhere."""
    return cuts_days(read) and bool(among(question, read.slice_by))


def counts_slices(question: Question, read: RollupRead) -> bool:
    """Whether slices are counted, as nobody knows what the cells add up to: under two filters, or one by day."""
    has_days = any(period.grain is Grain.DAY for period in read.periods)
    return bool(among(question, read.cells_by) and (has_days or among(question, read.slice_by)))


def expected(question: Question, read: RollupRead, directory: Directory) -> int:
    """How many transactions the cells of a read add up to; how many slices there are, where those are counted."""
    if counts_slices(question, read):
        return sum(_slices(question, read, period, directory) for period in read.periods)
    filtered = read.slice_by if among(question, read.slice_by) else read.cells_by
    condition = among(question, filtered)
    has_cuts = cuts_days(read) and not leaves_days(question, read)
    total = 0
    for period in read.periods:
        if period.grain is Grain.DAY:
            total += _of_days(directory, period, period.start, period.start)
        elif has_cuts and not (read.first <= period.start and period.last <= read.last):
            total += _of_days(directory, period, max(period.start, read.first), min(period.last, read.last))
        elif filtered and condition:
            total += _of_codes(directory.counts.get(period, _NONE), filtered, condition)
        else:
            total += directory.counts.get(period, _NONE).rows
    return total


def _slices(question: Question, read: RollupRead, period: Period, directory: Directory) -> int:
    """How many slices of a period are read: one of each member that occurs and is let through, or that of all."""
    if period.grain is Grain.DAY:
        return int(_of_days(directory, period, period.start, period.start) > 0)
    counts = directory.counts.get(period, _NONE)
    if read.slice_by is None:
        return int(counts.rows > 0)
    of, condition = counts.of(read.slice_by.name), among(question, read.slice_by)
    codes = set(condition.get("$in", range(len(of)))).difference(condition.get("$nin", ()))
    return sum(1 for code in codes if code < len(of) and of[code])


def _of_days(directory: Directory, period: Period, first: date, last: date) -> int:
    """The transactions of some days of a month."""
    counts = directory.counts.get(month_of(period.start), _NONE)
    return sum(counts.of(DATE.name)[first.day - 1 : last.day])


def _of_codes(counts: Counts, dimension: Dimension, condition: dict[str, list[int]]) -> int:
    """The transactions of the codes that a condition lets through."""
    of, excluded = counts.of(dimension.name), condition.get("$nin", ())
    if "$in" in condition:
        return sum([of[code] for code in set(condition["$in"]) if code < len(of) and code not in excluded])
    return counts.rows - sum([of[code] for code in set(excluded) if code < len(of)])
