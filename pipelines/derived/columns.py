"""Read the transactions of a range of days as columns of codes, straight from MongoDB's replies.

The fields of a reply's documents are in the order in which they were stored, mostly the same one: they are read for all
documents at a time, and every type and name is checked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from catalog.collections import TRANSACTIONS
from catalog.dimensions import DatePart
from catalog.errors import InternalError
from catalog.kinds import NULL
from catalog.measures import AMOUNT
from catalog.purchases import DATE, PURCHASES
from pipelines.plan.compiler import match_transactions
from store.bson.elements import decode
from store.bson.reply import Reply
from store.bson.to_columns import Walk
from store.client import Reads

Array = np.ndarray[Any, np.dtype[Any]]
_CUSTOMER = "customer_id"
_NUMBERS = (AMOUNT, _CUSTOMER)
_BY_FIELD = {dimension.field: dimension for dimension in PURCHASES.stored}
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Columns:
    """Transactions as columns of the same length, in the order of their days.

    Attributes:
        codes: for each dimension's name the codes; `date` holds day numbers.
        cents: the amounts in cents, NULL where unknown.
        customers: the customer ids, if requested.
    """

    codes: Mapping[str, Array]
    cents: Array
    customers: Array | None = None

    def __len__(self) -> int:
        return len(self.cents)


def read_columns(reads: Reads, first: date, last: date, *, with_customers: bool = False) -> Columns:
    """The transactions of the days from `first` to `last`.

    Raises:
        InternalError: a field of a transaction does not satisfy its validator.
    """
    numbers = _NUMBERS if with_customers else (AMOUNT,)
    fields = {dimension.field: True for dimension in PURCHASES.stored} | dict.fromkeys(numbers, True) | {"_id": False}
    condition = match_transactions((), first, last)
    find = {"find": TRANSACTIONS.name, "filter": condition, "projection": fields}
    parts = reads.replies(find, _decode)
    names = [*(dimension.name for dimension in PURCHASES.stored), *numbers]
    joined = {name: np.concatenate([part[name] for part in parts] or [np.empty(0, np.int64)]) for name in names}
    order = np.argsort(joined[DATE.name], kind="stable")
    joined = {name: values[order] for name, values in joined.items()}
    joined |= {part.name: _of_days(joined[DATE.name], part) for part in PURCHASES.parts}
    codes = {dimension.name: joined[dimension.name] for dimension in PURCHASES.dimensions}
    return Columns(codes, joined[AMOUNT], joined.get(_CUSTOMER))


def _of_days(days: Array, part: DatePart) -> Array:
    """A dimension computed from days, once for each distinct day."""
    distinct, positions = np.unique(days, return_inverse=True)
    return np.array([part.code_of_day(day) for day in distinct.tolist()], np.int64)[positions]


def _decode(reply: Reply) -> dict[str, Array]:
    """The columns of one reply, all documents at a time if their fields are in the same order."""
    walk = Walk(reply)
    columns: dict[str, Array] = {}
    for field in decode(next(reply.documents())):
        if not walk.to(field).all():
            return _decode_one_by_one(reply)
        if field in _NUMBERS:
            columns[field], _ = walk.numbers("long", or_null=True)
        elif (dimension := _BY_FIELD[field]).bson == "string":
            columns[dimension.name] = walk.labels(dimension.members)
        else:
            values, _ = walk.numbers(dimension.bson)
            columns[dimension.name] = values // _DAY_MS if dimension.bson == "date" else values
        _require(walk.right.all(), field)
    if not walk.ended.all():  # some have more fields than the first
        return _decode_one_by_one(reply)
    for each in PURCHASES.stored:
        if each.name not in columns:  # loaded before the field was declared
            _require(each in PURCHASES.optional, each.field)
            columns[each.name] = np.zeros(len(reply.starts), np.int64)
    return columns


def _decode_one_by_one(reply: Reply) -> dict[str, Array]:
    """The same for documents with other fields than the first one, or in another order."""
    documents = [decode(document) for document in reply.documents()]
    columns = {}
    for each in PURCHASES.stored:
        stored = [document.get(each.field) for document in documents]
        _require(each in PURCHASES.optional or None not in stored, each.field)
        columns[each.name] = np.array([each.code(value) for value in stored])
    for field in _NUMBERS:
        if field in documents[0]:
            values = [NULL if document[field] is None else int(document[field]) for document in documents]
            columns[field] = np.array(values, np.int64)
    return columns


def _require(condition: Any, field: str) -> None:
    if not condition:
        raise InternalError(f"The field {field} of a transaction does not satisfy its validator.")
