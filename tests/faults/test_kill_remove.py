"""A removal killed with -9 anywhere is finished by the same command, and leaves all other loads alone."""

import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest

from pipelines.answer.answerer import Answerer
from pipelines.ask.queries import BY_SLUG
from pipelines.ask.question import Question, Source
from store.client import Store
from store.timing import Timer
from tests.support.faults.judge import judge
from tests.support.process import ORPHAN_S, loader

pytestmark = pytest.mark.live

KILLS = 10


class Halves:
    """A database with both halves of a file; the second half is removed, and loaded again."""

    def __init__(self, store: Store, environment: Mapping[str, str], halves: tuple[Path, Path]) -> None:
        self.store, self.environment = store, environment
        self.first, self.second = halves
        self.output = ""
        self.load(self.first)
        self.load(self.second)
        self.load_id = store.db.loads.find_one({"file": self.second.name})["_id"]  # type: ignore[index]
        self.rows = self.count()

    def load(self, path: Path) -> None:
        """Load a file to its end."""
        process = loader(self.environment, "load", path)
        assert process.wait() == 0, process.output
        self.output += process.output

    def count(self) -> int:
        """The number of stored transactions of the second half."""
        return self.store.db.transactions.count_documents({"load_id": self.load_id})

    def kill_removal(self, moment_s: float) -> tuple[int, float]:
        """Kill a removal this long after the first rows are gone; returns the rows left, and the seconds."""
        process = loader(self.environment, "remove", self.load_id)
        seconds = 0.0
        while process.runs and not (seconds and process.seconds > seconds + moment_s):
            if not seconds and self.count() < self.rows:
                seconds = process.seconds
            time.sleep(0.002)
        process.kill()
        self.output += process.output
        return self.count(), seconds

    def finish_removal(self) -> float:
        """Remove again to the end, and judge as if the second half had never been loaded; returns the seconds."""
        process = loader(self.environment, "remove", self.load_id)
        assert process.wait() == 0, process.output
        assert judge(self.store, [self.first], self.output + process.output) == []
        return process.seconds

    def check_answers(self) -> None:
        """Check that all sources agree, whatever is left."""
        answerer = Answerer(self.store, answer_rows=0)
        for slug in ("overall-summary", "revenue-by-segment"):
            questions = [Question(BY_SLUG[slug], source=source) for source in (Source.AUTO, Source.RAW)]
            auto, raw = answerer.answer(questions, Timer())
            assert (auto.rows, auto.total) == (raw.rows, raw.total)

    def check_load_is_refused(self) -> None:
        """Check that a half-removed file does not count as loaded."""
        process = loader(self.environment, "load", self.second)
        assert process.wait() == 1
        assert process.output == (
            "error: This file's load is being removed. Wait until that is done, or run "
            f"`python -m loader remove {self.load_id}` again; then load the file.\n"
        )


def test_a_killed_removal_is_finished(
    store: Store, own_environment: dict[str, str], short_halves: tuple[Path, Path], random: Random
) -> None:
    """Until then, a load of the file is refused, and answers are correct."""
    halves = Halves(store, own_environment, short_halves)
    halves.kill_removal(random.uniform(0, 0.1))
    halves.check_answers()
    halves.check_load_is_refused()
    halves.finish_removal()


@pytest.mark.faults
def test_ten_killed_removals_are_finished(
    store: Store, own_environment: dict[str, str], long_halves: tuple[Path, Path], random: Random
) -> None:
    """The second run does not wait for what the first one left open."""
    halves = Halves(store, own_environment, long_halves)
    begin = time.monotonic()
    process = loader(own_environment, "remove", halves.load_id)
    assert process.wait() == 0
    undisturbed_s = time.monotonic() - begin
    left, seconds = [], []
    for _ in range(KILLS):
        halves.load(halves.second)
        left.append(halves.kill_removal(random.uniform(0, undisturbed_s / 3))[0])
        halves.check_answers()
        seconds.append(halves.finish_removal())
    print(f"{KILLS} removals killed with {left} rows left; undisturbed {undisturbed_s:.1f} s, "
          f"second run median {statistics.median(seconds):.1f} s, longest {max(seconds):.1f} s")  # fmt: skip
    assert any(0 < rows < halves.rows for rows in left), "none was killed midway"
    assert max(seconds) < undisturbed_s + ORPHAN_S, "it waited for an orphaned transaction"
