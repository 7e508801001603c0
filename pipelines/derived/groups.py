"""Groups as columns: what a question's transactions add up to, one value for each group in every array."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from catalog.measures import NOTHING, Parts

Array = np.ndarray[Any, np.dtype[Any]]
Codes = tuple[int, ...]
"""What identifies a group: the first day of its interval, if there are intervals, then its code in each dimension.

Days are day numbers.
"""


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups as arrays of the same length.

    Attributes:
        keys: the codes, one array for each part of `Codes`.
        sums: transactions, priced transactions and cents: 3 x |groups|, int64.
    """

    keys: tuple[Array, ...]
    sums: Array

    @classmethod
    def of(cls, groups: Mapping[Codes, Parts], width: int) -> "Groups":
        """Groups given one by one, with keys of so many codes."""
        keys = np.array(list(groups), np.int64).reshape(len(groups), width).T
        sums = np.array(list(groups.values()), np.int64).reshape(len(groups), len(NOTHING)).T
        return cls(tuple(keys), sums)

    def __len__(self) -> int:
        return int(self.sums.shape[1])

    def take(self, rows: Array) -> "Groups":
        """Some of the groups, by their positions."""
        return Groups(tuple(key[rows] for key in self.keys), self.sums[:, rows])

    @property
    def parts(self) -> Iterator[Parts]:
        """The sums of each group."""
        return map(Parts._make, self.sums.T.tolist())

    @property
    def codes(self) -> Iterator[Codes]:
        """The key of each group."""
        if not self.keys:
            return iter([()] * len(self))
        return zip(*(key.tolist() for key in self.keys), strict=True)

    def as_dict(self) -> dict[Codes, Parts]:
        """The same one by one."""
        return dict(zip(self.codes, self.parts, strict=True))

    @property
    def total(self) -> Parts:
        """The sums of all groups together, however large they are."""
        if len(self) and int(self.sums.max()) > 2**62 // len(self):
            return Parts(*map(sum, self.sums.tolist()))
        return Parts(*self.sums.sum(axis=1).tolist())


def merge(many: Sequence[Groups], width: int) -> Groups:
    """All of these groups, with those of the same key added up.

    Attributes:
        width: how many codes a key has.
    """
    if not many:
        return Groups((np.empty(0, np.int64),) * width, np.empty((len(NOTHING), 0), np.int64))
    joined = [np.concatenate([each.keys[place] for each in many]) for place in range(width)]
    sums = np.concatenate([each.sums for each in many], axis=1)
    if not sums.shape[1]:
        return Groups(tuple(joined), sums)
    if not width:
        return Groups((), sums.sum(axis=1, keepdims=True))
    order = np.lexsort(joined[::-1])
    ordered = [key[order] for key in joined]
    begins = np.zeros(len(order), bool)
    begins[0] = True
    for key in ordered:
        begins[1:] |= key[1:] != key[:-1]
    starts = np.flatnonzero(begins)
    return Groups(tuple(key[starts] for key in ordered), np.add.reduceat(sums[:, order], starts, axis=1))
