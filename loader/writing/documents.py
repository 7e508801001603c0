"""Encode columns as documents: the BSON of a customer and of a transaction for each row.

Fields of fixed length (ids, dates, references) are laid out for all rows at once. The rest of a document, its bands
and labels (age, gender, marital status, referral), is one of a few hundred byte strings, each encoded once.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import repeat
from typing import Any

import numpy as np
from bson.int64 import Int64

from catalog.identity import profile_attributes, profile_id
from catalog.kinds import NULL, Attribute, Banded, Enumerated, Home, Referred
from catalog.purchases import PURCHASES
from loader.reading.clean import DAY_MS, Clean, Ints
from store.bson.elements import elements
from store.bson.to_documents import Encoded, Field, documents, fixed

KEY, CLOCK, AMOUNT, DATE, HOUR = (
    PURCHASES.key, PURCHASES.clock, PURCHASES.amount, PURCHASES.clock.date, PURCHASES.clock.hour,
)  # fmt: skip
_CUSTOMER, _TRANSACTION = PURCHASES.customer, PURCHASES.at_home(Home.TRANSACTION)


def encode(clean: Clean, customer_ids: Ints, load_id: str) -> tuple[list[Encoded], list[Encoded]]:
    """The customers and the transactions of the rows, in their order.

    A transaction holds its customer's attributes as they were at the sale. With profiles, only the
    transactions are used: `profile` creates the customers.
    """
    columns = clean.columns
    described = _described(columns, _CUSTOMER)
    referred = fixed(*_references(columns, _CUSTOMER))
    attributes = _lengths(described) + (len(referred[0]) if referred else 0)
    end = elements({"load_id": load_id}) + b"\0"
    ends: Iterable[bytes] = repeat(end)
    rest = attributes + len(end)
    if any(isinstance(each, (Banded, Enumerated)) for each in _TRANSACTION):
        own = _described(columns, _TRANSACTION)
        ends, rest = [each + end for each in own], rest + _lengths(own)
    customer_heads = fixed(("long", "_id", customer_ids), rest=attributes + 1)
    heads = np.empty(len(customer_ids), object)
    unknown = columns[AMOUNT.name] == NULL
    for kind, here in (("long", np.flatnonzero(~unknown)), ("null", np.flatnonzero(unknown))):
        heads[here] = fixed(
            ("long", KEY.field, columns[KEY.name][here]),
            ("long", "customer_id", customer_ids[here]),
            ("date", CLOCK.field, columns[CLOCK.name][here]),
            (kind, AMOUNT.field, columns[AMOUNT.name][here]),
            ("date", DATE.field, clean.day[here] * DAY_MS),
            ("int", HOUR.field, clean.hour[here]),
            *((kind, field, values[here]) for kind, field, values in _references(columns, _TRANSACTION)),
            rest=rest[here],
        )
    return (
        documents(customer_heads, described, referred, repeat(b"\0")),
        documents(heads, described, referred, ends),
    )


def profile_ids(clean: Clean) -> Ints:
    """The customer id of each row with `--customers profile`."""
    ids: Ints = profile_id(clean.columns)
    return ids


def profile(customer_id: int) -> dict[str, Any]:
    """The customer document that a profile id encodes."""
    return {"_id": Int64(customer_id), **profile_attributes(customer_id)}


def _lengths(pieces: list[bytes]) -> Ints:
    return np.fromiter(map(len, pieces), np.int64, len(pieces))


def _references(columns: Mapping[str, Ints], attributes: Iterable[Attribute]) -> Iterator[Field]:
    """The fields of those that are references, for `fixed`."""
    return (("int", each.field, columns[each.name]) for each in attributes if isinstance(each, Referred))


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
