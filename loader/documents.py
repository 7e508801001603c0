"""From columns to encoded documents: the BSON of a customer and of a transaction for each row.

Most of a document is one of few byte strings (a state, an age, an hour), so these are encoded once and
joined; only ids, time and amount are new in each row, and they are laid out by numpy for all rows at
once. Encoding dicts one by one costs several times as much.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import bson
import numpy as np
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument

from catalog.dimensions import (
    AGE_GROUP,
    EMPLOYMENT_STATUS,
    GENDER,
    MARITAL_STATUS,
    PAYMENT_METHOD,
    REFERRAL,
    SEGMENT,
    STATE,
    age_group,
    day_of,
)
from loader.clean import NULL, Clean, Ints

_INT64, _DATE = b"\x12", b"\x09"
_ENUMERATED = (GENDER, MARITAL_STATUS, REFERRAL)
_PROFILED = (GENDER, MARITAL_STATUS)
_REFERRED = (STATE, SEGMENT, EMPLOYMENT_STATUS)


def elements(document: dict[str, Any]) -> bytes:
    """The BSON elements of a document without its length and its end."""
    return bson.encode(document)[4:-1]


def encode(clean: Clean, customer_ids: Ints, load_id: str) -> tuple[list[RawBSONDocument], list[RawBSONDocument]]:
    """The customers and the transactions of the rows, in their order.

    A transaction holds its customer's attributes as they were at the sale. Where customers are profiles only the
    transactions are of use: `profile` makes the customers.
    """
    columns = clean.columns
    attributes = _attributes(clean)
    customer_heads = _fixed((_INT64 + b"_id\0", customer_ids))
    heads = _fixed(
        (_INT64 + b"_id\0", columns["transaction_id"]),
        (_INT64 + b"customer_id\0", customer_ids),
        (_DATE + b"transaction_date\0", columns["timestamp_ms"]),
    )
    amounts = _fixed((_INT64 + b"amount_cents\0", columns["amount_cents"]))
    no_amount = elements({"amount_cents": None})
    for row in np.flatnonzero(columns["amount_cents"] == NULL).tolist():
        amounts[row] = no_amount
    when = _pick(_day_and_hour, clean.day * 24 + clean.hour)
    payment = _pick(lambda code: elements({PAYMENT_METHOD.field: code}), columns[PAYMENT_METHOD.name])
    end = elements({"load_id": load_id})
    return (
        _documents(zip(customer_heads, attributes, strict=True)),
        _documents(zip(heads, amounts, when, payment, attributes, strict=True), end),
    )


def profile_ids(clean: Clean) -> Ints:
    """The customer of each row where customers are profiles: one id for each (gender, age, marital status).

    They are negative, so that they never meet the id of a transaction.
    """
    columns = clean.columns
    profile = columns["age"] + 1
    for dimension in _PROFILED:
        profile = profile * len(dimension.members) + columns[dimension.name]
    return -1 - profile


def profile(customer_id: int) -> dict[str, Any]:
    """The customer document of a profile: what its id stands for."""
    code = -1 - customer_id
    named = {}
    for dimension in reversed(_PROFILED):
        code, member = divmod(code, len(dimension.members))
        named[dimension.field] = dimension.members[member]
    return {"_id": Int64(customer_id), **_age(code - 1), **named}


def _documents(rows: Iterable[Sequence[bytes]], end: bytes = b"") -> list[RawBSONDocument]:
    documents = []
    for parts in rows:
        body = b"".join(parts)
        length = len(body) + len(end) + 5
        documents.append(RawBSONDocument(length.to_bytes(4, "little") + body + end + b"\0"))
    return documents


def _attributes(clean: Clean) -> list[bytes]:
    """The elements of the customer's attributes of each row."""
    columns = clean.columns
    ages = _pick(lambda code: elements(_age(code - 1)), columns["age"] + 1)
    named = _pick_product(columns, _ENUMERATED)
    referred = _pick_product(columns, _REFERRED)
    return list(map(b"".join, zip(ages, named, referred, strict=True)))


def _age(age: int) -> dict[str, Any]:
    years = None if age == NULL else age
    return {"age": years, AGE_GROUP.field: age_group(years)}


@lru_cache(maxsize=1 << 15)
def _day_and_hour(code: int) -> bytes:
    day, hour = divmod(code, 24)
    return elements({"day": day_of(day), "hour": hour})


def _pick_product(columns: dict[str, Ints], dimensions: Sequence[Any]) -> list[bytes]:
    """The elements of several dimensions as one piece: few combinations, so one look-up instead of several."""
    sizes = [int(columns[dimension.name].max(initial=0)) + 1 for dimension in dimensions]
    combined = np.ravel_multi_index([columns[dimension.name] for dimension in dimensions], sizes)

    def piece(code: int) -> bytes:
        codes = np.unravel_index(code, sizes)
        return elements({d.field: d.stored(int(c)) for d, c in zip(dimensions, codes, strict=True)})

    return _pick(piece, combined)


def _pick(piece: Any, codes: Ints) -> list[bytes]:
    """`piece(code)` for each code, made once for each that occurs."""
    present, positions = np.unique(codes, return_inverse=True)
    pieces = np.empty(len(present), object)
    pieces[:] = [piece(code) for code in present.tolist()]
    return list(pieces[positions])


def _fixed(*fields: tuple[bytes, Ints]) -> list[bytes]:
    """Elements of eight bytes each, with their names, row by row."""
    rows = len(fields[0][1])
    layout = [
        (f"{kind}{i}", form)
        for i, (tag, _) in enumerate(fields)
        for kind, form in (("t", f"V{len(tag)}"), ("v", "<i8"))
    ]
    table = np.empty(rows, np.dtype(layout))
    for i, (tag, values) in enumerate(fields):
        table[f"t{i}"] = np.void(tag)
        table[f"v{i}"] = values
    encoded, width = table.tobytes(), table.dtype.itemsize
    return [encoded[at : at + width] for at in range(0, rows * width, width)]
