"""Settings, each declared once, as a field of a frozen dataclass with its variable, its reader and its meaning.

They are read from the environment and, if not set there, from `.env` in the working folder. An empty value counts as
not set. Credentials are never taken from arguments and never printed.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from itertools import zip_longest
from pathlib import Path
from textwrap import wrap
from typing import Any, TypeVar

from dotenv.parser import parse_stream
from environs import Env

from catalog.errors import UserError

Kind = TypeVar("Kind")
DOTENV = Path(".env")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_SHOWN = 80


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        name: the variable.
        read: converts the text; raises ValueError with a description of a valid one, such as `a whole number`.
        means: its purpose, as shown in the documentation.
        default: its default, as shown in the documentation.
        file: the variable that can name a file with the text instead, if there is one.
        is_secret: whether its text must never be shown.
    """

    name: str
    read: Callable[[str], Any]
    means: str
    default: str
    file: str | None
    is_secret: bool


def setting(
    name: str,
    read: Callable[[str], Any],
    default: Any,
    means: str,
    *,
    shown: str | None = None,
    file: str | None = None,
    is_secret: bool = False,
) -> Any:
    """A dataclass field that is a setting; see `Setting`. `shown` is the default in words, if it needs any."""
    told = Setting(name, read, means, str(default) if shown is None else shown, file, is_secret)
    return field(default=default, repr=not is_secret, metadata={Setting.__name__: told})


def settings_of(kind: type[Any]) -> Iterator[tuple[str, Setting]]:
    """The settings of a dataclass, each with the name of its field."""
    for each in fields(kind):
        yield each.name, each.metadata[Setting.__name__]


def read(kind: type[Kind]) -> Kind:
    """An instance of a settings dataclass, read from the environment and `.env`.

    Raises:
        UserError: settings are invalid (all of them are named), or `.env` cannot be read.
    """
    places = (Env(), _with_dotenv(DOTENV))
    values: dict[str, Any] = {}
    faults: list[str] = []
    for name, each in settings_of(kind):
        text: str | None = None
        try:
            text = _text(each, places)
            if text is not None:
                values[name] = each.read(text)
        except UserError as error:
            faults.append(str(error))
        except ValueError as error:
            given = "its value" if each.is_secret else repr(text if text is None else text[:_SHOWN])
            faults.append(f"{each.name}: {given} is not {error}.")
    if faults:
        raise UserError(" ".join(faults)) from None
    return kind(**values)


def listed(kind: type[Any]) -> str:
    """The settings of a dataclass with meanings and defaults, in two columns, for a command's help."""
    lines = []
    for _, each in settings_of(kind):
        told = [(each.name, f"{each.means.replace('`', '')} (default: {each.default})")]
        if each.file:
            told.append((each.file, f"a file that contains it, used if {each.name} is not set"))
        for name, means in told:
            lines += [f"  {at:<19}{line}" for at, line in zip_longest([name], wrap(means, 57), fillvalue="")]
    return "\n".join(lines)


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers from `least` to `most`."""

    def number(text: str) -> int:
        found = int(text) if re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) else -1
        if not least <= found <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return found

    return number


def one_of(*allowed: str) -> Callable[[str], str]:
    """A reader of one of several words, in any letter case."""

    def word(text: str) -> str:
        if text.lower() not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return text.lower()

    return word


def file_text(name: str, path: str) -> str:
    """The text of the file named by a setting.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UserError(f"{name}: {path} cannot be read ({reason}).") from None


def _text(each: Setting, places: tuple[Env, ...]) -> str | None:
    """The text of a setting, from its variable or the file named by its sibling; the environment precedes `.env`."""
    for place in places:
        if text := place.str(each.name, ""):
            return text
        if each.file and (path := place.str(each.file, "")):
            return file_text(each.file, path).strip()
    return None


def _with_dotenv(path: Path) -> Env:
    """The environment, and after it the contents of a `.env` file.

    Raises:
        UserError: the file cannot be read, or a line is not an assignment. The line is not shown.
    """
    env = Env()
    if not path.exists():
        return env
    try:
        with path.open(encoding="utf-8") as file:
            for each in parse_stream(file):
                is_blank = each.key is None and not each.error
                if not is_blank and (each.error or each.value is None or not _NAME.fullmatch(each.key or "")):
                    blank_lines = re.match(r"\s*", each.original.string)[0].count("\n")  # type: ignore[index]
                    line = each.original.line + blank_lines
                    raise UserError(f"{path}, line {line}: not of the form NAME=value.")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UserError(f"{path} cannot be read ({reason}).") from None
    env.read_env(path, recurse=False)
    return env
