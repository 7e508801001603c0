"""Settings come from the environment and `.env` only, and do not leak secrets."""

import os
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from catalog.errors import UserError
from store.settings import Settings

SetEnvironment = Callable[[Mapping[str, str]], None]
SECRET = "hunter2-secret"
URI = f"mongodb://admin:{SECRET}@db.example:27017/?replicaSet=main"


def test_an_empty_environment_means_the_embedded_server(set_environment: SetEnvironment) -> None:
    """Nothing has to be set; empty values count as not set."""
    names = ("MONGODB_URI", "MONGODB_URI_FILE", "MONGODB_DATABASE", "DATA_DIR", "STORE_TIMEZONE")
    for environment in ({}, dict.fromkeys(names, "")):
        set_environment(environment)
        found = Settings.from_environment()
        assert (found.uri, found.database, found.data_dir, found.timezone.key) == (
            None,
            "analytics",
            Path("var"),
            "UTC",
        )


def test_each_setting_is_read(set_environment: SetEnvironment) -> None:
    """The five names of the documentation."""
    set_environment(
        {"MONGODB_URI": URI, "MONGODB_DATABASE": "shop_1-b", "DATA_DIR": "/srv/data", "STORE_TIMEZONE": "Asia/Kolkata"}
    )
    found = Settings.from_environment()
    assert (found.uri, found.database, found.data_dir) == (URI, "shop_1-b", Path("/srv/data"))
    assert found.timezone.key == "Asia/Kolkata"


def test_the_connection_string_may_be_in_a_file(tmp_path: Path, set_environment: SetEnvironment) -> None:
    """MONGODB_URI_FILE names a file, as for container secrets; MONGODB_URI takes precedence."""
    secret = tmp_path / "uri"
    secret.write_text(URI + "\n")
    set_environment({"MONGODB_URI_FILE": str(secret)})
    assert Settings.from_environment().uri == URI
    other = "mongodb://127.0.0.1/"
    set_environment({"MONGODB_URI_FILE": str(secret), "MONGODB_URI": other})
    assert Settings.from_environment().uri == other


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
def test_an_unusable_setting_is_the_users_to_mend(environment: dict[str, str], set_environment: SetEnvironment) -> None:
    """One line that names the variable; usage errors exit with 2."""
    set_environment(environment)
    with pytest.raises(UserError) as caught:
        Settings.from_environment()
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
def test_a_malformed_connection_string_never_shows_its_password(uri: str, set_environment: SetEnvironment) -> None:
    """Neither the message nor the traceback quotes the password."""
    set_environment({"MONGODB_URI": uri})
    with pytest.raises(UserError) as caught:
        Settings.from_environment()
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_settings_do_not_show_the_connection_string(set_environment: SetEnvironment) -> None:
    """Printing or logging settings does not reveal the password."""
    set_environment({"MONGODB_URI": URI})
    found = Settings.from_environment()
    assert SECRET not in repr(found)
    assert SECRET not in str(found)


# The file `.env`.


def test_a_dotenv_file_gives_what_the_environment_does_not(tmp_path: Path, set_environment: SetEnvironment) -> None:
    """The environment precedes it, even with an empty value, and is not modified; parent folders are not searched."""
    set_environment({"MONGODB_DATABASE": "outer", "STORE_TIMEZONE": ""})
    text = "# ours\n\nMONGODB_DATABASE=inner\nexport DATA_DIR='/srv/a b'\nSTORE_TIMEZONE=Asia/Kolkata\nOTHER=1\n"
    (tmp_path / ".env").write_text(f"\ufeff{text}MONGODB_URI='{URI}'\n", encoding="utf-8")
    found = Settings.from_environment()
    assert (found.database, found.data_dir, found.uri) == ("outer", Path("/srv/a b"), URI)
    assert found.timezone.key == "UTC"
    assert "OTHER" not in os.environ
    assert "DATA_DIR" not in os.environ
    (tmp_path / "below").mkdir()
    os.chdir(tmp_path / "below")
    assert Settings.from_environment().uri is None


def test_the_environment_s_file_of_a_secret_wins_over_dotenv(tmp_path: Path, set_environment: SetEnvironment) -> None:
    """MONGODB_URI_FILE in the environment takes precedence over MONGODB_URI in the file."""
    (tmp_path / "uri").write_text("mongodb://from-file/")
    (tmp_path / ".env").write_text("MONGODB_URI=mongodb://from-dotenv/\n")
    set_environment({"MONGODB_URI_FILE": "uri"})
    assert Settings.from_environment().uri == "mongodb://from-file/"
    (tmp_path / ".env").write_text("MONGODB_URI_FILE=uri\n")
    set_environment({"MONGODB_URI": "mongodb://from-environment/"})
    assert Settings.from_environment().uri == "mongodb://from-environment/"
    set_environment({})
    assert Settings.from_environment().uri == "mongodb://from-file/"


@pytest.mark.parametrize(
    ("content", "place"),
    [
        pytest.param(f"A=1\nMONGODB_URI {URI}\n".encode(), "line 2", id="no equals sign"),
        pytest.param(f"\n\n{URI}\n".encode(), "line 3", id="a value alone"),
        pytest.param(f"MONGODB_URI='{URI}\n".encode(), "line 1", id="open quote"),
        pytest.param(f"MONGODB URI={URI}\n".encode(), "line 1", id="blank in the name"),
        pytest.param(f"MONGODB_URI={URI}\n".encode("utf-16"), "not UTF-8", id="UTF-16"),
        pytest.param(SECRET.encode(), "line 1", id="a word"),
    ],
)
def test_a_bad_line_of_a_dotenv_file_is_named_and_not_shown(
    tmp_path: Path, set_environment: SetEnvironment, content: bytes, place: str
) -> None:
    """One line that names file and place, without the content, which is not in the traceback either."""
    set_environment({})
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(UserError) as caught:
        Settings.from_environment()
    assert str(caught.value).startswith(".env")
    assert place in str(caught.value)
    assert "\n" not in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_dotenv_file_that_cannot_be_read_is_named(tmp_path: Path, set_environment: SetEnvironment) -> None:
    """A folder, for example."""
    set_environment({})
    (tmp_path / ".env").mkdir()
    with pytest.raises(UserError, match=r"^\.env cannot be read"):
        Settings.from_environment()


def test_a_bad_value_in_a_dotenv_file_is_told_like_any_other(tmp_path: Path, set_environment: SetEnvironment) -> None:
    """Without the text of secrets."""
    set_environment({})
    (tmp_path / ".env").write_text(f"MONGODB_DATABASE=a.b\nMONGODB_URI=mongodb://u:{SECRET}@host:port/\n")
    with pytest.raises(UserError) as caught:
        Settings.from_environment()
    assert str(caught.value) == (
        "MONGODB_DATABASE: 'a.b' is not a valid database name: a letter or digit, then up to 62 letters, "
        "digits, '-' or '_'. "
        "MONGODB_URI: its value is not a valid connection string, such as mongodb://host:port/?replicaSet=name."
    )
