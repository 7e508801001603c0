"""The header: the position of each column."""

import csv
from dataclasses import dataclass

from catalog.errors import FileRefused, nearest
from catalog.purchases import PURCHASES

_REQUIRED = tuple(each.column for each in PURCHASES.columns if not each.optional)

IGNORED = "quarantine_"
"""The prefix of the columns that a quarantine export adds; a corrected export can be loaded with them."""

LONGEST_SHOWN = 60
"""A file that is not a CSV may have a line of a megabyte instead of a header."""


@dataclass(frozen=True)
class Header:
    """The position of each column.

    Attributes:
        names: the names of the columns in the order of the file, in the declared spelling.
        positions: the position in the file of each column of the data set; None if it is missing.
    """

    names: tuple[str, ...]
    positions: tuple[int | None, ...]


def read_header(path: str, line: int, text: str) -> Header:
    """Read the header's line.

    Raises:
        FileRefused: a column that is not optional is missing, repeated or unknown, or the delimiter is not a comma.
    """
    place = f"line {line}"
    try:
        given = [name.strip() for name in next(csv.reader([text], strict=True))]
    except csv.Error as error:
        raise FileRefused(path, place, "the header has a malformed quoted name", "Close every quoted name") from error
    for delimiter, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(given) < len(_REQUIRED) and text.count(delimiter) >= len(_REQUIRED) - 1:
            raise FileRefused(path, place, f"the fields are separated by {name}", "Use commas")
    known = {said.casefold(): each.column for each in PURCHASES.columns for said in (each.column, *each.spellings)}
    columns = PURCHASES.header
    names = tuple(known.get(name.casefold(), name) for name in given)
    wanted = f"The expected columns are {', '.join(columns)}, in any order"
    for name in names:
        if name not in columns and not name.casefold().startswith(IGNORED):
            like = nearest(name, columns)
            hint = f" (did you mean {like}?)" if like else ""
            raise FileRefused(path, place, f"unknown column {_shown(name)}{hint}", wanted)
        if names.count(name) > 1:
            shown = name if name in columns else _shown(name)
            raise FileRefused(path, place, f"column {shown} appears {names.count(name)} times", wanted)
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise FileRefused(path, place, f"missing column{'s'[: len(missing) - 1]} {', '.join(missing)}", wanted)
    return Header(names, tuple(names.index(name) if name in names else None for name in columns))


def _shown(name: str) -> str:
    """A name from the file for a message: quoted, escaped, and cut if too long for a column name."""
    return repr(name if len(name) <= LONGEST_SHOWN else f"{name[:LONGEST_SHOWN]}...")
