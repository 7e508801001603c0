"""The one error tree. Its branches say whose turn it is: the user's, a retry's, or ours."""

from collections.abc import Iterable
from difflib import get_close_matches

MOST_SHOWN = 50
"""So many allowed names stand in an error."""

_MOST_COMPARED = 2_000
"""Comparing with so many names takes some 20 ms; of more, those that begin with the same letter are compared."""


class AnalyticsError(Exception):
    """Anything this project raises on purpose. Its text is one line that names the place and the remedy."""

    exit_code = 1


class UserError(AnalyticsError):
    """The request or the input is at fault: safe to show, and a 4xx over HTTP."""

    exit_code = 2
    status = 422


class UnknownName(UserError):
    """A name that the vocabulary does not hold.

    Attributes:
        parameter: where the name was given, such as `segment`.
        value: what was given.
        allowed: the names that would have been accepted, MOST_SHOWN of them at most.
        nearest: the name that looks most like it of all that would have been accepted, or None.
    """

    def __init__(self, parameter: str, value: str, allowed: Iterable[str], where: str = "") -> None:
        """Take the names in their order, and where the whole list of them is found."""
        every = tuple(allowed)
        self.parameter = parameter
        self.value = value
        self.allowed = every[:MOST_SHOWN]
        self.nearest = nearest(value, every)
        hint = f" Did you mean {self.nearest!r}?" if self.nearest else ""
        listed = ", ".join(self.allowed)
        if len(every) > MOST_SHOWN:
            listed += f" and {len(every) - MOST_SHOWN:,} more"
            listed += f"; all {len(every):,} are listed at {where}" if where else ""
        super().__init__(f"Unknown {parameter} {value!r}.{hint} Allowed: {listed}.")


class NotFound(UnknownName):
    """A name in a path that nothing has; over HTTP a 404."""

    status = 404


class BadValue(UserError):
    """A parameter with a value that it cannot take, such as a date that does not exist.

    Attributes:
        parameter: which one.
        value: what was given.
    """

    def __init__(self, parameter: str, value: str, sentence: str) -> None:
        """Take the whole sentence that says what is wrong, such as `'x' is not a whole number.`"""
        self.parameter = parameter
        self.value = value
        super().__init__(f"{parameter}: {sentence}")


class SourceRefused(UserError):
    """The source that was asked for cannot answer the question exactly."""

    def __init__(self, source: str, reasons: Iterable[str]) -> None:
        self.source = source
        self.reasons = tuple(reasons)
        super().__init__(f"Source {source!r} cannot answer this exactly: {'; '.join(self.reasons)}. Use source=auto.")


class FileRefused(UserError):
    """The whole file is at fault; nothing was written.

    Attributes:
        path: the file as the user named it.
        place: where in it, such as `line 1` or `byte 5120`; empty for the file itself.
    """

    exit_code = 3

    def __init__(self, path: str, place: str, problem: str, remedy: str) -> None:
        self.path = path
        self.place = place
        self.problem = problem
        self.remedy = remedy
        where = f"{path}, {place}" if place else path
        super().__init__(f"{where}: {problem}. {remedy}.")


class LoadError(AnalyticsError):
    """A load stopped. What was committed stays; `retryable` tells whether the same command can go on."""

    def __init__(self, problem: str, remedy: str, *, retryable: bool) -> None:
        self.retryable = retryable
        super().__init__(f"{problem}. {remedy}.")


class TooManyQuarantined(LoadError):
    """More rows than allowed were refused."""

    exit_code = 4


class StoreUnavailable(AnalyticsError):
    """MongoDB cannot be reached, or cannot do what this project needs; over HTTP a 503."""

    def __init__(self, problem: str, remedy: str) -> None:
        self.remedy = remedy
        super().__init__(f"{problem}. {remedy}.")


class InternalError(AnalyticsError):
    """A promise of this project is broken: a defect of ours, never the user's."""


def nearest(value: str, allowed: Iterable[str]) -> str | None:
    """The allowed name most like `value`, compared without letter case, or None where none is near."""
    names = {name.casefold(): name for name in allowed}
    wanted = value.casefold()
    if wanted in names:
        return names[wanted]
    compared = list(names)
    if len(compared) > _MOST_COMPARED:
        compared = [name for name in compared if name[:1] == wanted[:1]][:_MOST_COMPARED]
    found = get_close_matches(wanted, compared, n=1)
    return names[found[0]] if found else None
