"""Read fields of many documents as columns, straight from the bytes.

MongoDB sends documents with their fields in the order in which they were stored, so numpy can read one field of all of
them at a time. Decoding documents one by one takes longer than MongoDB needs to send them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.kinds import NULL
from store.bson.elements import FORMS, TAGS
from store.bson.reply import Reply

_Mask = NDArray[np.bool_]


class Walk:
    """Reads the fields of all documents of a reply at once, one after another: `to` a field, then its value.

    Attributes:
        right: whether each document had all fields so far, in this order and with valid values. What is read from other
            documents is meaningless.
    """

    def __init__(self, reply: Reply) -> None:
        """Start before the first field of each document."""
        starts = np.array(reply.starts, np.int64)
        self._data, self._at = reply.data, starts + 4
        self._ends = starts + self._take(starts, "<i4") - 1
        self._limit = int(self._ends[-1])
        self._kinds = np.empty(0, np.uint8)
        self.right: _Mask = np.ones(len(starts), bool)

    def to(self, name: str) -> _Mask:
        """Go to the value of the next field. Returns whether the field has this name, for each document."""
        text = name.encode() + b"\0"
        words = self._take(self._at, "<u8")  # the type, and the beginning of the name
        mask, word = _word(b"\0" + text)
        self._kinds = words.astype(np.uint8)
        named: _Mask = words & (mask ^ np.uint64(0xFF)) == word
        if len(text) > 7:
            named &= self._is(self._at + 8, text[7:])
        self.right &= named
        self._at = self._at + len(text) + 1
        return named

    def numbers(self, kind: str, *, or_null: bool = False) -> tuple[NDArray[np.int64], _Mask]:
        """The numbers or dates (in milliseconds) here, and whether each is of this type.

        With `or_null`, null is valid as well and read as NULL.
        """
        values = self._take(self._at, FORMS[kind]).astype(np.int64, copy=False)
        known = self._kinds == TAGS[kind]
        size = np.dtype(FORMS[kind]).itemsize
        if or_null:
            self._pass(known | (self._kinds == TAGS["null"]), size * known)
            return np.where(known, values, NULL), known
        self._pass(known, size)
        return values, known

    def labels(self, members: Sequence[str]) -> NDArray[np.int64]:
        """The position of each string among these members; any other string is invalid."""
        lengths, begins = self._take(self._at, "<i4"), self._take(self._at + 4, "<u8")
        codes = np.full(len(lengths), NULL, np.int64)
        for code, member in enumerate(members):
            text = member.encode() + b"\0"
            mask, word = _word(text)
            rows = np.flatnonzero((lengths == len(text)) & (begins & mask == word))
            if len(text) > 8:
                rows = rows[self._is(self._at[rows] + 12, text[8:])]
            codes[rows] = code
        self._pass_text(lengths, codes >= 0)
        return codes

    def equals(self, text: str) -> _Mask:
        """Whether each string is this one; any string is valid."""
        same = self._is(self._at + 4, text.encode() + b"\0")
        self._pass_text(self._take(self._at, "<i4"))
        return same

    @property
    def ended(self) -> _Mask:
        """Whether each document has no more fields."""
        ended: _Mask = self._at == self._ends
        return ended

    def _pass_text(self, lengths: NDArray[Any], right: _Mask | bool = True) -> None:
        self._pass(right & (self._kinds == TAGS["string"]), np.maximum(lengths, 0).astype(np.int64) + 4)

    def _pass(self, right: _Mask, sizes: NDArray[Any] | int) -> None:
        """Move past the values, but never past the last document."""
        self.right &= right
        self._at = np.minimum(self._at + sizes, self._limit)

    def _take(self, at: NDArray[Any], form: str) -> NDArray[Any]:
        """The little-endian number at each position: numpy views one at every byte, and picks these."""
        count = len(self._data) - np.dtype(form).itemsize + 1
        numbers: NDArray[Any] = np.ndarray(count, form, self._data, strides=(1,))
        taken: NDArray[Any] = numbers[at]
        return taken

    def _is(self, at: NDArray[Any], text: bytes) -> _Mask:
        """Whether the text is at each position, compared eight bytes at a time."""
        same: _Mask = np.ones(len(at), bool)
        for begin in range(0, len(text), 8):
            mask, word = _word(text[begin:])
            same &= self._take(at + begin, "<u8") & mask == word
        return same


def _word(text: bytes) -> tuple[np.uint64, np.uint64]:
    """The first eight bytes of a text as a number, and the mask of the bits that count."""
    part = text[:8]
    return np.uint64(2 ** (8 * len(part)) - 1), np.uint64(int.from_bytes(part, "little"))
