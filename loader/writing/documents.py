"""From columns to encoded documents: the BSON of a customer and of a transaction for each row.

Numbers and dates have a fixed length, so numpy lays out those of all rows at once. The rest of a document is
one of a few hundred byte strings (age, gender, marital status, referral), each of which is encoded once. Encoding
dicts one by one costs ten times as much.
"""

from collections.abc import Iterable
from functools import lru_cache
from itertools import repeat
from typing import Any

import bson
import numpy as np
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument

from catalog.dimensions import (
    AGE_GROUP,
    BY_NAME,
    EMPLOYMENT_STATUS,
    GENDER,
    MARITAL_STATUS,
    PAYMENT_METHOD,
    REFERRAL,
    SEGMENT,
    STATE,
    age_group,
)
from catalog.identity import profile_attributes, profile_id
from loader.reading.clean import DAY_MS, NULL, Clean, Ints

_ENUMERATED = (GENDER, MARITAL_STATUS, REFERRAL)
_REFERRED = (STATE, SEGMENT, EMPLOYMENT_STATUS)
_TAGS = {"int64": (b"\x12", "<i8"), "int32": (b"\x10", "<i4"), "date": (b"\x09", "<i8"), "null": (b"\x0a", "V0")}


class Encoded(RawBSONDocument):
    """A document that was encoded here: unlike its base it does not look at its bytes, which is most of what a document
    would cost (0.2 instead of 1.2 us).
    """

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw  # type: ignore[misc]  # the slot takes the place of the base's property


def elements(document: dict[str, Any]) -> bytes:
    """The BSON elements of a document without its length and its end."""
    return bson.encode(document)[4:-1]


def encode(clean: Clean, customer_ids: Ints, load_id: str) -> tuple[list[Encoded], list[Encoded]]:
    """The customers and the transactions of the rows, in their order.

    A transaction holds its customer's attributes as they were at the sale. Where customers are profiles only the
    transactions are of use: `profile` makes the customers.
    """
    columns = clean.columns
    rows = len(customer_ids)
    described = _pick_product({**columns, "age": columns["age"] + 1}, ("age", *(each.name for each in _ENUMERATED)))
    referred = _fixed(*(("int32", each.field, columns[each.name]) for each in _REFERRED))
    attributes = np.fromiter(map(len, described), np.int64, rows) + (len(referred[0]) if rows else 0)
    end = elements({"load_id": load_id}) + b"\0"
    customer_heads = _fixed(("int64", "_id", customer_ids), rest=attributes + 1)
    heads = np.empty(rows, object)
    unknown = columns["amount_cents"] == NULL
    for kind, here in (("int64", np.flatnonzero(~unknown)), ("null", np.flatnonzero(unknown))):
        heads[here] = _fixed(
            ("int64", "_id", columns["transaction_id"][here]),
            ("int64", "customer_id", customer_ids[here]),
            ("date", "transaction_date", columns["timestamp_ms"][here]),
            (kind, "amount_cents", columns["amount_cents"][here]),
            ("date", "day", clean.day[here] * DAY_MS),
            ("int32", "hour", clean.hour[here]),
            ("int32", PAYMENT_METHOD.field, columns[PAYMENT_METHOD.name][here]),
            rest=attributes[here] + len(end),
        )
    return (
        _documents(customer_heads, described, referred, repeat(b"\0")),
        _documents(heads, described, referred, repeat(end)),
    )


def profile_ids(clean: Clean) -> Ints:
    """The customer of each row where customers are profiles."""
    ids: Ints = profile_id(clean.columns)
    return ids


def profile(customer_id: int) -> dict[str, Any]:
    """The customer document of a profile: what its id stands for."""
    return {"_id": Int64(customer_id), **profile_attributes(customer_id)}


def _documents(*parts: Iterable[bytes]) -> list[Encoded]:
    """The parts of each row joined; a shorter column ends it."""
    return list(map(Encoded, map(b"".join, zip(*parts, strict=False))))


def _age(age: int) -> dict[str, Any]:
    years = None if age == NULL else age
    return {"age": years, AGE_GROUP.field: age_group(years)}


def _described(name: str, code: int) -> dict[str, Any]:
    if name == "age":
        return _age(code - 1)
    dimension = BY_NAME[name]
    return {dimension.field: dimension.stored(code)}


def _pick_product(columns: dict[str, Ints], names: tuple[str, ...]) -> list[bytes]:
    """The elements of several columns as one piece for each row: few combinations, each of which is encoded once."""
    sizes = [int(columns[name].max(initial=0)) + 1 for name in names]
    present, positions = np.unique(np.ravel_multi_index([columns[name] for name in names], sizes), return_inverse=True)
    pieces = np.empty(len(present), object)
    for at, codes in enumerate(zip(*(each.tolist() for each in np.unravel_index(present, sizes)), strict=True)):
        pieces[at] = _piece(names, codes)
    return list(pieces[positions])


@lru_cache(maxsize=1 << 14)
def _piece(names: tuple[str, ...], codes: tuple[int, ...]) -> bytes:
    return b"".join(elements(_described(name, code)) for name, code in zip(names, codes, strict=True))


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
