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
from store.client import Document, Session, Store

RENAMES = "renames"
RENAMED = "renamed"
"""`_id` of the status document that lists the renames of members, and its field."""


def stored_members(store: Store, session: Session) -> list[Member]:
    """What the reference collections hold."""
    collections = [dimension.collection for dimension in PURCHASES.references]
    return [
        (name, document["_id"], document["name"])
        for name in collections
        for document in store.db[name].find({}, session=session)
    ]


def present_marks(store: Store, session: Session) -> dict[str, int]:
    """The marks of what the reference collections hold."""
    return dict.fromkeys((each.collection for each in PURCHASES.references), 0) | member_marks(
        stored_members(store, session)
    )


def noting(members: Iterable[Member]) -> dict[str, Any]:
    """The update of a status document that notes members as added; of a renamed one, note the old and the new name."""
    return marking(member_marks(members))


def marking(marks: Mapping[str, int]) -> dict[str, Any]:
    """The update of a status document that adds marks to its own."""
    return {"$bit": {f"{MEMBERS}.{name}": {"xor": Int64(mark)} for name, mark in marks.items()}} if marks else {}


def note_rename(store: Store, session: Session, former: Member, name: str) -> None:
    """Note, in the transaction that renames a member, its former and its new name."""
    collection, code, _ = former
    status = store.db[STATUS.name]
    kept = status.find_one({"_id": DATA_VERSION}, session=session)
    if MEMBERS in (kept or {}):
        status.update_one({"_id": DATA_VERSION}, noting([former, (collection, code, name)]), session=session)
    noted = {"collection": collection, "code": code, "former": former[2], "name": name}
    status.update_one({"_id": RENAMES}, {"$push": {RENAMED: noted}}, upsert=True, session=session)


def read_renames(store: Store, session: Session) -> list[Document]:
    """The renames of members, in their order: each with collection, code, former and new name."""
    renames: list[Document] = (store.db[STATUS.name].find_one({"_id": RENAMES}, session=session) or {}).get(RENAMED, [])
    return renames


def noted_marks(documents: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """The marks of several status documents together; empty where none are kept yet."""
    marks: dict[str, int] = {}
    for document in documents:
        for name, mark in document.get(MEMBERS, {}).items():
            marks[name] = marks.get(name, 0) ^ int(mark)
    return marks
