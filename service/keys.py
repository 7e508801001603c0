"""API keys. `python -m service.keys new NAME` creates one.

A key is 256 random bits, so its plain SHA-256 can be stored: nobody can guess the key from it.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from catalog.errors import UserError
from store.command import run, version

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_LINE = re.compile(rf"({_NAME}):([0-9a-f]{{64}})", re.ASCII)
PREFIX = "ca_"
_LIKE_A_KEY = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{16,}}|(?<=Bearer )[^\s\"']{{8,}}", re.ASCII | re.IGNORECASE)
MASK = f"{PREFIX}***"


@dataclass(frozen=True)
class ApiKey:
    """A key as it is stored: its owner's name, and the SHA-256 of its text in hexadecimal."""

    name: str
    digest: str


def new_key(name: str) -> tuple[str, ApiKey]:
    """The text of a new key, and its stored form."""
    text = f"{PREFIX}{secrets.token_urlsafe(32)}"
    return text, ApiKey(name, _digest(text))


def masked(text: str) -> str:
    """The text, with everything masked that looks like a key or a large part of one."""
    return _LIKE_A_KEY.sub(MASK, text)


def read_keys(path: str) -> tuple[ApiKey, ...]:
    """The keys in a file: one `name:digest` per line; empty lines and lines that start with # are ignored.

    Raises:
        UserError: the file cannot be read, has no keys, or contains an invalid line.
    """
    try:
        lines = Path(path).read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not ASCII"
        raise UserError(f"API_KEYS_FILE: {path} cannot be read ({reason}).") from None
    keys = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            found = _LINE.fullmatch(text)
            if not found:  # the line is not shown: it may be a key stored by mistake
                raise UserError(f"API_KEYS_FILE: {path}, line {number}, does not have the form name:sha256.")
            keys.append(ApiKey(found[1], found[2]))
    if not keys:
        raise UserError(f"API_KEYS_FILE: {path} contains no key. Make one with python -m service.keys new NAME.")
    if len({key.name for key in keys}) < len(keys):
        raise UserError(f"API_KEYS_FILE: {path} has two keys with the same name.")
    return tuple(keys)


def find_key(keys: Iterable[ApiKey], text: str) -> ApiKey | None:
    """The key with this text, or None. All keys are compared, each in constant time."""
    digest = _digest(text)
    found = None
    for key in keys:
        if hmac.compare_digest(key.digest, digest):
            found = key
    return found


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


@click.group()
@version
def main() -> None:
    """Make API keys for the file that API_KEYS_FILE names."""


@main.command("new")
@click.argument("name")
def new_command(name: str) -> None:
    """Print a fresh key for NAME, which is shown this once, and the line to store."""
    if not re.fullmatch(_NAME, name, re.ASCII):
        allowed = "letters, digits, '.', '-' and '_'"
        raise click.UsageError(f"{name!r} is not a valid name. Use at most 64 {allowed}, first a letter or digit.")
    text, key = new_key(name)
    click.echo(f"{key.name}:{key.digest}")
    click.echo(f"The key of {name}, shown only now: {text}\nAppend the line on standard output to the file.", err=True)


if __name__ == "__main__":
    run(main)
