"""How the rows of a file were judged: each run of a load records where it began, and what it knew.

The known names and the latest accepted day change over time; whoever reads the file again later, to compare it with the
database, must judge as the load did.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog.collections import LOADS
from catalog.dimensions import Vocabulary
from catalog.purchases import DATE, PURCHASES
from loader.reading.clean import tomorrow
from pipelines.state.directory import read_directory
from pipelines.state.members import read_renames
from store.client import Document, Store


@dataclass(frozen=True)
class Run:
    """One run of a load, from its checkpoint on.

    Attributes:
        offset, line: where in the file it begins.
        latest_day: the day number of the latest accepted day.
        vocabulary: the members that are known at its beginning.
        is_noted: whether the load recorded this; otherwise it is an estimate for an older load.
    """

    offset: int
    line: int
    latest_day: int
    vocabulary: Vocabulary
    is_noted: bool = True


def begin_run(store: Store, load: Mapping[str, Any]) -> Run:
    """Record what the rows are judged by from the checkpoint on; the load is claimed, and nothing written yet."""
    with store.snapshot() as reads:
        vocabulary = read_directory(reads, is_named=True).vocabulary  # a lost name's code is not given again
        run = Run(load["offset"], load["line"], tomorrow(), vocabulary)
        renames = len(read_renames(reads))
    noted = {
        "offset": run.offset,
        "line": run.line,
        "latest_day": run.latest_day,
        "members": {each.name: len(run.vocabulary[each.name]) for each in PURCHASES.references},
        "renames": renames,
    }
    mine = {"_id": load["_id"], "session": load["session"]}
    store.outside.update(LOADS.name, mine, {"$push": {"runs": noted}})
    return run


def runs_of(load: Document, vocabulary: Vocabulary, renames: Sequence[Document], offset: int, line: int) -> list[Run]:
    """The runs of a load, in the order of the file, each with the members it knew. Codes never change.

    Attributes:
        vocabulary, renames: today's.
        offset, line: where the file's first record stands.
    """
    if not load.get("runs"):
        return [
            Run(offset, line, DATE.code(load["updated_at"]) + 1, _renamed_back(vocabulary, renames), is_noted=False)
        ]
    by_offset = {run["offset"]: run for run in load["runs"]}  # of several from one checkpoint, only the last wrote
    return [
        Run(
            run["offset"],
            run["line"],
            run["latest_day"],
            _known(_renamed_back(vocabulary, renames[run["renames"] :]), run["members"]),
        )
        for _, run in sorted(by_offset.items())
    ]


def _renamed_back(vocabulary: Vocabulary, renames: Sequence[Document]) -> Vocabulary:
    """The vocabulary before some renames."""
    names = {name: list(members) for name, members in vocabulary.items()}
    dimensions = {each.collection: each.name for each in PURCHASES.references}
    for rename in reversed(renames):
        names[dimensions[rename["collection"]]][rename["code"]] = rename["former"]
    return {name: tuple(members) for name, members in names.items()}


def _known(vocabulary: Vocabulary, sizes: Mapping[str, int]) -> Vocabulary:
    return {name: members[: sizes.get(name, len(members))] for name, members in vocabulary.items()}
