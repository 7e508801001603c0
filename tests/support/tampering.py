"""Changes made behind the loader's back, one at a time, and what must notice each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from bson import Binary, Int64, ObjectId

Document = dict[str, Any]


class Notice(StrEnum):
    """What notices a change."""

    VERIFY = "verify"
    CSV = "verify --csv"
    READER = "readers"
    NOTHING = "nothing, by design"


@dataclass(frozen=True)
class Tampering:
    """A change of one document.

    Attributes:
        collection: its collection.
        what: the changed field, or what is done to the document.
        change: returns the changed document; None if it is deleted.
        notice: what notices it.
        why: how it is noticed, or why it need not be.
        of: the query for the document.
        stray: whether the changed document is added, and the original stays.
    """

    collection: str
    what: str
    change: Callable[[Document], Document | None]
    notice: Notice
    why: str
    of: Mapping[str, Any]
    stray: bool = False

    @property
    def name(self) -> str:
        """Its name in the table and in tests."""
        return f"{self.collection}: {self.what}"


def to(field: str, value: Any) -> Callable[[Document], Document]:
    """A change of one field; `value` is the new value, or a function of the current one."""
    return lambda document: document | {field: value(document.get(field)) if callable(value) else value}


def gone(_: Document) -> None:
    """The change that deletes the document."""


V, C, R, N = Notice.VERIFY, Notice.CSV, Notice.READER, Notice.NOTHING
LONG_AGO = datetime(2001, 2, 3, tzinfo=UTC)
OWN: Mapping[str, Any] = {"_id": 5}
PROFILE: Mapping[str, Any] = {"_id": {"$lt": 0}}
LOAD: Mapping[str, Any] = {"file": "first.csv"}
MONTH: Mapping[str, Any] = {"_id": "2022-03"}
SLICE: Mapping[str, Any] = {"_id": "2022-03:gender:1"}
MALFORMED: Mapping[str, Any] = {"reason": "amount_malformed"}
DATA: Mapping[str, Any] = {"_id": "data"}
LANE: Mapping[str, Any] = {"_id": {"$regex": "^data/"}}
PRESENCE: Mapping[str, Any] = {"_id": "presence"}
ADOPTED_IDS = (108, 109, 110)
ADOPTED: Mapping[str, Any] = {"first": ADOPTED_IDS[0]}
NOTED: Mapping[str, Any] = {"first": 20}
MADE = "the id is made of file and options"
CUSTOMER = "the customer says otherwise"
BYTES = "each slice is built anew and compared byte by byte"


def _minute(moment: datetime) -> datetime:
    return moment.replace(minute=(moment.minute + 1) % 60)


def _day(moment: datetime) -> datetime:
    return moment + timedelta(days=-1 if moment.day > 2 else 1)


def _another(*values: Any) -> Callable[[Any], Any]:
    return lambda present: next(value for value in values if value != present)


def _more(field: str, key: str) -> Callable[[Document], Document]:
    return lambda document: document | {field: document[field] | {key: document[field].get(key, 0) + 1}}


def _flip(page: Document) -> Document:
    cents = bytearray(page["columns"]["cents"])
    cents[0] ^= 1
    return page | {"columns": page["columns"] | {"cents": bytes(cents)}}


def _cell(document: Document) -> Document:
    cells = dict(document["cells"])
    cells["total"] = [cells["total"][0] | {"n": cells["total"][0]["n"] + 1}]
    return document | {"cells": cells}


def _latest(load: Document) -> Document:
    return load | {"runs": [run | {"latest_day": 1000} for run in load["runs"]]}


def _renamed(document: Document) -> Document:
    return document | {"renamed": [each | {"former": "Elsewhere"} for each in document["renamed"]]}


def _noting(*ids: int) -> Callable[[Document], Document]:
    packed = b"".join(each.to_bytes(8, "little") for each in ids)
    return lambda note: note | {"first": Int64(min(ids)), "last": Int64(max(ids)), "ids": packed}


def _fewer_present(load: Document) -> Document:
    counts = load["counts"]
    fewer = {"read": counts["read"] - 1, "already_present": counts["already_present"] - 1}
    return load | {"counts": counts | fewer}


def _references() -> tuple[Tampering, ...]:
    found = []
    for name in ("states", "segments", "employment_status", "payment_methods"):
        of = {"_id": 2}
        found += [
            Tampering(name, "_id", to("_id", 77), V, "ids have no gap", of),
            Tampering(name, "name", to("name", "Elsewhere"), V, "the mark of the vocabulary", of),
            Tampering(name, "deleted", gone, V, "ids have no gap; the mark of the vocabulary", of),
            Tampering(name, "added", lambda each: {"_id": 77, "name": "New"}, V, "the same", of, stray=True),
        ]
    return tuple(found)


TABLE: tuple[Tampering, ...] = (
    Tampering("transactions", "_id", to("_id", Int64(9999)), V, "its customer has another id", OWN),
    Tampering("transactions", "customer_id", to("customer_id", Int64(6)), V, "neither its own nor its profile", OWN),
    Tampering("transactions", "payment_method_id", to("payment_method_id", _another(1, 2)), V, "page and rollups", OWN),
    Tampering("transactions", "transaction_date", to("transaction_date", _day), V, "day and hour say otherwise", OWN),
    Tampering("transactions", "transaction_date, within its hour", to("transaction_date", _minute), C,
              "minutes are stored once", OWN),
    Tampering("transactions", "day", to("day", _day), V, "the date says otherwise", OWN),
    Tampering("transactions", "hour", to("hour", _another(3, 4)), V, "the date says otherwise", OWN),
    Tampering("transactions", "amount_cents", to("amount_cents", Int64(77)), V, "page and rollups", OWN),
    Tampering("transactions", "age", to("age", _another(19, 20)), V, CUSTOMER, OWN),
    Tampering("transactions", "age_group", to("age_group", _another("65+", "18-24")), V, "the age says otherwise", OWN),
    Tampering("transactions", "gender", to("gender", _another("Male", "Female")), V, CUSTOMER, OWN),
    Tampering("transactions", "marital_status", to("marital_status", _another("Single", "Married")), V, CUSTOMER, OWN),
    Tampering("transactions", "referral", to("referral", _another("Referral", "Unknown")), V, CUSTOMER, OWN),
    Tampering("transactions", "state_id", to("state_id", _another(1, 2)), V, CUSTOMER, OWN),
    Tampering("transactions", "segment_id", to("segment_id", _another(1, 2)), V, CUSTOMER, OWN),
    Tampering("transactions", "employment_status_id", to("employment_status_id", _another(1, 2)), V, CUSTOMER, OWN),
    Tampering("transactions", "load_id, to none", to("load_id", "none"), V, "no such load", OWN),
    Tampering("transactions", "load_id", to("load_id", "{second}"), V, "both loads count their transactions", OWN),
    Tampering("transactions", "deleted", gone, V, "its load's count, its customer, page and rollups", OWN),
    Tampering("transactions", "added", to("_id", Int64(9999)), V, "its load's count; page, rollups", OWN, stray=True),
    Tampering("customers", "_id", to("_id", Int64(9999)), V, "its transaction has another id", OWN),
    Tampering("customers", "age", to("age", _another(19, 20)), V, "the transaction says otherwise", OWN),
    Tampering("customers", "age_group", to("age_group", _another("65+", "18-24")), V, "the same", OWN),
    Tampering("customers", "gender", to("gender", _another("Male", "Female")), V, "the same", OWN),
    Tampering("customers", "marital_status", to("marital_status", _another("Single", "Married")), V, "the same", OWN),
    Tampering("customers", "referral", to("referral", _another("Referral", "Unknown")), V, "the same", OWN),
    Tampering("customers", "state_id", to("state_id", _another(1, 2)), V, "the same", OWN),
    Tampering("customers", "segment_id", to("segment_id", _another(1, 2)), V, "the same", OWN),
    Tampering("customers", "employment_status_id", to("employment_status_id", _another(1, 2)), V, "the same", OWN),
    Tampering("customers", "gender of a profile", to("gender", _another("Male", "Female")), V,
              "a profile's id is made of its attributes", PROFILE),
    Tampering("customers", "deleted", gone, V, "its transaction names it", OWN),
    Tampering("customers", "deleted profile", gone, V, "transactions name it", PROFILE),
    Tampering("customers", "added", to("_id", Int64(9999)), V, "no transaction names it", OWN, stray=True),
    *_references(),
    Tampering("loads", "_id", to("_id", "f" * 16), V, "the id is made of file and options; transactions name it", LOAD),
    Tampering("loads", "file", to("file", "other.csv"), V, "refused rows name it; without any, nothing", LOAD),
    Tampering("loads", "sha256", to("sha256", "0" * 64), V, MADE, LOAD),
    Tampering("loads", "bytes", to("bytes", 7), V, "a complete load has read them all", LOAD),
    Tampering("loads", "options", to("options", {"customers": "profile"}), V, MADE, LOAD),
    Tampering("loads", "columns", to("columns", ["Age"]), C, "the file's header", LOAD),
    Tampering("loads", "status", to("status", "removed"), V, "a removed load has no transactions", LOAD),
    Tampering("loads", "offset", to("offset", 7), V, "a complete load has read all bytes", LOAD),
    Tampering("loads", "line", to("line", 7), C, "the file's lines", LOAD),
    Tampering("loads", "counts", _more("counts", "inserted"), V, "they add up, and equal what is stored", LOAD),
    Tampering("loads", "missing", _more("missing", "Age"), C, "counted again", LOAD),
    Tampering("loads", "reasons", _more("reasons", "age_malformed"), V, "the refused rows are counted", LOAD),
    Tampering("loads", "seconds", to("seconds", 7.5), N, "a figure for people", LOAD),
    Tampering("loads", "updated_at", to("updated_at", LONG_AGO), N, "history; no answer rests on it", LOAD),
    Tampering("loads", "started_at", to("started_at", LONG_AGO), N, "history; no answer rests on it", LOAD),
    Tampering("loads", "session", to("session", Binary(bytes(16), 4)), N, "of a process that has ended", LOAD),
    Tampering("loads", "holder", to("holder", {}), N, "of a process that has ended", LOAD),
    Tampering("loads", "runs", _latest, C, "rows are judged by it, and refused ones compared", LOAD),
    Tampering("loads", "counts, of rows already present", _fewer_present, V, "more are noted", {"file": "second.csv"}),
    Tampering("loads", "adopted", to("adopted", Int64(1)), V, "the noted rows that are its own are counted", LOAD),
    Tampering("loads", "deleted", gone, V, "transactions and refused rows name it", LOAD),
    Tampering("loads", "added", to("_id", "f" * 16), V, MADE, LOAD, stray=True),
    Tampering("quarantine", "_id", to("_id", "x:1"), V, "the id is made of load and line", {}),
    Tampering("quarantine", "load_id", to("load_id", "none"), V, "no such load", {}),
    Tampering("quarantine", "file", to("file", "other.csv"), V, "the load names it", {}),
    Tampering("quarantine", "line", to("line", 9999), V, "the id is made of load and line", {}),
    Tampering("quarantine", "column", to("column", "Age"), C, "the row is judged again", MALFORMED),
    Tampering("quarantine", "value", to("value", "7"), C, "the row is judged again", MALFORMED),
    Tampering("quarantine", "reason", to("reason", "age_malformed"), V, "the load counts reasons", {}),
    Tampering("quarantine", "message", to("message", "because"), N, "for people; the reason is checked", {}),
    Tampering("quarantine", "raw", to("raw", "1,2,3"), C, "the file's row", {}),
    Tampering("quarantine", "deleted", gone, V, "the load counts refused rows", {}),
    Tampering("quarantine", "added", to("_id", "x:1"), V, "the load counts refused rows", {}, stray=True),
    Tampering("repeats", "_id", to("_id", ObjectId("0" * 24)), N, "names nothing", NOTED),
    Tampering("repeats", "load_id, to none", to("load_id", "none"), V, "no such load", NOTED),
    Tampering("repeats", "load_id", to("load_id", "{second}"), V, "loads count rows already present and adopted",
              ADOPTED),
    Tampering("repeats", "first", to("first", Int64(7)), V, "the least of the ids", NOTED),
    Tampering("repeats", "last", to("last", Int64(77)), V, "the greatest of the ids", NOTED),
    Tampering("repeats", "ids", to("ids", (21).to_bytes(8, "little")), V, "first and last say otherwise", NOTED),
    Tampering("repeats", "ids, to what cannot be read", to("ids", bytes(7)), V, "they are packed in 8 bytes each",
              NOTED),
    Tampering("repeats", "ids, in another order", _noting(110, 109, 108), V, "they ascend", ADOPTED),
    Tampering("repeats", "ids, with one twice", _noting(108, 109, 109, 110), V, "each is there once", ADOPTED),
    Tampering("repeats", "ids, without one that is adopted", _noting(108, 109), V, "the load counts adopted rows",
              ADOPTED),
    Tampering("repeats", "ids, with first and last, to a row that is not stored", _noting(9999), V,
              "a noted row stays", NOTED),
    Tampering("repeats", "ids, with first and last, to another row of that load", _noting(21), C,
              "the file has other rows", NOTED),
    Tampering("repeats", "deleted", gone, V, "the load counts adopted rows", ADOPTED),
    Tampering("repeats", "deleted, of rows that are not adopted", gone, C, "the file has them", NOTED),
    Tampering("repeats", "added", to("_id", ObjectId("0" * 24)), V, "the load counts rows already present", NOTED,
              stray=True),
    Tampering("periods", "_id", to("_id", "2021-03"), V, "its transactions have no period", MONTH),
    Tampering("periods", "start", to("start", LONG_AGO), V, "the name says otherwise", MONTH),
    Tampering("periods", "changed", to("changed", 0), R, "stale: transactions are read till refreshed",
              MONTH),
    Tampering("periods", "changed, beyond the data version", to("changed", 999), V, "the data version is below it",
              MONTH),
    Tampering("periods", "built", to("built", 0), R, "stale: transactions are read till refreshed", MONTH),
    Tampering("periods", "format", to("format", 99), R, "stale: transactions are read till refreshed",
              MONTH),
    Tampering("periods", "rows", to("rows", 7), V, "the month's transactions are counted", MONTH),
    Tampering("periods", "counts", to("counts", {}), V, "the transactions are counted by each dimension", MONTH),
    Tampering("periods", "rows of a year", to("rows", 7), V, "the rows of its months' pages", {"_id": "2022"}),
    Tampering("periods", "deleted", gone, V, "its transactions have no period", MONTH),
    Tampering("periods", "deleted year", gone, V, "its months have no year", {"_id": "2022"}),
    Tampering("periods", "added", to("_id", "2031-05"), V, "its first day; it has no year", MONTH, stray=True),
    Tampering("rollups", "_id", to("_id", "x"), V, BYTES, SLICE),
    Tampering("rollups", "period", to("period", "2021-03"), V, BYTES, SLICE),
    Tampering("rollups", "start", to("start", LONG_AGO), V, BYTES, SLICE),
    Tampering("rollups", "dimension", to("dimension", "state"), V, BYTES, SLICE),
    Tampering("rollups", "member", to("member", 7), V, BYTES, SLICE),
    Tampering("rollups", "cells", _cell, V, BYTES, SLICE),
    Tampering("rollups", "deleted", gone, V, BYTES, SLICE),
    Tampering("rollups", "added", lambda each: each | {"_id": "2022-03:gender:7", "member": 7}, V, BYTES, SLICE,
              stray=True),
    Tampering("rollups", "added, of no period", lambda each: each | {"_id": "x", "period": "1999-01"}, V,
              "no such period", SLICE, stray=True),
    Tampering("pages", "_id", to("_id", "x"), V, "made of month and part", {}),
    Tampering("pages", "month", to("month", LONG_AGO), V, "the month's transactions have no page", {}),
    Tampering("pages", "part", to("part", 7), V, "parts are numbered from 0", {}),
    Tampering("pages", "built", to("built", 999), V, "the period says otherwise", {}),
    Tampering("pages", "rows", to("rows", 7), V, "the columns are longer", {}),
    Tampering("pages", "columns", _flip, V, "compared with the transactions", {}),
    Tampering("pages", "deleted", gone, V, "the month's transactions have no page", {}),
    Tampering("pages", "added", lambda each: each | {"_id": "x", "month": LONG_AGO}, V, "no such month", {},
              stray=True),
    Tampering("status", "_id", to("_id", "other"), V, "there is no data version", DATA),
    Tampering("status", "epoch", to("epoch", ObjectId()), N, "names the database: caches begin anew", DATA),
    Tampering("status", "version", to("version", 0), V, "below that of the periods", DATA),
    Tampering("status", "version, higher", to("version", 999), N, "it only has to grow: caches begin anew", DATA),
    Tampering("status", "builds", to("builds", 999), N, "it only has to change: directories are read anew", DATA),
    Tampering("status", "schema", to("schema", 1), N, "an older layout is brought up to date", DATA),
    Tampering("status", "recorded", to("recorded", Int64(3)), V, "the periods are counted", DATA),
    Tampering("status", "committed_at", to("committed_at", LONG_AGO), N, "history; no answer rests on it", DATA),
    Tampering("status", "members", _more("members", "states"), V, "the members are others", DATA),
    Tampering("status", "renamed", _renamed, C, "rows are judged by the former names", {"_id": "renames"}),
    Tampering("status", "result", to("result", {"ok": True}), N, "the next one writes it anew",
              {"_id": "verification"}),
    Tampering("status", "session", to("session", Binary(bytes(16), 4)), N, "of a process that has ended", LANE),
    Tampering("status", "holder", to("holder", {}), N, "of a process that has ended", {"_id": "refresh"}),
    Tampering("status", "load_id", to("load_id", "none"), V, "a lane of no load", LANE),
    Tampering("status", "periods", to("periods", ["2022-03"]), R, "taken for stale until the next refresh", LANE),
    Tampering("status", "offset", to("offset", 7), V, "a complete load has read all bytes", LANE),
    Tampering("status", "line", to("line", 7), C, "the file's lines", LANE),
    Tampering("status", "counts", _more("counts", "inserted"), V, "they add up, and equal what is stored", LANE),
    Tampering("status", "missing", _more("missing", "Age"), C, "counted again", LANE),
    Tampering("status", "reasons", _more("reasons", "age_malformed"), V, "the refused rows are counted", LANE),
    Tampering("status", "seconds", to("seconds", 7.5), N, "a figure for people", LANE),
    Tampering("status", "updated_at", to("updated_at", LONG_AGO), N, "history; no answer rests on it", LANE),
    Tampering("status", "adopted", to("adopted", Int64(1)), V, "the load has adopted others since, and counts them",
              LANE),
    Tampering("status", "adopted, of one of two lanes", lambda each: each | {"_id": f"{each['_id']}1", "offset": 0,
              "adopted": Int64(1)}, V, "the lanes of a load began at once", LANE, stray=True),
    Tampering("status", "version, of the turns of removals", to("version", Int64(77)), N, "it only has to be written",
              PRESENCE),
    Tampering("status", "deleted, of the turns of removals", gone, N, "made again before it is needed", PRESENCE),
    Tampering("status", "deleted", gone, V, "there is no data version", DATA),
    Tampering("status", "added", lambda each: each | {"_id": "data/none/0", "load_id": "none"}, V, "a lane of no load",
              LANE, stray=True),
)  # fmt: skip


def rendered() -> str:
    """The table as Markdown."""
    lines = ["| Collection | What is changed alone | Noticed by | Because |", "|---|---|---|---|"]
    lines += [f"| {each.collection} | {each.what} | {each.notice} | {each.why} |" for each in TABLE]
    return "\n".join(lines)


if __name__ == "__main__":
    print(rendered())
