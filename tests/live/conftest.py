"""The application on the loaded sample, without a server process; and the oracle's entries for later queries."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from pipelines.ask.queries import QUERIES, Descending
from service.app import create_app
from store.client import Store
from store.settings import Settings
from tests.support import oracle


@pytest.fixture(scope="session", autouse=True)
def later_queries() -> None:
    """Add the dimensions and order of queries beyond the first eleven to the oracle, so that they are tested, too."""
    for query in QUERIES:
        order = query.order.measure.name if isinstance(query.order, Descending) else oracle.KEY
        shape = tuple(dimension.name for dimension in query.by), order, query.limit
        assert oracle.QUESTIONS.setdefault(query.slug, shape) == shape


@pytest.fixture(scope="session")
def application(loaded: Store, data_dir: Path) -> Iterator[Flask]:
    """The application; its connection is closed afterwards."""
    app = create_app(Settings(database=loaded.settings.database, data_dir=data_dir))
    yield app
    app.extensions["connection"].close()


@pytest.fixture
def client(application: Flask) -> FlaskClient:
    """A client of the application."""
    return application.test_client()
