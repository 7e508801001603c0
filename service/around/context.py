"""What is known about the current request."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

from flask import g, has_request_context

from pipelines.answer.answer import Answer
from pipelines.state.version import Version
from store.timing import Timer


class Given(NamedTuple):
    """An answer that the request got, and whether it was cached."""

    answer: Answer
    kept: bool


class Offer(NamedTuple):
    """A reply to cache: its answer, the version it is correct for, and its body without the request's own part."""

    answer: Answer
    version: Version
    head: bytes


@dataclass
class Context:
    """One request.

    Attributes:
        request_id: the client's own, if it sent a harmless one.
        trace_id: the client's trace id (W3C Trace Context), or None.
        timer: started with the request.
        ending: closed at the end of the request.
        client: the name of its API key, if that is known.
        answers: the answers so far.
        has_place: whether it has one of the places for MongoDB work.
        is_shed: whether it was refused because of overload.
        offer: the reply, if it may be sent again for an equal request.
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
    """Make this the context of the current request."""
    g.context = made
    return made


def context() -> Context:
    """The context of the current request."""
    found: Context = g.context
    return found


def note_answer(answer: Answer, kept: bool) -> None:
    """Record an answer for the current request, if there is one."""
    if has_request_context():
        context().answers.append(Given(answer, kept))
