"""Rename a member of a reference collection. Its code and every transaction stay the same."""

from catalog import labels
from catalog.errors import UnknownName, UserError
from catalog.purchases import PURCHASES
from pipelines.state.directory import bump_version_of
from pipelines.state.members import note_rename
from store.client import Store, Transaction


def rename(store: Store, dimension: str, code: int, name: str) -> str:
    """Rename a member; returns its former name. Answers show the new one at once.

    Raises:
        UnknownName: there is no such dimension or member.
        UserError: the name is not valid, or is too similar to that of another member.
    """
    by_name = {each.name: each for each in PURCHASES.references}
    if dimension not in by_name:
        raise UnknownName("dimension", dimension, by_name)
    collection = by_name[dimension].collection
    if fault := labels.fault(name):
        raise UserError(f"{name!r} cannot be the name of a member: {fault}.")

    def work(transaction: Transaction) -> str:
        members = {each["_id"]: each["name"] for each in transaction.find(collection)}
        if code not in members or code == 0:
            raise UnknownName("code", str(code), [str(each) for each in sorted(members) if each])
        for other, taken in members.items():
            if other != code and labels.skeleton(taken) == labels.skeleton(name):
                raise UserError(f"{name!r} is too similar to {taken!r}, the name of member {other}.")
        stored = labels.stored(name)
        transaction.update(collection, {"_id": code}, {"$set": {"name": stored}})
        bump_version_of(transaction, ())
        note_rename(transaction, (collection, code, members[code]), stored)
        return str(members[code])

    return store.transaction(work)
