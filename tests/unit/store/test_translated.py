"""The driver's errors in this project's words."""

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ExecutionTimeout,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from catalog.errors import InternalError, StoreUnavailable
from store.faults import translated


@pytest.mark.parametrize(
    ("error", "cause", "said"),
    [
        (ServerSelectionTimeoutError("db.example:27017"), None, "cannot be reached"),
        (NetworkTimeout("db.example:27017"), TimeoutError(), "did not answer in time"),
        (ExecutionTimeout("operation exceeded time limit", 50), None, "did not answer in time"),
        (NetworkTimeout("timed out"), NetworkTimeout("db.example:27017"), "did not answer in time"),
        (NetworkTimeout("timed out"), AutoReconnect("connection refused"), "cannot be reached"),
        (ExecutionTimeout("timed out", 50), ServerSelectionTimeoutError("db.example:27017"), "cannot be reached"),
    ],
)
def test_away_and_slow_are_told_apart(error: PyMongoError, cause: Exception | None, said: str) -> None:
    """Also for a transaction that was retried until its time was over: its last error counts."""
    with pytest.raises(StoreUnavailable, match=said) as raised, translated():
        raise error from cause
    assert "example" not in str(raised.value)


def test_a_write_conflict_is_worth_another_try_and_no_defect() -> None:
    """By then, a transaction's own retries are over, or the server did not allow any."""
    with pytest.raises(StoreUnavailable, match="Try again"), translated():
        raise OperationFailure("WriteConflict error", 112, {"codeName": "WriteConflict"})
    with pytest.raises(InternalError), translated():
        raise OperationFailure("no such field", 9, {"codeName": "FailedToParse"})


def test_a_step_down_is_seen_in_a_bulk_write_too() -> None:
    """There, the error is that of the whole bulk write, and the server's error is in its details."""
    down = {"code": 91, "errmsg": "Replication is being shut down"}
    with pytest.raises(StoreUnavailable, match="primary"), translated():
        raise BulkWriteError({"writeErrors": [], "writeConcernErrors": [down]})
