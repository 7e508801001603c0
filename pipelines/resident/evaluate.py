"""Questions answered from segments: by running sums where they reach, and from the rows elsewhere."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from math import prod

import numpy as np

from catalog.dimensions import Dimension, Vocabulary, date_of, day_number
from catalog.kinds import NULL
from catalog.purchases import DATE
from pipelines.ask.question import Filter, Question
from pipelines.derived.groups import Array, Groups
from pipelines.plan.reads import ColumnsRead
from pipelines.resident.segment import NAMES, Segment, steps

MOST_DENSE = 2**20
"""Up to so many possible groups are added up in one array; above it only those that occur are held."""

MOST_CUTS = 3
"""More stretches than this between whole steps are read as one, with all that lies between."""

Stretch = tuple[Segment, date, date]
"""A segment, and the first and last day that count of it."""


def read_resident(
    question: Question, read: ColumnsRead, segments: Mapping[int, Segment], vocabulary: Vocabulary
) -> Groups:
    """The groups of what a plan reads from columns.

    Attributes:
        segments: by year, those that the plan was made for.
    """
    stretches = [
        (segments[year], max(first, date(year, 1, 1)), min(last, date(year, 12, 31)))
        for first, last in read.stretches
        for year in range(first.year, last.year + 1)
        if year in segments
    ]
    sizes = {each.name: len(vocabulary[each.name]) for each in question.query.by if not each.is_date}
    return evaluate(stretches, question, sizes)


def evaluate(stretches: Sequence[Stretch], question: Question, sizes: dict[str, int]) -> Groups:
    """The groups of all transactions of some stretches, which do not overlap.

    Attributes:
        sizes: how many members each dimension has in the vocabulary.
    """
    by = [dimension for dimension in question.query.by if dimension is not DATE]
    first, last = min(each[1] for each in stretches), max(each[2] for each in stretches)
    buckets = _Buckets(question, day_number(first), day_number(last))
    shape = (len(buckets.starts), *(sizes[each.name] for each in by))
    blocks = (block for stretch in stretches for block in _blocks(*stretch, question, by, buckets))
    present, sums = (_dense if prod(shape) <= MOST_DENSE else _sparse)(blocks, shape)
    codes = dict(zip(by, present[1:], strict=True))
    keys = [buckets.starts[present[0]] if each is DATE else codes[each] for each in question.query.by]
    return Groups(tuple(([buckets.intervals[present[0]]] if question.interval else []) + keys), sums)


class _Buckets:
    """How a range of days is cut: into days, into intervals, or not at all.

    Attributes:
        starts, ends: the first and last day number of each bucket.
        intervals: the first day of the interval that each bucket lies in.
    """

    def __init__(self, question: Question, first: int, last: int) -> None:
        interval = question.interval
        if DATE in question.query.by:
            self.starts = np.arange(first, last + 1)
        elif interval:
            numbers = range(interval.number(date_of(first)), interval.number(date_of(last)) + 1)
            self.starts = np.array([max(first, day_number(interval.starting(number))) for number in numbers])
        else:
            self.starts = np.array([first])
        self.ends = np.append(self.starts[1:] - 1, last)
        if interval:
            self.intervals = np.array([day_number(interval.start(date_of(day))) for day in self.starts.tolist()])


Block = tuple[int, Array]
"""The first bucket of a run, and its sums: 3 x |buckets| x |members of each dimension|."""


def _dense(blocks: Iterable[Block], shape: tuple[int, ...]) -> tuple[tuple[Array, ...], Array]:
    total = np.zeros((3, *shape), np.int64)
    for first, sums in blocks:
        runs = (slice(first, first + sums.shape[1]), *map(slice, sums.shape[2:]))
        total[(slice(None), *runs)] += sums
    present = np.nonzero(total[0])
    return present, np.stack([each[present] for each in total])


def _sparse(blocks: Iterable[Block], shape: tuple[int, ...]) -> tuple[tuple[Array, ...], Array]:
    keys, values = [np.empty(0, np.int64)], [np.empty((3, 0), np.int64)]
    for first, sums in blocks:
        present = np.nonzero(sums[0])
        keys.append(np.ravel_multi_index((present[0] + first, *present[1:]), shape))
        values.append(np.stack([each[present] for each in sums]))
    order = np.argsort(joined := np.concatenate(keys), kind="stable")
    starts = np.flatnonzero(np.diff(joined[order], prepend=-1))
    added = np.add.reduceat(np.concatenate(values, axis=1)[:, order], starts, axis=1) if len(starts) else values[0]
    return tuple(np.unravel_index(joined[order][starts], shape)), added


def _blocks(
    segment: Segment, first: date, last: date, question: Question, by: Sequence[Dimension], buckets: _Buckets
) -> Iterator[Block]:
    base = segment.first_day
    low, high = day_number(first) - base, day_number(last) - base
    needed = {each.name for each in by} | {each.dimension.name for each in question.filters}
    names = tuple(name for name in NAMES if name in needed)
    running = segment.running.get(names)
    if running is not None and len(names) < 2 and len(buckets.starts) == 1:  # most questions: one subtraction
        sums = running[high] - running[low - 1] if low else running[high]
        yield 0, _pick(segment, question, by, names, sums[None])
        return
    begin = int(np.searchsorted(buckets.ends, base + low))
    end = int(np.searchsorted(buckets.starts, base + high, "right"))
    starts = np.maximum(buckets.starts[begin:end] - base, low)
    ends = np.minimum(buckets.ends[begin:end] - base, high)
    if running is None:
        yield begin, _scan(segment, question, by, starts, low, high)
        return
    ends_of_steps = steps(segment.year, len(names))
    starts_of_steps = np.append(0, ends_of_steps[:-1] + 1)
    first_steps = np.searchsorted(starts_of_steps, starts)
    last_steps = np.searchsorted(ends_of_steps, ends, "right") - 1
    whole = first_steps <= last_steps
    heads = np.where(whole, starts_of_steps[np.minimum(first_steps, len(starts_of_steps) - 1)] - 1, ends)
    tails = np.where(whole, ends_of_steps[last_steps] + 1, ends + 1)
    cuts = [*_cuts(starts, heads), *_cuts(tails, ends)]
    if len(cuts) > MOST_CUTS:
        yield begin, _scan(segment, question, by, starts, low, high)
        return
    if whole.any():
        yield begin, _pick(segment, question, by, names, _between(running, first_steps, last_steps, whole))
    for bucket, one, other in cuts:
        yield begin + bucket, _scan(segment, question, by, np.array([one]), one, other)


def _cuts(starts: Array, ends: Array) -> Iterator[tuple[int, int, int]]:
    """The buckets in which days are left over, with the first and last of these days."""
    for bucket in np.flatnonzero(starts <= ends).tolist():
        yield bucket, int(starts[bucket]), int(ends[bucket])


def _between(running: Array, first: Array, last: Array, whole: Array) -> Array:
    """The sums of the steps from `first` to `last` of each bucket: |buckets| x 3 x |cells|."""
    found = running[np.maximum(last, 0)]
    if len(first) > 1 and (first[1:] == last[:-1] + 1).all():
        found[1:] -= found[:-1].copy()
        if first[0] > 0:
            found[0] -= running[first[0] - 1]
        return found
    later = np.flatnonzero(whole & (first > 0))
    found[later] -= running[first[later] - 1]
    found[~whole] = 0
    return found


def _pick(segment: Segment, question: Question, by: Sequence[Dimension], names: Sequence[str], sums: Array) -> Array:
    """Of the sums of a combination's members those that the filters let through, by the dimensions of the rows."""
    cube = sums.reshape(len(sums), 3, *(segment.sizes[name] for name in names))
    kept = [dimension.name for dimension in by]
    for axis in range(len(names) - 1, -1, -1):
        conditions = [each for each in question.filters if each.dimension.name == names[axis]]
        if not conditions:
            continue
        allowed = np.logical_and.reduce([_allowed(each, segment.sizes[names[axis]]) for each in conditions])
        if names[axis] in kept:
            cube = cube * allowed.reshape(-1, *(1,) * (cube.ndim - axis - 3))
        else:
            cube = cube.compress(allowed, axis=axis + 2).sum(axis=axis + 2)
    left = [name for name in names if name in kept]
    return cube.transpose(1, 0, *(left.index(name) + 2 for name in kept))


def _scan(segment: Segment, question: Question, by: Sequence[Dimension], starts: Array, low: int, high: int) -> Array:
    """The sums of the rows of the days from `low` to `high`, in buckets that begin at `starts`."""
    within = slice(int(np.searchsorted(segment.days, low)), int(np.searchsorted(segment.days, high, "right")))
    rows: Array | None = None
    for each in sorted(question.filters, key=lambda each: _share(each, segment)):  # the most selective first
        codes = segment.codes[each.dimension.name][within]
        rows = np.flatnonzero(_kept(codes, each)) if rows is None else rows[_kept(codes[rows], each)]

    def taken(column: Array) -> Array:
        return column[within] if rows is None else column[within][rows]

    sizes = [segment.sizes[each.name] for each in by]
    cells = len(starts) * prod(sizes)
    kind = np.min_scalar_type(cells)  # narrow keys are composed faster
    keys = np.zeros(within.stop - within.start if rows is None else len(rows), kind)
    if len(starts) > 1:
        begins = np.zeros(high - low + 1, kind)
        begins[starts[1:] - low] = 1
        keys = begins.cumsum(dtype=kind)[taken(segment.days) - np.uint16(low)]
    for dimension, size in zip(by, sizes, strict=True):
        keys = keys * kind.type(size) + taken(segment.codes[dimension.name])
    return _added(keys.astype(np.intp), taken(segment.cents), cells).reshape(3, len(starts), *sizes)


def _added(keys: Array, cents: Array, cells: int) -> Array:
    """Transactions, priced and cents of each key: 3 x `cells`.

    `bincount` adds doubles, which is exact below 2^53: a segment whose amounts add up to more is not built.
    """
    sums = np.empty((3, cells), np.int64)
    sums[0] = np.bincount(keys, minlength=cells)
    unknown = np.bincount(keys[np.flatnonzero(cents == NULL)], minlength=cells)
    sums[1] = sums[0] - unknown
    sums[2] = np.bincount(keys, cents, cells) - NULL * unknown
    return sums


def _allowed(condition: Filter, size: int) -> Array:
    table = np.full(size, condition.negated)
    table[[code for code in condition.codes if code < size]] = not condition.negated
    return table


def _kept(codes: Array, condition: Filter) -> Array:
    if len(condition.codes) == 1:
        return np.asarray((codes != condition.codes[0]) if condition.negated else (codes == condition.codes[0]))
    return np.asarray(_allowed(condition, 2 ** (8 * codes.itemsize))[codes])


def _share(condition: Filter, segment: Segment) -> float:
    share = len(condition.codes) / segment.sizes[condition.dimension.name]
    return 1 - share if condition.negated else share
