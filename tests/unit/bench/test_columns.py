"""The measurement compares equal answers; otherwise its figures would mean nothing."""

import numpy as np
import pytest

from bench import columns
from bench.columns import compare_columns
from catalog.calendar import Period


def test_running_sums_answer_as_pages_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight random questions of each class; a difference raises. That columns are exact is shown with `resident`."""
    monkeypatch.setattr(columns, "RUNS", 8)
    assert len(compare_columns(1_000)) == 8


def test_a_planted_fault_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A running sum that is one too high."""
    build = columns.build

    def wrong(year: int, months: dict[Period, int], rows: columns.Columns) -> columns.Segment:
        segment = build(year, months, rows)
        for sums in segment.running.values():
            np.add(sums, 1, out=sums)
        return segment

    monkeypatch.setattr(columns, "build", wrong)
    with pytest.raises(AssertionError, match="different answers"):
        compare_columns(2_000)
