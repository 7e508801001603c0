"""Names and marks that are made from content, so that whoever has the content can check them. Pure."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from catalog.purchases import PURCHASES

Member = tuple[str, int, str]
"""A reference collection, a code and a name."""


def load_name(sha256: str, options: Mapping[str, Any]) -> str:
    """The id of the load of a file with some options."""
    text = json.dumps([sha256, dict(options)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def profile_id(numbers: Mapping[str, Any]) -> Any:
    """The customer of a row where customers are profiles: one id for each, made of what identifies them.

    They are negative, so that they never meet the id of a transaction.

    Attributes:
        numbers: what each attribute of a profile is read to, by name: a number, or a column of them.
    """
    code: Any = 0
    for each in PURCHASES.profile:
        code = code * each.size + (numbers[each.name] - each.empty)
    return -1 - code


def profile_attributes(customer_id: int) -> dict[str, Any]:
    """What a profile's id stands for, as its customer document says it."""
    code = -1 - customer_id
    numbers = []
    for each in reversed(PURCHASES.profile[1:]):
        code, number = divmod(code, each.size)
        numbers.append(number + each.empty)
    numbers.append(code + PURCHASES.profile[0].empty)
    document: dict[str, Any] = {}
    for each, number in zip(PURCHASES.profile, reversed(numbers), strict=True):
        document |= each.document(number)
    return document


def member_marks(members: Iterable[Member]) -> dict[str, int]:
    """A mark of each reference collection's members: the exclusive or of one number below 2^63 for each.

    Adding a member is one more exclusive or, so nothing has to be read for it; another name at some code, or two
    names at each other's code, make another mark.
    """
    marks: dict[str, int] = {}
    for collection, code, name in members:
        digest = hashlib.sha256(f"{collection}\0{code}\0{name}".encode()).digest()
        marks[collection] = marks.get(collection, 0) ^ int.from_bytes(digest[:8], "big") >> 1
    return marks
