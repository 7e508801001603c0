"""The application on the loaded sample, asked without a server of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from service.app import create_app
from store.client import Store
from store.settings import Settings


@pytest.fixture(scope="session")
def application(loaded: Store, data_dir: Path) -> Iterator[Flask]:
    """The application; its connection is closed afterwards."""
    app = create_app(Settings(database=loaded.settings.database, data_dir=data_dir))
    yield app
    app.extensions["connection"].close()


@pytest.fixture
def client(application: Flask) -> FlaskClient:
    """A client of it."""
    return application.test_client()
