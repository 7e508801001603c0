"""The codec agrees with PyMongo's, on the bytes it encodes and on the columns it reads."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import numpy as np
import pytest
from bson.int64 import Int64
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.kinds import NULL
from store.bson.elements import decode, elements, framed, nested
from store.bson.reply import cut, id_of
from store.bson.to_columns import Walk
from store.bson.to_documents import arrays, documents, fixed
from tests.support.encoded import reply_of

Form = Mapping[str, str]
"""The type of each field, by its name; `long?` is a long or null."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LABELS = ("", "Unknown", "7 bytes", "8 bytes.", "8 bytes. and a", "8 bytes. and b", "8 bytes. and more, and a", "Å")
"""Some are longer than the eight bytes compared at once, and equal in those."""

BOUNDS = {"int": 31, "long": 63, "long?": 63, "date": 47}
"""Numbers have up to this many bits; dates stay within the years that Python supports."""

names = st.sampled_from(["a", "sixbyt", "sevenby", "eight_by", "nine_byte", "fourteen_bytes", "fifteen__bytes_", "é"])
forms = st.dictionaries(names, st.sampled_from([*BOUNDS, "string"]), min_size=1, max_size=6)


def number(kind: str) -> st.SearchStrategy[int]:
    """A number of this type."""
    least = 0 if kind == "long?" else -(2 ** BOUNDS[kind]) if kind != "date" else 0
    return st.integers(least, 2 ** BOUNDS[kind] - 1) | st.integers(0, 9)


def value(kind: str) -> st.SearchStrategy[Any]:
    """A value of this type, as PyMongo takes it."""
    if kind == "string":
        return st.sampled_from(LABELS)
    if kind == "date":
        return number(kind).map(lambda ms: EPOCH + timedelta(milliseconds=ms))
    return number(kind).map(int if kind == "int" else Int64) | (st.none() if kind == "long?" else st.nothing())


def rows(form: Form) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Documents of this form."""
    row = st.fixed_dictionaries({name: value(kind) for name, kind in form.items()})
    return st.lists(row.map(lambda found: {name: found[name] for name in form}), min_size=1, max_size=15)


def read_number(stored: Any) -> int:
    """The number in a column for a value."""
    if isinstance(stored, datetime):
        return (stored - EPOCH) // timedelta(milliseconds=1)
    return NULL if stored is None else LABELS.index(stored) if isinstance(stored, str) else int(stored)


def read(form: Form, found: Sequence[Mapping[str, Any]]) -> tuple[dict[str, list[int]], list[bool]]:
    """The columns of documents, and which documents have the form."""
    walk = Walk(reply_of(found))
    columns = {}
    for name, kind in form.items():
        walk.to(name)
        if kind == "string":
            columns[name] = walk.labels(LABELS).tolist()
        else:
            columns[name] = walk.numbers(kind.removesuffix("?"), or_null=kind == "long?")[0].tolist()
    return columns, (walk.right & walk.ended).tolist()


@given(st.data(), forms)
@settings(max_examples=100, deadline=None)
def test_columns_are_what_the_documents_hold(data: st.DataObject, form: Form) -> None:
    """Every type, and names and labels of all lengths."""
    found = data.draw(rows(form))
    columns, right = read(form, found)
    assert columns == {name: [read_number(row[name]) for row in found] for name in form}
    assert all(right)


OTHERS = (
    "another order",
    "one less",
    "one more",
    "another name",
    "another first letter",
    "another last letter",
    "another type",
    "another label",
    "null",
    "binary",
)


def spoiled(row: Mapping[str, Any], how: str, name: str) -> dict[str, Any]:
    """The row with one thing wrong about this field."""
    items = list(row.items())
    at = list(row).index(name)
    if how == "another order":
        return dict([*items[at + 1 :], *items[: at + 1]] if at + 1 < len(items) else reversed(items))
    if how == "one less":
        return dict([*items[:at], *items[at + 1 :]])
    if how == "one more":
        return dict([*items, ("more", 1)])
    names = {"another name": f"{name}X", "another first letter": f"X{name[1:]}", "another last letter": f"{name[:-1]}X"}
    if how in names:
        return {names[how] if each == name else each: stored for each, stored in items}
    wrong = {"another type": 1.5, "another label": "8 bytes. and c", "null": None, "binary": bson.Binary(b"")}
    return dict(items) | {name: wrong[how]}


@given(st.data(), forms)
@settings(max_examples=200, deadline=None)
def test_a_document_of_another_form_is_found_and_disturbs_no_other(data: st.DataObject, form: Form) -> None:
    """Whatever is wrong with some documents, the columns are right for the others."""
    good = data.draw(rows(form))
    found = []
    for row in good:
        how = data.draw(st.none() | st.sampled_from(OTHERS))
        found.append(spoiled(row, how, data.draw(st.sampled_from(list(form)))) if how else row)
    columns, right = read(form, found)
    assert right == [
        [*row] == [*form]
        and all(row[name] is before[name] or (kind == "long?" and row[name] is None) for name, kind in form.items())
        for row, before in zip(found, good, strict=True)
    ]
    for name, column in columns.items():
        read_right = [(got, read_number(row[name])) for got, row, ok in zip(column, found, right, strict=True) if ok]
        assert all(got == expected for got, expected in read_right)


def test_a_text_is_compared_in_its_whole_length() -> None:
    """Longer and shorter texts with the same beginning differ; other types are invalid."""
    texts = ["load", "load1", "loa", "load and more than eight", "load and more than 8", ""]
    for text in texts:
        walk = Walk(reply_of([{"load_id": each} for each in texts]))
        walk.to("load_id")
        assert walk.equals(text).tolist() == [each == text for each in texts]
        assert walk.right.all()
        assert walk.ended.all()
    walk = Walk(reply_of([{"load_id": "load"}, {"load_id": None}, {"load_id": 2**30}]))
    walk.to("load_id")
    walk.equals("load")
    assert walk.right.tolist() == [True, False, False]


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 1001, 12_345])
def test_an_array_of_any_length_is_taken_apart(size: int) -> None:
    """Positions are text, so their width changes at 10, 100, 1,000 and 10,000."""
    found = [{"_id": str(number), "n": number} for number in range(size)]
    cursor = {"nextBatch": found, "id": Int64(7), "at": EPOCH, "ns": "a.b"}
    reply, others = cut(bson.encode(cursor), "nextBatch")
    assert [decode(each) for each in reply.documents()] == found
    assert [id_of(each) for each in reply.documents()] == [each["_id"] for each in found]
    assert others == {"id": 7, "at": EPOCH, "ns": "a.b"}


@pytest.mark.parametrize("sizes", [(1, 9, 10, 11), (99, 100, 101), (3, 0, 2), (0,), (), (999, 1000, 1001), (12_345, 1)])
def test_arrays_of_any_length_are_encoded_as_bson_itself_would(sizes: tuple[int, ...]) -> None:
    """One after another, with positions of one to five digits."""
    count = sum(sizes)
    k, r = np.arange(count), np.arange(count) * 2**40
    found = arrays(np.array(sizes, np.int64), ("int", "k", k), ("null", "none", k), ("long", "r", r), ("date", "d", k))
    each = ({"k": n, "none": None, "r": Int64(n * 2**40), "d": EPOCH + timedelta(milliseconds=n)} for n in range(count))
    expected = [[next(each) for _ in range(size)] for size in sizes]
    assert [framed(nested("array", "cells", body)) for body in found] == [
        bson.encode({"cells": cells}) for cells in expected
    ]


@given(st.data(), st.dictionaries(names, st.sampled_from(["int", "long", "date", "null"]), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_rows_are_encoded_as_bson_itself_would(data: st.DataObject, form: Form) -> None:
    """Fields of fixed length, then pieces of any length."""
    size = data.draw(st.integers(1, 12))
    columns = {
        name: data.draw(st.lists(number("int" if kind == "null" else kind), min_size=size, max_size=size))
        for name, kind in form.items()
    }
    end = st.dictionaries(st.sampled_from(["Text", "More"]), st.text())
    ends = data.draw(st.lists(end, min_size=size, max_size=size))
    pieces = [elements(end) + b"\0" for end in ends]
    fields = [(kind, name, np.array(columns[name], np.int64)) for name, kind in form.items()]
    heads = fixed(*fields, rest=np.array([len(piece) for piece in pieces]))
    stored = {
        "int": int, "long": Int64, "date": lambda ms: EPOCH + timedelta(milliseconds=ms), "null": lambda _: None,
    }  # fmt: skip
    expected = [
        bson.encode({name: stored[kind](columns[name][row]) for name, kind in form.items()} | end)
        for row, end in enumerate(ends)
    ]
    assert [each.raw for each in documents(heads, pieces)] == expected
    assert [framed(body) for body in fixed(*fields)] == [
        bson.encode({name: stored[kind](columns[name][row]) for name, kind in form.items()}) for row in range(size)
    ]


def test_documents_within_documents_are_framed_as_bson_itself_would() -> None:
    """An object and an array in a document."""
    body = elements({"a": 1}) + nested("object", "b", elements({"c": "d"})) + nested("array", "e", b"")
    assert framed(body) == bson.encode({"a": 1, "b": {"c": "d"}, "e": []})
