"""The members of one dimension while a file is read: the codes of names, and the names that the file adds."""

from collections.abc import Iterable
from typing import NamedTuple

from catalog import labels
from catalog.attributes import MAX_MEMBERS, Referred
from catalog.dimensions import Dimension
from catalog.errors import nearest
from loader.reading.fields import Reject

MAX_HINTS = 1_000
"""The most unknown names of a file that get a hint: finding the nearest name takes as long as reading 1,000 rows."""


class NewMember(NamedTuple):
    """A name that was not in the vocabulary, and its new code."""

    dimension: Referred
    code: int
    name: str


class Members:
    """The codes of the names of one column. Names are looked up, so adding many of them takes linear time."""

    def __init__(self, dimension: Dimension, names: Iterable[str], *, may_grow: bool = False) -> None:
        """With `may_grow`, an unknown name of an open dimension becomes a new member."""
        self._dimension = dimension
        self._names = list(names)
        self._codes: dict[str, int] = {"": 0}
        self._alike: dict[str, int] = {}
        for code, name in enumerate(self._names):  # where a database holds a name twice, the first one has it
            self._codes.setdefault(labels.key(name), code)
            self._alike.setdefault(labels.skeleton(name), code)
        self._grows = dimension if may_grow and isinstance(dimension, Referred) else None
        self._proposed: str | None = None
        self._added: list[NewMember] = []
        self._hints: dict[str, str] = {}

    def find(self, text: str) -> int | None:
        """The code of a name in any letter case, or None; 0 for an empty name, as for `Unknown`."""
        return self._codes.get(labels.key(text))

    def code(self, text: str) -> int:
        """The same; a new name gets the next code, permanently once `settle` is called.

        Raises:
            Reject: it is unknown and cannot be added.
        """
        self._proposed = None
        found = self.find(text)
        if found is None:
            self._check(text)
            self._proposed = text
            return len(self._names)
        return found

    def settle(self) -> None:
        """Add the last name passed to `code`, if it is new."""
        if self._proposed is not None and self._grows:
            name, code = labels.stored(self._proposed), len(self._names)
            self._names.append(name)
            self._codes[labels.key(name)] = self._alike[labels.skeleton(name)] = code
            self._added.append(NewMember(self._grows, code, name))
            self._proposed = None

    def take_added(self) -> list[NewMember]:
        """The members added since the last call."""
        added, self._added = self._added, []
        return added

    def _check(self, text: str) -> None:
        """Reject a name that cannot become a member."""
        name, label = self._dimension.name, self._dimension.label.lower()
        if not self._grows:
            raise Reject(f"{name}_unknown", f"unknown {label} {text!r}{self._hint(text)}")
        if fault := labels.fault(text):
            raise Reject(f"{name}_unfit", f"{text!r} cannot be added as a {label}: {fault}")
        alike = self._alike.get(labels.skeleton(text))
        if alike is not None:
            raise Reject(
                f"{name}_look_alike",
                f"{text!r} looks like the existing {label} {self._names[alike]!r}; write it the same way",
            )
        if len(self._names) >= MAX_MEMBERS:
            full = f"the limit of {MAX_MEMBERS:,} is reached"
            raise Reject(f"{name}_full", f"{text!r} cannot be added as a {label}: {full}")

    def _hint(self, text: str) -> str:
        if text not in self._hints and len(self._hints) < MAX_HINTS:
            alike = self._alike.get(labels.skeleton(text))
            like = nearest(text, self._names) if alike is None else self._names[alike]
            self._hints[text] = f"; did you mean {like}?" if like else ""
        return self._hints.get(text, "")
