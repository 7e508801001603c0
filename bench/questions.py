"""The same questions to this project and to DuckDB, in one process and one run. All answers must be equal."""

import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import duckdb
import pyarrow as pa

from catalog.dimensions import day_number
from catalog.kinds import NULL
from catalog.measures import Parts
from catalog.purchases import PURCHASES
from pipelines.answer.answer import Answer
from pipelines.answer.answerer import Answerer
from pipelines.ask.queries import QUERIES, Query
from pipelines.ask.question import Filter, Question
from pipelines.derived.pages import read_pages
from pipelines.state.version import Directory
from store.client import Store
from store.timing import Timer

ROUNDS = 5
SEED = 4

Peer = duckdb.DuckDBPyConnection


def compare(store: Store) -> Mapping[str, tuple[float, float]]:
    """Median milliseconds of this project (with unpacked pages and no cached answers) and of DuckDB, by scenario.

    Raises:
        AssertionError: their answers differ.
    """
    answerer = Answerer(store, answer_rows=0)
    with store.snapshot() as snapshot:
        directory = answerer.known.as_of(snapshot)
    if directory.stale_months:
        raise AssertionError("run `python -m pipelines refresh` first")
    peer = _filled(store, directory)
    chosen = random.Random(SEED)  # noqa: S311  # repeatable
    spent: dict[str, tuple[list[float], list[float]]] = {}
    for query in QUERIES * ROUNDS:
        for scenario, question in _questions(query, chosen, directory).items():
            answerer.answer([question], Timer())[0]  # unpacks pages; DuckDB's data are in memory, too
            times = spent.setdefault(scenario, ([], []))
            start = time.perf_counter()
            answer = answerer.answer([question], Timer())[0]
            between = time.perf_counter()
            groups = _ask(peer, question)
            end = time.perf_counter()
            times[0].append((between - start) * 1000)
            times[1].append((end - between) * 1000)
            if not _same(answer, groups):
                raise AssertionError(f"{query.slug} {answer.filters}: the answers differ")
    return {name: (statistics.median(ours), statistics.median(theirs)) for name, (ours, theirs) in spent.items()}


def _filled(store: Store, directory: Directory) -> Peer:
    """DuckDB in memory, with one thread per core and all transactions as codes."""
    peer = duckdb.connect(config={"threads": os.cpu_count() or 1})
    with store.snapshot() as snapshot:
        for number, month in enumerate(directory.months):
            columns = read_pages(snapshot, [month])
            cents = pa.array(columns.cents, mask=columns.cents == NULL).cast(pa.int64())
            transactions = pa.table({name: pa.array(codes) for name, codes in columns.codes.items()} | {"cents": cents})
            peer.register("month", transactions)
            peer.execute("INSERT INTO t SELECT * FROM month" if number else "CREATE TABLE t AS SELECT * FROM month")
            peer.unregister("month")
    return peer


def _questions(query: Query, chosen: random.Random, directory: Directory) -> dict[str, Question]:
    months = sorted(directory.months)
    begin, end = months[0].start, months[-1].last
    first = begin + timedelta(chosen.randrange((end - begin).days))
    last = first + timedelta(chosen.randrange((end - first).days + 1))

    def ranged(filters: int) -> Question:
        dimensions = chosen.sample(PURCHASES.filterable, filters)
        conditions = tuple(
            Filter(each, (chosen.randrange(1, len(directory.vocabulary[each.name])),)) for each in dimensions
        )
        return Question(query, first, last, conditions)

    return {
        "all time": Question(query),
        "any range": ranged(0),
        "one filter, all time": replace(ranged(1), first=None, last=None),
        "one filter, any range": ranged(1),
        "several filters, any range": ranged(chosen.choice((2, 3))),
    }


def _ask(peer: Peer, question: Question) -> dict[tuple[int, ...], Parts]:
    keys = [each.name for each in question.query.by]
    conditions = [f"{each.dimension.name} = {each.codes[0]}" for each in question.filters]
    conditions += [f'"date" >= {day_number(question.first)}'] if question.first else []
    conditions += [f'"date" <= {day_number(question.last)}'] if question.last else []
    grouped = ", ".join(f'"{key}"' for key in keys)
    statement = f"SELECT {grouped + ', ' if keys else ''}count(*), count(cents), sum(cents)::BIGINT FROM t"  # noqa: S608
    statement += f" WHERE {' AND '.join(conditions)}" if conditions else ""
    statement += f" GROUP BY {grouped}" if keys else ""
    rows = peer.execute(statement).fetchall()
    return {row[:-3]: Parts(row[-3], row[-2], row[-1] or 0) for row in rows if row[-3]}


def _same(answer: Answer, groups: dict[tuple[int, ...], Parts]) -> bool:
    """Whether total and rows equal those of DuckDB, except for rows cut off by the query's limit."""
    total = Parts(*map(sum, zip(*groups.values(), strict=True))) if groups else Parts(0, 0, 0)
    rows = Counter(parts for _, parts in answer.rows)
    cut = answer.question.query.limit is not None
    return answer.total == total and (rows <= Counter(groups.values()) if cut else rows == Counter(groups.values()))
