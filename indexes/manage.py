"""Make the indexes of the database match the specifications, check that each is used, and count its uses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from catalog.collections import COLLECTIONS
from catalog.purchases import PURCHASES
from indexes.specifications import IGNORING_CASE, INDEXES, IndexSpec, Use
from store.client import Document, Store
from store.explain import explain
from store.faults import DuplicateKey
from store.layout import require_layout
from store.schema import apply_schema


@dataclass(frozen=True)
class Change:
    """A difference between the specifications and the database.

    Attributes:
        kind: `missing`, `extra` or `changed`; `refused` if `apply` could not make the change.
        collection, index: where.
        why: the reason for a refusal, and what to do.
    """

    kind: str
    collection: str
    index: str
    why: str = ""


def differences(store: Store) -> list[Change]:
    """What `apply` would change, in the order of the specifications."""
    outside = store.outside
    found = {collection.name: outside.indexes(collection.name) for collection in COLLECTIONS}
    changes = []
    for spec in INDEXES:
        existing = found[spec.collection].get(spec.name)
        if existing is None:
            changes.append(Change("missing", spec.collection, spec.name))
        elif not _same(spec, existing):
            changes.append(Change("changed", spec.collection, spec.name))
    wanted = {(spec.collection, spec.name) for spec in INDEXES}
    changes += [
        Change("extra", collection, name)
        for collection, indexes in found.items()
        for name in indexes
        if name != "_id_" and (collection, name) not in wanted
    ]
    return changes


def apply(
    store: Store, kinds: Sequence[str] = ("missing", "changed", "extra"), specs: Sequence[IndexSpec] = INDEXES
) -> list[Change]:
    """Create missing indexes, rebuild changed ones, and drop those that are not specified.

    Attributes:
        kinds: the kinds of differences to fix; a load only creates missing indexes.
        specs: those that may be created.

    Returns:
        the changes, and as `refused` each unique index that cannot be built because names are repeated:
        answers and loads still work, as the loader checks the names, too.
    """
    apply_schema(store)
    changes = [change for change in differences(store) if change.kind in kinds]
    outside = store.outside
    for change in changes:
        if change.kind != "missing":
            outside.drop_index(change.collection, change.index)
    wanted = {(change.collection, change.index) for change in changes if change.kind != "extra"}
    together: dict[str, list[IndexSpec]] = {}
    for spec in specs:
        if (spec.collection, spec.name) in wanted:
            together.setdefault(spec.collection, []).append(spec)
    for collection, missing in together.items():  # one pass over a collection builds all its indexes
        try:
            outside.make_indexes(collection, [(spec.keys, spec.options) for spec in missing])
        except DuplicateKey:
            why = _repeated_names(store, collection)
            if not why:
                raise
            refused = {(collection, spec.name) for spec in missing}
            changes = [
                replace(each, kind="refused", why=why) if (each.collection, each.index) in refused else each
                for each in changes
            ]
    return changes


def _repeated_names(store: Store, collection: str) -> str:
    """Which members of a reference collection have the same name, and what to do; empty if none have."""
    dimension = next((each.name for each in PURCHASES.references if each.collection == collection), None)
    pipeline: list[Document] = [{"$sort": {"_id": 1}}, {"$group": {"_id": "$name", "members": {"$push": "$$ROOT"}}}]
    groups = store.outside.aggregate(collection, pipeline, collation=IGNORING_CASE) if dimension else ()
    repeated = [each["members"] for each in groups if len(each["members"]) > 1]
    if not repeated:
        return ""
    told = [" and ".join(f"{each['_id']} {each['name']!r}" for each in members) for members in repeated]
    more = [f"{len(told) - _TOLD} more"] if len(told) > _TOLD else []
    last = repeated[0][-1]
    return (
        f"{collection} has members with the same name: {'; '.join((*told[:_TOLD], *more))}. Give each its own name, "
        f"for example with `python -m loader rename {dimension} {last['_id']} '{last['name']} ({last['_id']})'`, and "
        "run `python -m indexes apply` again"
    )


_TOLD = 5


def verify(store: Store) -> Iterator[tuple[IndexSpec, Use, str | None]]:
    """Explain each use of each index: what MongoDB reads instead, or None if it uses the index."""
    require_layout(store)
    for spec in INDEXES:
        for use in spec.serves:
            verb = next(iter(use.command))
            command = {**use.command, verb: spec.collection}
            explained = explain(store, command)
            yield spec, use, None if explained.index == spec.name else ", ".join(explained.stages)


def usage(store: Store) -> list[tuple[str, str, int]]:
    """Collection, index and how often it was used since the server started (`$indexStats`)."""
    require_layout(store)
    rows = []
    for collection in COLLECTIONS:
        found = store.outside.aggregate(collection.name, [{"$indexStats": {}}])
        rows += [(collection.name, stats["name"], int(stats["accesses"]["ops"])) for stats in found]
    return sorted(rows)


_KNOWN = {"v", "key", "ns", "unique", "collation"}
"""The properties that our indexes may have; partial, sparse or hidden ones have others."""


def _same(spec: IndexSpec, existing: Document) -> bool:
    collation = existing.get("collation") or {}
    wanted = IGNORING_CASE if spec.ignoring_case else {}
    return (
        list(spec.keys) == [tuple(key) for key in existing["key"]]
        and spec.unique == existing.get("unique", False)
        and {name: collation[name] for name in IGNORING_CASE if name in collation} == wanted
        and existing.keys() <= _KNOWN
    )
