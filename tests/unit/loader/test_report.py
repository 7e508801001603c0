"""The account of a load: every row is in one of three counts."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import InternalError
from catalog.status import LoadStatus
from loader.loads.report import LoadReport

counts = st.integers(0, 10**6)


def a_report() -> LoadReport:
    """A report of two batches."""
    report = LoadReport("purchases.csv", "a1b2")
    report.add(10, 7, 1, {"amount_negative": 2}, {"Age": 3})
    report.add(5, 4, 0, {"amount_negative": 1}, {"Age": 1, "Gender": 2})
    report.seconds = 0.5
    return report


def test_batches_add_up() -> None:
    """Counts, reasons and missing values are summed."""
    report = a_report()
    assert report.counts == {"read": 15, "inserted": 11, "already_present": 1, "quarantined": 3}
    assert report.reasons == Counter(amount_negative=3)
    assert report.missing == Counter(Age=4, Gender=2)
    assert report.rows_per_second == 30


@given(st.lists(st.tuples(counts, counts, counts), max_size=5))
def test_read_is_always_inserted_plus_present_plus_quarantined(batches: list[tuple[int, int, int]]) -> None:
    """After any batches, every row is in exactly one of the three counts."""
    report = LoadReport("purchases.csv", "a1b2")
    for inserted, present, quarantined in batches:
        report.add(inserted + present + quarantined, inserted, present, {"reason": quarantined}, {})
    assert report.read == report.inserted + report.already_present + report.quarantined


@pytest.mark.parametrize("read", [9, 11], ids=["a row too few", "a row too many"])
def test_a_row_that_is_not_accounted_for_stops_the_load(read: int) -> None:
    """A batch whose rows do not add up is an internal error and changes no count."""
    report = LoadReport("purchases.csv", "a1b2")
    with pytest.raises(InternalError, match=f"{read} rows were read"):
        report.add(read, 7, 1, {"amount_negative": 2}, {})
    assert report.read == 0


@pytest.mark.parametrize(
    ("quarantined", "share", "too_many"),
    [
        pytest.param(0, 0.0, False, id="none allowed, none refused"),
        pytest.param(1, 0.0, True, id="none allowed, one refused"),
        pytest.param(1, 0.01, False, id="exactly the share"),
        pytest.param(2, 0.01, True, id="above the share"),
        pytest.param(100, 1.0, False, id="all allowed, all refused"),
    ],
)
def test_only_more_than_the_allowed_share_is_too_many(quarantined: int, share: float, too_many: bool) -> None:
    """The limit itself is allowed."""
    report = LoadReport("purchases.csv", "a1b2")
    report.add(100, 100 - quarantined, 0, {"reason": quarantined}, {})
    assert report.exceeds(share) is too_many


def test_a_report_survives_being_stored() -> None:
    """The report read from the load's document is the same."""
    report = a_report()
    stored = {
        "_id": report.load_id, "file": report.file, "status": report.status, "counts": report.counts,
        "reasons": dict(report.reasons), "missing": dict(report.missing), "seconds": report.seconds,
    }  # fmt: skip
    assert LoadReport.from_load(stored) == report


def test_a_report_is_json() -> None:
    """`--json` shows each count under its name."""
    told = json.loads(json.dumps(a_report().as_document()))
    assert {name: told[name] for name in ("file", "load_id", "status", "read", "inserted", "quarantined")} == {
        "file": "purchases.csv", "load_id": "a1b2", "status": "running", "read": 15, "inserted": 11, "quarantined": 3,
    }  # fmt: skip
    assert told["reasons"] == {"amount_negative": 3}
    assert told["rows_per_second"] == 30


def test_a_report_is_text_for_people() -> None:
    """The text names the file, the counts with thousands separators, the reasons and the gaps."""
    report = a_report()
    report.add(1_000_000, 1_000_000, 0, {}, {})
    lines = [" ".join(line.split()) for line in str(report).splitlines()]
    assert lines[0] == "purchases.csv: running"
    assert {"rows read 1,000,015", "inserted 1,000,011", "already present 1", "quarantined 3"} <= set(lines)
    assert {"amount_negative 3", "Age 4", "Gender 2"} <= set(lines)


def test_a_check_and_a_repeated_load_say_so() -> None:
    """A check reports what would be inserted; a repeated load says that nothing was done."""
    report = a_report()
    report.status = LoadStatus.CHECKED
    assert "would be inserted" in str(report)
    report.status, report.repeated = LoadStatus.COMPLETE, True
    assert "it was loaded before; nothing to do" in str(report)


def test_a_load_without_time_has_no_speed() -> None:
    """No division by zero seconds."""
    assert LoadReport("purchases.csv", "a1b2").rows_per_second == 0
