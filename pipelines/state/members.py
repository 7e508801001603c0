"""The mark of the vocabulary: what the reference collections must hold, kept beside the data version.

Whatever adds a member, or renames one, notes it in the transaction that does so; a batch in its lane, like all that it
notes. So a name that somebody else changed, deleted or swapped is noticed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bson.int64 import Int64

from catalog.collections import DATA_VERSION, MEMBERS, STATUS
from catalog.identity import Member, member_marks
from catalog.purchases import PURCHASES
from store.client import Document, Reads, Transaction

RENAMES = "renames"
RENAMED = "renamed"
"""`_id` of the status document that lists the renames of members, and its field."""


def stored_members(reads: Reads) -> list[Member]:
    """What the reference collections hold."""
    collections = [dimension.collection for dimension in PURCHASES.references]
    return [(name, document["_id"], document["name"]) for name in collections for document in reads.find(name)]


def present_marks(reads: Reads) -> dict[str, int]:
    """The marks of what the reference collections hold."""
    return dict.fromkeys((each.collection for each in PURCHASES.references), 0) | member_marks(stored_members(reads))


def noting(members: Iterable[Member]) -> dict[str, Any]:
    """The update of a status document that notes members as added; of a renamed one, note the old and the new name."""
    return marking(member_marks(members))


def marking(marks: Mapping[str, int]) -> dict[str, Any]:
    """The update of a status document that adds marks to its own."""
    return {"$bit": {f"{MEMBERS}.{name}": {"xor": Int64(mark)} for name, mark in marks.items()}} if marks else {}


def note_rename(transaction: Transaction, former: Member, name: str) -> None:
    """Note, in the transaction that renames a member, its former and its new name."""
    collection, code, _ = former
    this = {"_id": DATA_VERSION}
    if MEMBERS in (transaction.find_one(STATUS.name, this) or {}):
        transaction.update(STATUS.name, this, noting([former, (collection, code, name)]))
    noted = {"collection": collection, "code": code, "former": former[2], "name": name}
    transaction.update(STATUS.name, {"_id": RENAMES}, {"$push": {RENAMED: noted}}, upsert=True)


def read_renames(reads: Reads) -> list[Document]:
    """The renames of members, in their order: each with collection, code, former and new name."""
    renames: list[Document] = (reads.find_one(STATUS.name, {"_id": RENAMES}) or {}).get(RENAMED, [])
    return renames


def noted_marks(documents: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """The marks of several status documents together; empty where none are kept yet."""
    marks: dict[str, int] = {}
    for document in documents:
        for name, mark in document.get(MEMBERS, {}).items():
            marks[name] = marks.get(name, 0) ^ int(mark)
    return marks
