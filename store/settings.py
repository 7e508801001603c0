"""The settings for where the data are; `store.environment` declares and reads them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pymongo.errors import ConfigurationError, InvalidURI
from pymongo.uri_parser import parse_uri

from store.environment import read, setting

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", re.ASCII)


def _database(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("a valid database name: a letter or digit, then up to 62 letters, digits, '-' or '_'")
    return text


def _timezone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("a known time zone, such as America/New_York") from None


def _uri(text: str) -> str:
    try:
        options_of(text, validate=True)
    except (InvalidURI, ConfigurationError, ValueError):  # the parser's own text may quote the password
        raise ValueError("a valid connection string, such as mongodb://host:port/?replicaSet=name") from None
    except OSError:
        pass  # a TLS file is bad; the error comes when it is used
    return text


def options_of(uri: str, *, validate: bool = False) -> dict[str, Any]:
    """The options of a connection string, by name in lower case. DNS is not queried."""
    plain = re.sub(r"^mongodb\+srv://", "mongodb://", uri)
    return {name.lower(): value for name, value in parse_uri(plain, validate=validate, warn=False)["options"].items()}


@dataclass(frozen=True)
class Settings:
    """Where the data are.

    Attributes:
        database: the database's name.
        data_dir: the embedded server's folder.
        timezone: the store's time zone; timestamps with an offset are converted to it.
        uri: MongoDB's connection string, or None for the embedded server. Never shown: it may hold a password.
    """

    database: str = setting("MONGODB_DATABASE", _database, "analytics", "the name of the database")
    data_dir: Path = setting(
        "DATA_DIR", Path, Path("var"), "the folder for the data of the embedded server and the sample of `make run`",
        shown="./var",
    )  # fmt: skip
    timezone: ZoneInfo = setting(
        "STORE_TIMEZONE", _timezone, ZoneInfo("UTC"),
        "the store's wall clock: timestamps with an offset are converted to it, others are kept as they are",
        shown="UTC",
    )  # fmt: skip
    uri: str | None = setting(
        "MONGODB_URI", _uri, None, "MongoDB's connection string; without it the embedded server is used",
        shown="none", file="MONGODB_URI_FILE", is_secret=True,
    )  # fmt: skip

    @classmethod
    def from_environment(cls) -> "Settings":
        """The settings from the environment and `.env`.

        Raises:
            UserError: a setting is invalid.
        """
        return read(cls)
