"""The driver's errors in this project's words."""

import pytest
from pymongo.errors import AutoReconnect, ExecutionTimeout, NetworkTimeout, PyMongoError, ServerSelectionTimeoutError

from catalog.errors import StoreUnavailable
from store.client import translated


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
    """Also where a transaction was tried again until its time was over: then what it last met counts."""
    with pytest.raises(StoreUnavailable, match=said) as raised, translated():
        raise error from cause
    assert "example" not in str(raised.value)
