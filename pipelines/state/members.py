"""The marks of the vocabulary: checksums of the reference collections, stored with the data version.

Whatever adds or renames a member updates the mark in the same transaction; a batch does so in its lane. So a name that
was changed, deleted or swapped by other means is detected.
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
    """The members of the reference collections."""
    collections = [dimension.collection for dimension in PURCHASES.references]
    return [(name, document["_id"], document["name"]) for name in collections for document in reads.find(name)]


def present_marks(reads: Reads) -> dict[str, int]:
    """The marks of the members that are stored."""
    return dict.fromkeys((each.collection for each in PURCHASES.references), 0) | member_marks(stored_members(reads))


def noting(members: Iterable[Member]) -> dict[str, Any]:
    """The update of a status document for added members; for a renamed one, pass the old and the new name."""
    return marking(member_marks(members))


def marking(marks: Mapping[str, int]) -> dict[str, Any]:
    """The update of a status document that adds marks to its own."""
    return {"$bit": {f"{MEMBERS}.{name}": {"xor": Int64(mark)} for name, mark in marks.items()}} if marks else {}


def note_rename(transaction: Transaction, former: Member, name: str) -> None:
    """Record, in the transaction that renames a member, its former and its new name."""
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
    """The combined marks of several status documents; empty if there are none yet."""
    marks: dict[str, int] = {}
    for document in documents:
        for name, mark in document.get(MEMBERS, {}).items():
            marks[name] = marks.get(name, 0) ^ int(mark)
    return marks
