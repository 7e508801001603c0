"""An unsuitable server is reported, with the remedy."""

from types import SimpleNamespace
from typing import Any

import pytest

from catalog.errors import StoreUnavailable
from store.client import Store

ABLE = {"setName": "rs0", "maxWireVersion": 17}


def store_of(hello: dict[str, Any]) -> Any:
    """A stand-in for a store whose server sends this `hello`."""
    return SimpleNamespace(_capable=False, outside=SimpleNamespace(admin=lambda name: hello))


@pytest.mark.parametrize(
    ("hello", "said"),
    [({"maxWireVersion": 25}, "standalone"), (ABLE | {"maxWireVersion": 13}, "older than 6.0")],
)
def test_an_unfit_server_is_refused(hello: dict[str, Any], said: str) -> None:
    """A standalone, and MongoDB 5.0."""
    with pytest.raises(StoreUnavailable, match=said):
        Store.require_replica_set(store_of(hello))


@pytest.mark.parametrize("hello", [ABLE, {"msg": "isdbgrid", "maxWireVersion": 25}])
def test_a_fit_one_is_asked_once(hello: dict[str, Any]) -> None:
    """A replica set, and a router of a sharded cluster."""
    store = store_of(hello)
    Store.require_replica_set(store)
    assert store._capable
