"""Replies: answers as documents with an ETag, in the format that the client accepts."""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from http import HTTPStatus
from typing import Any

from flask import Response, current_app, request

from catalog.dimensions import Vocabulary
from pipelines.answer.answer import Answer
from pipelines.ask.question import Question
from pipelines.state.version import Directory, Version
from service.api.formats import JSON, Format, chosen
from service.api.rows import row_texts
from service.around.connection import current_answerer
from service.around.context import Offer, context
from service.around.measured import KEPT, UNCHANGED, measurements
from service.around.requests import own_part

Reply = dict[str, Any]
_NO_ROWS = '"rows": []'
"""Where the rows go. In a text of the reply the quotes would be escaped."""


def head(found: Answer, directory: Directory) -> bytes:
    """An answer as JSON, up to the request's own part of `meta`. `own_part` follows."""
    is_present = found.version.has_data_of(directory.version)  # or else a commit came between the two
    kept = current_app.extensions.get("heads") if is_present else None
    body: bytes = kept(found, directory, written) if kept else written(found, directory)
    return body


def written(found: Answer, directory: Directory) -> bytes:
    """The same, made anew."""
    begin, end = json.dumps(_document(found, directory)).split(_NO_ROWS, 1)
    return f'{begin}"rows": [{", ".join(row_texts(found))}]{end.removesuffix("}}")}, '.encode()


def _document(found: Answer, directory: Directory) -> Reply:
    """The reply without its rows, which follow as text."""
    query = found.question.query
    compared: Reply = {}
    if found.previous:
        first, last = found.previous.first, found.previous.last
        compared = {"compared_with": {"from": str(first), "to": str(last)} if first else None}
    proof = directory.last_verification
    return {
        "query": {
            "slug": query.slug, "title": query.title, "question": query.question, "answer": found.sentence,
            "filters": found.filters, **compared,
        },
        "columns": [vars(column) for column in found.columns],
        "rows": [],
        "totals": found.totals(),
        "meta": {
            "source": found.plan.source,
            "reads": [str(read) for read in found.plan.reads],
            "refused": dict(found.plan.refused),
            "data_version": found.data_version,
            "as_of": found.as_of.isoformat(),
            "verified": _is_verified(found, directory),
            "verification": proof and {**proof, "at": proof["at"].isoformat()},
            "warnings": found.plan.warnings,
            "estimate_ms": query.estimate_ms,
        },
    }  # fmt: skip


def _is_verified(found: Answer, directory: Directory) -> bool | None:
    """Whether the last verification covered everything as read here, without a difference; None before the first."""
    spans = [(found.question.first, found.question.last)]
    if found.previous:
        spans.append((found.previous.first, found.previous.last))
    told = [directory.is_verified(*span) for span in spans]
    if None in told:
        return None
    return all(told) and found.version.has_data_of(directory.version) and not found.plan.warnings


def etag(questions: Sequence[Question], vocabulary: Vocabulary, version: Version, form: Format = JSON) -> str:
    """The ETag of a reply, from data version, questions and format: the same ETag means the same rows."""
    asked = [form.suffix, *([each.query.slug, each.echo(vocabulary), each.source] for each in questions)]
    return f"{version.epoch[-8:]}-{version.number}-{hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]}"


def answer(question: Question, directory: Directory, suffix: str | None = None) -> Response:
    """The response to a question: its rows in the requested format, or 304 if the client has them.

    Raises:
        NotAcceptable: the client accepts none of the formats.
    """
    form = chosen(suffix)
    source = UNCHANGED

    def write() -> tuple[bytes, Version]:
        lane = current_app.extensions.get("lane")
        with lane(question, directory) if lane else nullcontext():
            return write_all()

    def write_all() -> tuple[bytes, Version]:
        nonlocal source
        (found,) = current_answerer().answer([question], context().timer, directory)
        source = KEPT if context().answers[-1].kept else found.plan.source
        if form.rows:
            return form.rows(found), found.version
        begin = head(found, directory)
        if found.version.has_data_of(directory.version):
            context().offer = Offer(found, directory.version, begin)
        return begin + own_part(context().timer.timing_ms(), context().request_id), found.version

    response = conditional([question], directory, form, write)
    response.vary.add("Accept")
    if form is not JSON and response.status_code == HTTPStatus.OK:
        response.headers["Content-Disposition"] = f'attachment; filename="{question.query.slug}.{form.suffix}"'
    measurements().add(question.query.slug, source, context().timer.timing_ms())
    return response


def conditional(
    questions: Sequence[Question], directory: Directory, form: Format, write: Callable[[], tuple[bytes, Version]]
) -> Response:
    """The body that `write` returns with its version, as a response with an ETag; 304 if the client has it."""
    response = Response(mimetype=form.mimetype)
    response.set_etag(etag(questions, directory.vocabulary, directory.version, form), weak=True)
    response.cache_control.no_cache = True
    if response.make_conditional(request).status_code != HTTPStatus.NOT_MODIFIED:
        body, version = write()
        response.set_etag(etag(questions, directory.vocabulary, version, form), weak=True)
        response.set_data(body)
    return response
