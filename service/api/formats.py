"""The formats of a reply: JSON with totals and provenance, or the rows alone for spreadsheets and programs."""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask import request

from catalog.errors import UnknownName
from catalog.spreadsheets import harmless
from pipelines.answer.answer import Answer
from service.api.rows import row_texts


@dataclass(frozen=True)
class Format:
    """One format of an answer.

    Attributes:
        suffix: the extension of the path and of a download's name.
        mimetype: the value in Accept and Content-Type.
        rows: encodes the rows of an answer; None if the whole reply is sent, as JSON.
        is_binary: whether the body is binary, not text.
    """

    suffix: str
    mimetype: str
    rows: Callable[[Answer], bytes] | None
    is_binary: bool = False


class NotAcceptable(UnknownName):
    """The client accepts none of the formats; 406 over HTTP."""

    status = 406

    def __init__(self, accepted: str) -> None:
        supported = [each.mimetype for each in FORMATS]
        super().__init__("Accept", accepted, supported)
        self.args = (f"Unsupported format {accepted!r}. Supported: {', '.join(supported)}.",)


def chosen(suffix: str | None) -> Format:
    """The format of the path's suffix, or else the one preferred by the Accept header; JSON by default.

    Raises:
        NotAcceptable: the client accepts none of the formats.
    """
    accepted = request.accept_mimetypes
    if suffix or not accepted:
        return BY_SUFFIX[suffix or JSON.suffix]
    best = accepted.best_match([each.mimetype for each in FORMATS])
    if best is None:
        raise NotAcceptable(str(accepted))
    return next(each for each in FORMATS if each.mimetype == best)


def csv_rows(found: Answer) -> bytes:
    """The rows as CSV (RFC 4180) with a header; an empty field is null.

    A label that a spreadsheet would run as a formula is prefixed with an apostrophe.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([column.name for column in found.flat_columns])
    writer.writerows([harmless(value) if isinstance(value, str) else value for value in row] for row in found.tuples())
    return text.getvalue().encode()


def json_lines(found: Answer) -> bytes:
    """The rows as JSON, one per line, each as in the reply."""
    return "".join(f"{text}\n" for text in row_texts(found)).encode()


def arrow_stream(found: Answer) -> bytes:
    """The rows as an Arrow IPC stream, with exact types."""
    import pyarrow as pa  # 100 MB that a worker needs only for this format

    table, sink = _table(found), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def parquet(found: Answer) -> bytes:
    """The rows as a Parquet file, with exact types."""
    import pyarrow as pa
    import pyarrow.parquet

    sink = pa.BufferOutputStream()
    pyarrow.parquet.write_table(_table(found), sink)
    return bytes(sink.getvalue())


def _table(found: Answer) -> Any:
    import pyarrow as pa

    types = {
        "string": pa.utf8(), "integer": pa.int64(), "date": pa.date32(), "decimal": pa.decimal128(18, 2),
        "percent": pa.decimal128(38, 1),
    }  # fmt: skip
    columns = found.flat_columns
    values = list(zip(*found.tuples(), strict=True)) or [()] * len(columns)
    arrays = [
        pa.array([date.fromisoformat(each) for each in some] if column.type == "date" else some, types[column.type])
        for column, some in zip(columns, values, strict=True)
    ]
    return pa.Table.from_arrays(arrays, names=[column.name for column in columns])


JSON = Format("json", "application/json", None)
FORMATS = (
    JSON,
    Format("csv", "text/csv", csv_rows),
    Format("ndjson", "application/x-ndjson", json_lines),
    Format("arrow", "application/vnd.apache.arrow.stream", arrow_stream, is_binary=True),
    Format("parquet", "application/vnd.apache.parquet", parquet, is_binary=True),
)
BY_SUFFIX = {each.suffix: each for each in FORMATS}
