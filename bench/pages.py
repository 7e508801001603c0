"""Two ways to store and evaluate a page: packed numbers with numpy, or Arrow IPC with Arrow's own compute."""

import statistics
import time
from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog.calendar import Grain, Period
from catalog.dimensions import day_of
from catalog.kinds import NULL
from catalog.purchases import DATE, GENDER, PURCHASES, SEGMENT, STATE
from pipelines.ask.queries import BY_SLUG
from pipelines.ask.question import Filter, Question
from pipelines.derived.columns import Columns
from pipelines.derived.pages import evaluate, pack, unpack

RUNS = 9
DAYS = 365
FIRST = 18262
YEAR = Period(day_of(FIRST).date(), Grain.YEAR)


def compare_page_formats(rows: int) -> Mapping[str, tuple[float, float]]:
    """Median milliseconds of numpy and of Arrow, by measurement; fails if their groups differ."""
    columns = _random_columns(rows)
    table = _as_arrow(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    ipc = sink.getvalue()
    pages = list(pack(columns, YEAR, 1))
    found = {"open a page": _in_turn(lambda: unpack(pages), lambda: pa.ipc.open_stream(ipc).read_all())}
    for name, filters in _FILTERS.items():
        question = Question(BY_SLUG["revenue-by-segment"], filters=filters)

        def ours(question: Question = question) -> dict[tuple[int, ...], tuple[int, ...]]:
            return {
                key: tuple(parts) for key, parts in evaluate(columns, question, FIRST, FIRST + DAYS).as_dict().items()
            }

        def arrow(filters: tuple[Filter, ...] = filters) -> dict[tuple[int, ...], tuple[int, ...]]:
            return _with_arrow(table, filters)

        if ours() != arrow():
            raise AssertionError("the two differ")
        found[name] = _in_turn(ours, arrow)
    return found


_FILTERS = {
    "segments, no filter": (),
    "segments of a state": (Filter(STATE, (43,)),),
    "segments of men in five states": (Filter(STATE, (3, 9, 13, 20, 43)), Filter(GENDER, (2,))),
}


def _random_columns(rows: int) -> Columns:
    random = np.random.default_rng(1)
    codes = {each.name: random.integers(0, len(each.members), rows, np.uint8) for each in PURCHASES.filterable}
    codes[DATE.name] = np.sort(random.integers(FIRST, FIRST + DAYS, rows)).astype(np.int32)
    cents = random.integers(200, 300_000, rows).astype(np.int32)
    cents[random.random(rows) < 0.1] = NULL
    return Columns(codes, cents)


def _as_arrow(columns: Columns) -> pa.Table:
    cents = pa.array(columns.cents, mask=columns.cents == NULL).cast(pa.int64())
    return pa.table({name: pa.array(codes) for name, codes in columns.codes.items()} | {"cents": cents})


def _with_arrow(table: pa.Table, filters: tuple[Filter, ...]) -> dict[tuple[int, ...], tuple[int, ...]]:
    for each in filters:
        table = table.filter(pc.is_in(table[each.dimension.name], pa.array(each.codes, pa.uint8())))
    sums = [("cents", "count", pc.CountOptions(mode="all")), ("cents", "count"), ("cents", "sum")]
    grouped = table.group_by(SEGMENT.name).aggregate(sums)
    keys, *parts = (grouped.column(index).to_pylist() for index in range(4))
    return {(key,): tuple(each) for key, *each in zip(keys, *parts, strict=True)}


def _in_turn(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    spent: tuple[list[float], list[float]] = ([], [])
    for _ in range(RUNS):
        for action, times in zip((one, other), spent, strict=True):
            start = time.perf_counter()
            action()
            times.append((time.perf_counter() - start) * 1000)
    return statistics.median(spent[0]), statistics.median(spent[1])
