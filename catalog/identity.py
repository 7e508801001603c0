"""Ids and checksums derived from content, so that they can be verified from the content. Pure."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from catalog.purchases import PURCHASES

Member = tuple[str, int, str]
"""A reference collection, a code and a name."""


def load_name(sha256: str, options: Mapping[str, Any]) -> str:
    """The id of the load of a file with these options."""
    text = json.dumps([sha256, dict(options)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def profile_id(numbers: Mapping[str, Any]) -> Any:
    """The customer id of a row with `--customers profile`, computed from the attributes that identify a profile.

    These ids are negative, so that they never collide with a transaction id.

    Attributes:
        numbers: the code of each profile attribute by name: a number, or a column of them.
    """
    code: Any = 0
    for each in PURCHASES.profile:
        code = code * each.size + (numbers[each.name] - each.empty)
    return -1 - code


def profile_attributes(customer_id: int) -> dict[str, Any]:
    """The attributes that a profile id encodes, as in its customer document."""
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
    """A checksum of the members of each reference collection: the XOR of one 63-bit hash for each member.

    Adding a member is one more XOR, so nothing has to be read; a changed name, or two swapped names, change the
    checksum.
    """
    marks: dict[str, int] = {}
    for collection, code, name in members:
        digest = hashlib.sha256(f"{collection}\0{code}\0{name}".encode()).digest()
        marks[collection] = marks.get(collection, 0) ^ int.from_bytes(digest[:8], "big") >> 1
    return marks
