"""Encode columns as documents: the BSON of a customer and of a transaction for each row.

numpy lays out fields of fixed length (ids, dates, references) for all rows at once. The rest of a document, its
bands and labels (age, gender, marital status, referral), is one of a few hundred byte strings, each encoded
once. Encoding dicts one by one takes ten times as long.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import repeat
from typing import Any

import bson
import numpy as np
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument

from catalog.attributes import Attribute, Banded, Enumerated, Home, Referred
from catalog.columns import NULL
from catalog.identity import profile_attributes, profile_id
from catalog.purchases import PURCHASES
from loader.reading.clean import DAY_MS, Clean, Ints

KEY, CLOCK, AMOUNT, DATE, HOUR = (
    PURCHASES.key, PURCHASES.clock, PURCHASES.amount, PURCHASES.clock.date, PURCHASES.clock.hour,
)  # fmt: skip
_CUSTOMER, _TRANSACTION = PURCHASES.customer, PURCHASES.at_home(Home.TRANSACTION)
_TAGS = {"int64": (b"\x12", "<i8"), "int32": (b"\x10", "<i4"), "date": (b"\x09", "<i8"), "null": (b"\x0a", "V0")}


class Encoded(RawBSONDocument):
    """A document encoded here: unlike its base class, it does not parse its bytes, which takes most of the time (0.2
    instead of 1.2 us).
    """

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw  # type: ignore[misc]  # the slot takes the place of the base's property


def elements(document: dict[str, Any]) -> bytes:
    """The BSON elements of a document without its length and its end."""
    return bson.encode(document)[4:-1]


def encode(clean: Clean, customer_ids: Ints, load_id: str) -> tuple[list[Encoded], list[Encoded]]:
    """The customers and the transactions of the rows, in their order.

    A transaction holds its customer's attributes as they were at the sale. With profiles, only the
    transactions are used: `profile` creates the customers.
    """
    columns = clean.columns
    described = _described(columns, _CUSTOMER)
    referred = _fixed(*_references(columns, _CUSTOMER))
    attributes = _lengths(described) + (len(referred[0]) if referred else 0)
    end = elements({"load_id": load_id}) + b"\0"
    ends: Iterable[bytes] = repeat(end)
    rest = attributes + len(end)
    if any(isinstance(each, (Banded, Enumerated)) for each in _TRANSACTION):
        own = _described(columns, _TRANSACTION)
        ends, rest = [each + end for each in own], rest + _lengths(own)
    customer_heads = _fixed(("int64", "_id", customer_ids), rest=attributes + 1)
    heads = np.empty(len(customer_ids), object)
    unknown = columns[AMOUNT.name] == NULL
    for kind, here in (("int64", np.flatnonzero(~unknown)), ("null", np.flatnonzero(unknown))):
        heads[here] = _fixed(
            ("int64", KEY.field, columns[KEY.name][here]),
            ("int64", "customer_id", customer_ids[here]),
            ("date", CLOCK.field, columns[CLOCK.name][here]),
            (kind, AMOUNT.field, columns[AMOUNT.name][here]),
            ("date", DATE.field, clean.day[here] * DAY_MS),
            ("int32", HOUR.field, clean.hour[here]),
            *((kind, field, values[here]) for kind, field, values in _references(columns, _TRANSACTION)),
            rest=rest[here],
        )
    return (
        _documents(customer_heads, described, referred, repeat(b"\0")),
        _documents(heads, described, referred, ends),
    )


def profile_ids(clean: Clean) -> Ints:
    """The customer id of each row with `--customers profile`."""
    ids: Ints = profile_id(clean.columns)
    return ids


def profile(customer_id: int) -> dict[str, Any]:
    """The customer document that a profile id encodes."""
    return {"_id": Int64(customer_id), **profile_attributes(customer_id)}


def _documents(*parts: Iterable[bytes]) -> list[Encoded]:
    """The parts of each row joined; the shortest column ends it."""
    return list(map(Encoded, map(b"".join, zip(*parts, strict=False))))


def _lengths(pieces: list[bytes]) -> Ints:
    return np.fromiter(map(len, pieces), np.int64, len(pieces))


def _references(columns: Mapping[str, Ints], attributes: Iterable[Attribute]) -> Iterator[tuple[str, str, Ints]]:
    """The fields of those that are references, for `_fixed`."""
    return (("int32", each.field, columns[each.name]) for each in attributes if isinstance(each, Referred))


def _described(columns: Mapping[str, Ints], attributes: Iterable[Attribute]) -> list[bytes]:
    """The elements of the other attributes as one piece for each row: few combinations, each encoded once."""
    others = tuple(each for each in attributes if not isinstance(each, Referred))
    places = [columns[each.name] - each.empty for each in others]
    sizes = [int(each.max(initial=0)) + 1 for each in places]
    present, positions = np.unique(np.ravel_multi_index(places, sizes), return_inverse=True)
    pieces = np.empty(len(present), object)
    for at, found in enumerate(zip(*(each.tolist() for each in np.unravel_index(present, sizes)), strict=True)):
        pieces[at] = _piece(others, found)
    return list(pieces[positions])


@lru_cache(maxsize=1 << 14)
def _piece(attributes: tuple[Attribute, ...], places: tuple[int, ...]) -> bytes:
    numbers = (place + each.empty for each, place in zip(attributes, places, strict=True))
    return b"".join(elements(each.document(number)) for each, number in zip(attributes, numbers, strict=True))


def _fixed(*fields: tuple[str, str, Ints], rest: Ints | None = None) -> list[bytes]:
    """Elements whose length does not depend on their values, row by row.

    Attributes:
        fields: BSON type, name and values of each.
        rest: where these elements begin a document, how many bytes follow them in each row.
    """
    layout: list[tuple[str, str]] = [("length", "<i4")] if rest is not None else []
    for kind, name, _ in fields:
        tag, form = _TAGS[kind]
        layout += [(f"tag {name}", f"V{len(tag) + len(name) + 1}"), (name, form)]
    table = np.empty(len(fields[0][2]), np.dtype(layout))
    width = table.dtype.itemsize
    if rest is not None:
        table["length"] = rest + width
    for kind, name, values in fields:
        table[f"tag {name}"] = np.void(_TAGS[kind][0] + name.encode() + b"\0")
        if kind != "null":
            table[name] = values
    encoded = table.tobytes()
    return [encoded[at : at + width] for at in range(0, len(encoded), width)]
