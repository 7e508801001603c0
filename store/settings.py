"""Settings, from the environment alone. Credentials never come from arguments, and are never printed."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pymongo.errors import ConfigurationError, InvalidURI
from pymongo.uri_parser import parse_uri

from catalog.errors import UserError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", re.ASCII)


@dataclass(frozen=True)
class Settings:
    """Where the data are.

    Attributes:
        uri: MongoDB's connection string, or None for the embedded server. Never shown: it may hold a password.
        database: the database's name.
        data_dir: the embedded server's folder.
        timezone: the store's wall clock, for timestamps that carry an offset.
    """

    database: str = "analytics"
    data_dir: Path = Path("var")
    timezone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    uri: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read MONGODB_URI (or the file that MONGODB_URI_FILE names), MONGODB_DATABASE, DATA_DIR and STORE_TIMEZONE.

        Raises:
            UserError: a setting has no usable value.
        """
        zone = environment.get("STORE_TIMEZONE") or "UTC"
        try:
            timezone = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise UserError(f"STORE_TIMEZONE: {zone!r} is no time zone. Use a name like America/New_York.") from error
        database = environment.get("MONGODB_DATABASE") or cls.database
        if not _NAME.fullmatch(database):
            raise UserError(
                f"MONGODB_DATABASE: {database!r} is no name. Use a letter or digit, then up to 62 of those, '-', '_'."
            )
        data_dir = Path(environment.get("DATA_DIR") or cls.data_dir)
        return cls(database, data_dir, timezone, _uri(environment))


def _uri(environment: Mapping[str, str]) -> str | None:
    uri = environment.get("MONGODB_URI") or None
    if uri is None and (name := environment.get("MONGODB_URI_FILE")):
        try:
            uri = Path(name).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise UserError(f"MONGODB_URI_FILE: {name} cannot be read ({error.strerror}).") from error
    if uri is not None:
        try:
            parse_uri(uri, validate=True, warn=False)
        except (InvalidURI, ConfigurationError, ValueError):
            raise UserError(  # the parser's own text may quote the password
                "MONGODB_URI is no connection string. Use mongodb://host:port/?replicaSet=name."
            ) from None
    return uri
