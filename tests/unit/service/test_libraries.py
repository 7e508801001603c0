"""Private parts of libraries are bounded in setup.cfg, and a version without them is noticed at the start."""

import configparser

import pytest

from catalog.errors import InternalError
from service.app import create_app
from service.around.libraries import PRIVATE, Private, check
from store.settings import Settings
from tests.support.places import ROOT


def test_each_private_part_is_bounded_in_setup_cfg() -> None:
    """The message at the start and the requirement agree."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    required = parser["options"]["install_requires"].splitlines()
    for each in PRIVATE:
        assert f"{each.library}{each.versions}" in required
        assert ",<" in each.versions


def test_what_is_installed_here_has_them() -> None:
    """With the locked versions and with the lowest ones."""
    check()


@pytest.mark.parametrize(("module", "name"), [("limits.storage", "MongoDBStorageBase._gone"), ("limits.gone", "x")])
def test_a_missing_part_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch, module: str, name: str) -> None:
    """The service does not start, instead of failing at some request."""
    parts = (Private("limits", ">=3.13.0,<6", module, (name,)),)
    with pytest.raises(InternalError, match=rf"^limits [0-9.]+ has no {name}\. .*pip install 'limits>=3\.13\.0,<6'$"):
        check(parts)
    monkeypatch.setattr("service.around.libraries.check.__defaults__", (parts,))
    with pytest.raises(InternalError, match=r"^limits "):
        create_app(Settings(uri="mongodb://127.0.0.1:1/"))
