"""Compare the reference collections with themselves and with their recorded marks (checksums)."""

from collections import Counter
from collections.abc import Iterator

from catalog.attributes import Referred
from catalog.collections import STATUS
from catalog.dimensions import UNKNOWN
from catalog.labels import key
from catalog.purchases import PURCHASES
from pipelines.derived.verification.findings import RESTORE, Difference
from pipelines.state.directory import VERSIONS
from pipelines.state.members import noted_marks, present_marks
from store.client import Reads


def differing_vocabulary(reads: Reads) -> Iterator[Difference]:
    """References: 0 is Unknown, ids are consecutive, no name is repeated, and the members match the marks."""
    for dimension in PURCHASES.references:
        name = dimension.collection
        members = {each["_id"]: each["name"] for each in reads.find(name, sort=[("_id", 1)])}
        if list(members) != list(range(len(members))):
            gap = next(code for code in range(len(members)) if code not in members)
            yield Difference(name, f"_id {gap}", "missing", f"{len(members)} consecutive ids", RESTORE)
        if members.get(0) != UNKNOWN:
            yield Difference(name, "name of 0", str(members.get(0)), UNKNOWN, RESTORE)
        folded = Counter(key(str(each)) for each in members.values())
        for each in (each for each, count in folded.items() if count > 1):
            yield Difference(name, f"name {each!r}", f"{folded[each]} members", "one member", RESTORE)
    noted = noted_marks(reads.find(STATUS.name, {"_id": VERSIONS}))
    present = present_marks(reads)
    for dimension in PURCHASES.references:
        name = dimension.collection
        if name in noted and noted[name] != present[name]:
            yield Difference(name, "names", _suspects(reads, dimension), "the names as they were added", RESTORE)


def _suspects(reads: Reads, dimension: Referred) -> str:
    """Which names may be wrong: the mark does not say, so the declared ones are checked first."""
    names = {each["_id"]: each["name"] for each in reads.find(dimension.collection)}
    others = [(code, right) for code, right in enumerate(dimension.members) if names.get(code) != right]
    told = [f"{code} is {names.get(code)!r}, not {right!r}" for code, right in others[:3]]
    return "; ".join(told) or f"one of {len(names)} names was changed"
