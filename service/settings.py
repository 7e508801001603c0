"""How the service behaves, from the environment alone. Where the data are stands in `store.settings`."""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from limits import parse_many

from catalog.errors import UserError
from service.around.keys import Key, read_keys

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?", re.ASCII)


@dataclass(frozen=True)
class ServiceSettings:
    """How the service behaves.

    Attributes:
        budget_ms: how long MongoDB may work for one request in all.
        places: how many requests of one process may have MongoDB work at once; some more may wait for a moment.
        keys: who may ask; empty means everybody.
        rate_limit: such as `100/minute`, for each key or address; None means no limit.
        cors_origins: the origins whose pages may read answers.
    """

    budget_ms: int = 5_000
    places: int = 2
    keys: tuple[Key, ...] = ()
    rate_limit: str | None = None
    cors_origins: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "ServiceSettings":
        """Read REQUEST_BUDGET_MS, CONCURRENCY, API_KEYS_FILE, RATE_LIMIT and CORS_ORIGINS.

        Raises:
            UserError: a setting has no usable value.
        """
        keys_file = environment.get("API_KEYS_FILE")
        return cls(
            whole_number(environment, "REQUEST_BUDGET_MS", cls.budget_ms),
            whole_number(environment, "CONCURRENCY", cls.places),
            read_keys(keys_file) if keys_file else (),
            _rate_limit(environment.get("RATE_LIMIT") or None),
            _origins(environment.get("CORS_ORIGINS", "")),
        )


def whole_number(environment: Mapping[str, str], name: str, default: int) -> int:
    """A setting that is a whole number of at least 1.

    Raises:
        UserError: it is something else.
    """
    text = environment.get(name) or str(default)
    if not re.fullmatch(r"[1-9][0-9]{0,6}", text, re.ASCII):
        raise UserError(f"{name}: {text!r} is not a whole number from 1 to 9999999.")
    return int(text)


def refuse_open_door(addresses: list[object], keys: tuple[Key, ...]) -> None:
    """Make sure that a service that others can reach asks for a key.

    Attributes:
        addresses: what gunicorn binds: a host and a port, or the path of a socket.

    Raises:
        UserError: it listens on more than loopback, and there are no keys.
    """
    for address in addresses:
        if isinstance(address, tuple) and not keys and not _is_loopback(str(address[0])):
            raise UserError(
                f"The service would listen on {address[0]} without API keys. Set API_KEYS_FILE to a file of keys "
                "(python -m service.keys new NAME makes one), or HOST to 127.0.0.1."
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _rate_limit(text: str | None) -> str | None:
    try:
        if text:
            parse_many(text)
    except ValueError as error:
        raise UserError(f"RATE_LIMIT: {text!r} is no limit. Use a form like 100/minute.") from error
    return text


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(text.replace(",", " ").split())
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise UserError(f"CORS_ORIGINS: {origin!r} is no origin. Use exact ones, such as https://shop.example.")
    return origins
