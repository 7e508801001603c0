"""Settings come from the environment alone, and keep their secrets."""

import traceback
from pathlib import Path

import pytest

from catalog.errors import UserError
from store.settings import Settings

SECRET = "hunter2-secret"
URI = f"mongodb://admin:{SECRET}@db.example:27017/?replicaSet=main"


def test_an_empty_environment_means_the_embedded_server() -> None:
    """Nothing has to be set; empty values count as not set."""
    names = ("MONGODB_URI", "MONGODB_URI_FILE", "MONGODB_DATABASE", "DATA_DIR", "STORE_TIMEZONE")
    for environment in ({}, dict.fromkeys(names, "")):
        found = Settings.from_environment(environment)
        assert (found.uri, found.database, found.data_dir, found.timezone.key) == (
            None,
            "analytics",
            Path("var"),
            "UTC",
        )


def test_each_setting_is_read() -> None:
    """The five names of the documentation."""
    found = Settings.from_environment(
        {"MONGODB_URI": URI, "MONGODB_DATABASE": "shop_1-b", "DATA_DIR": "/srv/data", "STORE_TIMEZONE": "Asia/Kolkata"}
    )
    assert (found.uri, found.database, found.data_dir) == (URI, "shop_1-b", Path("/srv/data"))
    assert found.timezone.key == "Asia/Kolkata"


def test_the_connection_string_may_be_in_a_file(tmp_path: Path) -> None:
    """MONGODB_URI_FILE names a file, as container secrets come; MONGODB_URI wins where both are set."""
    secret = tmp_path / "uri"
    secret.write_text(URI + "\n")
    assert Settings.from_environment({"MONGODB_URI_FILE": str(secret)}).uri == URI
    other = "mongodb://127.0.0.1/"
    assert Settings.from_environment({"MONGODB_URI_FILE": str(secret), "MONGODB_URI": other}).uri == other


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({"STORE_TIMEZONE": "Mars/Olympus"}, id="unknown zone"),
        pytest.param({"STORE_TIMEZONE": "../../etc/passwd"}, id="zone that is a path"),
        pytest.param({"MONGODB_DATABASE": "a.b"}, id="database with a point"),
        pytest.param({"MONGODB_DATABASE": "a$b"}, id="database with a dollar"),
        pytest.param({"MONGODB_DATABASE": "a b"}, id="database with a space"),
        pytest.param({"MONGODB_DATABASE": "--"}, id="database of hyphens"),
        pytest.param({"MONGODB_DATABASE": "a" * 64}, id="database over MongoDB's 63 bytes"),
        pytest.param({"MONGODB_URI_FILE": "/nowhere/uri"}, id="absent file"),
        pytest.param({"MONGODB_URI": "localhost:27017"}, id="no scheme"),
        pytest.param({"MONGODB_URI": "http://localhost"}, id="another scheme"),
        pytest.param({"MONGODB_URI": "mongodb://"}, id="no host"),
        pytest.param({"MONGODB_URI": "mongodb://h:port/"}, id="port that is a word"),
    ],
)
def test_an_unusable_setting_is_the_users_to_mend(environment: dict[str, str]) -> None:
    """One line that names the variable; usage errors exit with 2."""
    with pytest.raises(UserError) as caught:
        Settings.from_environment(environment)
    assert str(caught.value).startswith(next(iter(environment)))
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param(f"mongodb://admin:{SECRET}@host:port/", id="bad port"),
        pytest.param(f"mongodb://ad@min:{SECRET}@host/", id="unescaped at sign"),
        pytest.param(f"mongo://admin:{SECRET}@host/", id="bad scheme"),
        pytest.param(f"mongodb://admin:{SECRET}%@host/", id="bad escape"),
        pytest.param(f"mongodb://admin:{SECRET}@host/?connectTimeoutMS={SECRET}", id="secret in an option"),
        pytest.param(f"mongodb://admin:{SECRET}@host/?w=majority&nonsense", id="broken options"),
    ],
)
def test_a_malformed_connection_string_never_shows_its_password(uri: str) -> None:
    """Neither the message nor the traceback quotes the password."""
    with pytest.raises(UserError) as caught:
        Settings.from_environment({"MONGODB_URI": uri})
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_settings_do_not_show_the_connection_string() -> None:
    """Printing or logging settings gives no password away."""
    found = Settings.from_environment({"MONGODB_URI": URI})
    assert SECRET not in repr(found)
    assert SECRET not in str(found)
