"""The settings for how the service behaves and where it listens; `store.settings` has those for the data.

`python -m service.settings` prints the table of all settings in `docs/settings.md`.
"""

import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path

from limits import parse_many

from catalog.errors import UserError
from service.keys import ApiKey, read_keys
from store.environment import one_of, read, setting, settings_of, whole_number
from store.settings import Settings

WAITING = 8
"""The most requests that wait for a place; one more displaces the one that has waited longest."""

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("json", "text")
_HOST = re.compile(r"[A-Za-z0-9_.:%-]+", re.ASCII)
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?", re.ASCII)


def _host(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise ValueError("a host name or an address, such as 127.0.0.1 or ::")
    return text


def _file(text: str) -> Path:
    if not os.access(text, os.R_OK):
        raise ValueError("a file that can be read")
    return Path(text)


def _rate_limit(text: str) -> str:
    try:
        parse_many(text)
    except ValueError:
        raise ValueError("a limit, such as 100/minute") from None
    return text


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(text.replace(",", " ").split())
    if not all(map(_ORIGIN.fullmatch, origins)):
        raise ValueError("a list of exact origins, such as https://shop.example")
    return origins


@dataclass(frozen=True)
class ServiceSettings:
    """How the service behaves.

    Attributes:
        budget_ms: MongoDB's total time limit for one request.
        places: the number of requests of one process that MongoDB may work for at once; a few more wait for a moment.
        keys: the accepted API keys; empty means that no key is needed.
        rate_limit: such as `100/minute`, for each key or address; None means no limit.
        columns_mb: how many megabytes of columns a machine keeps in memory and in files.
        cors_origins: the origins whose pages may read answers.
    """

    budget_ms: int = setting(
        "REQUEST_BUDGET_MS", whole_number(1, 9_999_999), 5_000, "how long MongoDB may work for one request in all"
    )
    places: int = setting(
        "CONCURRENCY", whole_number(1, 9_999), 2, "requests of one process that may have MongoDB work at once"
    )
    keys: tuple[ApiKey, ...] = setting(
        "API_KEYS_FILE", read_keys, (), "a file of keys; with it each request needs one", shown="none"
    )
    rate_limit: str | None = setting(
        "RATE_LIMIT", _rate_limit, None, "such as `100/minute`, for each key, or for each address without one",
        shown="none",
    )  # fmt: skip
    columns_mb: int = setting(
        "COLUMNS_MAX_MB", whole_number(0, 1_000_000), 1_024, "megabytes of resident columns, at most; 0 turns them off"
    )
    cors_origins: tuple[str, ...] = setting(
        "CORS_ORIGINS", _origins, (), "exact origins whose pages may read answers, separated by commas", shown="none"
    )

    @classmethod
    def from_environment(cls) -> "ServiceSettings":
        """Read them from the environment and `.env`.

        Raises:
            UserError: a setting has no usable value.
        """
        return read(cls)


@dataclass(frozen=True)
class ServerSettings:
    """Where the service listens, with how many processes and threads, and what it logs.

    Attributes:
        log_format: json or text; None means text on a terminal and json elsewhere.
        certificate, key: files in PEM form for TLS; None means plain HTTP.
    """

    host: str = setting(
        "HOST", _host, "127.0.0.1", "where the service listens; beyond loopback it needs `API_KEYS_FILE`"
    )
    port: int = setting("PORT", whole_number(0, 65_535), 8_000, "the port; 0 takes a free one")
    workers: int = setting("WORKERS", whole_number(1, 512), 2, "processes of the service")
    threads: int = setting("THREADS", whole_number(1, 4_096), 16, "threads in each process")
    log_level: str = setting("LOG_LEVEL", one_of(*LEVELS), "info", "`debug`, `info`, `warning` or `error`")
    log_format: str | None = setting(
        "LOG_FORMAT", one_of(*FORMATS), None, "`json`, one document a line, or `text`", shown="json; text on a terminal"
    )
    certificate: Path | None = setting(
        "TLS_CERTIFICATE", _file, None, "a certificate in PEM form, for https", shown="none"
    )
    key: Path | None = setting("TLS_KEY", _file, None, "the certificate's private key, in PEM form", shown="none")

    @classmethod
    def from_environment(cls) -> "ServerSettings":
        """Read them from the environment and `.env`.

        Raises:
            UserError: a setting has no usable value.
        """
        found = read(cls)
        if (found.key is None) != (found.certificate is None):
            raise UserError("TLS_KEY and TLS_CERTIFICATE belong together. Set both, or neither.")
        return found

    @property
    def listeners(self) -> int:
        """The most clients that may listen to `/v1/live` in one process: each occupies a thread."""
        return max(1, self.threads // 4)

    @property
    def url(self) -> str:
        """The URL of the service for a browser."""
        return f"http{'s' if self.key else ''}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/"


ALL = (Settings, ServerSettings, ServiceSettings)


def refuse_open_door(addresses: list[object], keys: tuple[ApiKey, ...]) -> None:
    """Make sure that a service reachable by others requires a key.

    Attributes:
        addresses: the bound addresses: a host and a port, or the path of a socket.

    Raises:
        UserError: it listens beyond loopback, and there are no keys.
    """
    for address in addresses:
        if isinstance(address, tuple) and not keys and not _is_loopback(str(address[0])):
            raise UserError(
                f"The service would listen on {address[0]} without API keys. Set API_KEYS_FILE to a file of keys "
                "(make one with python -m service.keys new NAME), or HOST to 127.0.0.1."
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def document() -> str:
    """All settings as a Markdown document."""
    lines = [
        "# Settings",
        "",
        "Written by `python -m service.settings` from what `store/settings.py` and `service/settings.py` declare.",
        "",
        "Settings come from the environment, and what it does not name from the file `.env` in the working folder, one",
        "`NAME=value` a line; the environment wins. An empty value counts as not set. Credentials are never taken from",
        "arguments and never printed.",
        "",
        "| Variable | Default | Means |",
        "|---|---|---|",
    ]
    for kind in ALL:
        for _, each in settings_of(kind):
            lines.append(f"| `{each.name}` | {each.default} | {each.means} |")
            if each.file:
                lines.append(f"| `{each.file}` | none | a file that contains it, used if `{each.name}` is not set |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(document(), end="")
