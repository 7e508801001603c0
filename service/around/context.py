"""What is known of the request that is being answered."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

from flask import g, has_request_context

from pipelines.answer.answer import Answer
from pipelines.state.version import Version
from store.timing import Timer


class Given(NamedTuple):
    """An answer that the request got, and whether it was kept from before."""

    answer: Answer
    kept: bool


class Offer(NamedTuple):
    """A reply: its answer, the version that it is right for, and its body without the request's own part."""

    answer: Answer
    version: Version
    head: bytes


@dataclass
class Context:
    """One request.

    Attributes:
        request_id: the client's own, where it sent a harmless one.
        trace_id: the trace that the client says the request belongs to (W3C Trace Context), or None.
        timer: runs since the request began.
        ending: what is undone when the request ends.
        client: the name of the key that it brought, if there is a known one.
        answers: what it got so far.
        has_place: whether it is one of those that have MongoDB work.
        is_shed: whether it was refused because too much was going on.
        offer: the reply, where it may be sent again to the same request.
    """

    request_id: str = ""
    trace_id: str | None = None
    timer: Timer = field(default_factory=Timer)
    ending: ExitStack = field(default_factory=ExitStack)
    client: str | None = None
    answers: list[Given] = field(default_factory=list)
    has_place: bool = False
    is_shed: bool = False
    offer: Offer | None = None


def begin(made: Context) -> Context:
    """Make this the context of the present request."""
    g.context = made
    return made


def context() -> Context:
    """That of the present request."""
    found: Context = g.context
    return found


def note_answer(answer: Answer, kept: bool) -> None:
    """Remember an answer that the present request, if there is one, got."""
    if has_request_context():
        context().answers.append(Given(answer, kept))
