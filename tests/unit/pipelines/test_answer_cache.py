"""The caches return what was put in, answers only for their version, and stay within their bounds."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from random import Random
from threading import Thread
from typing import Any

import numpy as np

from catalog.measures import Parts
from catalog.purchases import PURCHASES
from pipelines.answer.answer import Answer
from pipelines.answer.cache import AnswerCache, Cache, bytes_of
from pipelines.answer.table import Table
from pipelines.ask.queries import BY_SLUG
from pipelines.ask.question import Question, Source
from pipelines.derived.columns import Columns
from pipelines.derived.groups import Groups
from pipelines.plan.reads import Plan
from pipelines.state.version import Version

V1 = Version("one", 1, 0)


def question(number: int, source: Source = Source.AUTO) -> Question:
    """A question that differs from those with other numbers."""
    return Question(BY_SLUG["daily-sales"], first=date.fromordinal(700_000 + number), source=source)


def answer(of: Question, version: Version = V1, rows: int = 1) -> Answer:
    """An answer with this many rows."""
    some = Table(Groups.of({(row,): Parts(1, 1, row) for row in range(rows)}, 1), (str,))
    return Answer(of, {}, some, Parts(rows, rows, 0), "", Plan(()), version, datetime(2024, 1, 1, tzinfo=UTC))


def test_an_answer_is_found_under_its_question_and_version_only() -> None:
    """Another question, number or database has no answer."""
    cache = AnswerCache()
    kept = answer(question(1))
    cache.put(kept)
    assert cache.get(V1, question(1)) is kept
    assert cache.get(V1, question(2)) is None
    assert cache.get(V1, question(1, Source.RAW)) is None
    assert cache.get(Version("one", 2, 0), question(1)) is None
    assert cache.get(Version("another", 1, 0), question(1)) is None


def test_a_refresh_leaves_answers_valid() -> None:
    """It changes what is read, but no answer."""
    cache = AnswerCache()
    kept = answer(question(1))
    cache.put(kept)
    assert cache.get(Version("one", 1, 9), question(1)) is kept


def test_the_least_recently_used_answer_goes_first() -> None:
    """Room for two answers of two rows; asking for the older one keeps it."""
    cache = AnswerCache(max_rows=6)
    for number in (1, 2):
        cache.put(answer(question(number), rows=2))
    cache.get(V1, question(1))
    cache.put(answer(question(3), rows=2))
    assert [cache.get(V1, question(number)) is not None for number in (1, 2, 3)] == [True, False, True]


def test_an_answer_larger_than_the_whole_cache_is_not_kept() -> None:
    """Later ones are, so its rows are not counted."""
    cache = AnswerCache(max_rows=6)
    cache.put(answer(question(1), rows=50))
    assert cache.get(V1, question(1)) is None
    cache.put(answer(question(2), rows=5))
    assert cache.get(V1, question(2)) is not None


def test_nothing_is_kept_where_there_is_no_room() -> None:
    """`max_rows=0` disables the cache, even for answers without rows."""
    cache = AnswerCache(max_rows=0)
    for rows in (0, 1):
        cache.put(answer(question(rows), rows=rows))
        assert cache.get(V1, question(rows)) is None


def test_the_same_answer_again_is_counted_once() -> None:
    """Even if put a hundred times, it leaves room for another."""
    cache = AnswerCache(max_rows=8)
    for _ in range(100):
        cache.put(answer(question(1), rows=3))
    cache.put(answer(question(2), rows=3))
    assert cache.get(V1, question(1)) is not None
    assert cache.get(V1, question(2)) is not None


def test_the_bound_holds_after_any_sequence() -> None:
    """Random puts and gets: the cached rows never exceed the bound, and each answer is that of its question."""
    seed = 20240229
    print(f"seed {seed}")
    random, cache, bound = Random(seed), AnswerCache(max_rows=40), 40
    asked = [(question(number), Version("one", version, 0)) for number in range(12) for version in range(3)]
    for _ in range(3_000):
        wanted, version = random.choice(asked)
        found = cache.get(version, wanted)
        if found:
            assert (found.question, found.version) == (wanted, version)
        else:
            cache.put(answer(wanted, version, random.randrange(12)))
        held = cache._answers
        kept = [name for wanted, version in asked if (name := (version.epoch, version.number, wanted)) in held]
        assert sum(len(held._values[name].rows) + 1 for name in kept) == cache.rows <= bound


def test_threads_may_share_it() -> None:
    """Four threads at once: no error, and the bound holds."""
    cache = AnswerCache(max_rows=30)
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        random = Random(seed)
        try:
            for _ in range(1_500):
                wanted = question(random.randrange(20))
                if not cache.get(V1, wanted):
                    cache.put(answer(wanted, rows=random.randrange(8)))
        except BaseException as error:  # noqa: BLE001  told to the test's own thread
            failures.append(error)

    threads = [Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert cache.rows <= 30


# Unpacked pages.


ROW_BYTES = 8 * (len(PURCHASES.dimensions) + 1)


def block(rows: int) -> Columns:
    """A block with this many rows."""
    return Columns({each.name: np.zeros(rows, np.int64) for each in PURCHASES.dimensions}, np.zeros(rows, np.int64))


def kept(cache: Cache[Any, Columns], names: Mapping[Any, int]) -> int:
    """The bytes that are actually cached."""
    found = [cache.get(name) for name in names]
    return sum(each.cents.nbytes + sum(codes.nbytes for codes in each.codes.values()) for each in found if each)


def test_the_cache_stays_within_its_bound() -> None:
    """After any sequence of puts and gets, and its reported size is correct."""
    seed, bound = 6, 20_000
    print(f"seed {seed}")
    random, cache, sizes = Random(seed), Cache(bound, bytes_of), {}
    for name in range(400):
        sizes[name] = random.randint(1, 100)
        cache.put(name, block(sizes[name]))
        for each in random.sample(sorted(sizes), min(len(sizes), 3)):
            found = cache.get(each)
            assert found is None or len(found) == sizes[each]
        assert cache.size <= bound
    assert kept(cache, sizes) == cache.size > 0


def test_the_least_recently_used_block_goes_first() -> None:
    """With room for two, the one that was used stays, and the other is evicted."""
    cache = Cache(2 * ROW_BYTES * 10, bytes_of)
    for name in "ab":
        cache.put(name, block(10))
    cache.get("a")
    cache.put("c", block(10))
    assert [cache.get(name) is not None for name in "abc"] == [True, False, True]


def test_a_block_larger_than_the_bound_is_not_kept_and_throws_nothing_out() -> None:
    """The others stay; with a bound of zero nothing is cached."""
    cache = Cache(ROW_BYTES * 10, bytes_of)
    cache.put("a", block(10))
    cache.put("b", block(11))
    assert cache.get("a") is not None
    assert cache.get("b") is None
    none = Cache(0, bytes_of)
    none.put("a", block(1))
    assert (none.get("a"), none.size) == (None, 0)


def test_the_same_block_again_is_counted_once() -> None:
    """A key stands for one value."""
    cache = Cache(10_000, bytes_of)
    for _ in range(50):
        cache.put("a", block(10))
    assert cache.size == ROW_BYTES * 10
