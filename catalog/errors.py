"""The error classes. Their branches say who has to act: the user, a retry, or we."""

from collections.abc import Iterable
from difflib import get_close_matches

MOST_SHOWN = 50
"""The number of allowed names that an error lists."""

_MOST_COMPARED = 2_000
"""Comparing with this many names takes about 20 ms; beyond it, only names with the same first letter are compared."""


class AnalyticsError(Exception):
    """Any error that this project raises on purpose. Its text is one line that names the place and the remedy."""

    exit_code = 1


class UserError(AnalyticsError):
    """The request or the input is at fault: safe to show, and a 4xx over HTTP."""

    exit_code = 2
    status = 422


class UnknownName(UserError):
    """A name that is not in the vocabulary.

    Attributes:
        parameter: where the name was given, such as `segment`.
        value: what was given.
        allowed: the names that would have been accepted, MOST_SHOWN of them at most.
        nearest: the accepted name most similar to it, or None.
    """

    def __init__(self, parameter: str, value: str, allowed: Iterable[str], where: str = "") -> None:
        """Take the allowed names in order, and `where` they are all listed."""
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
    """An unknown name in a path; over HTTP a 404."""

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
    """A load stopped. What was committed stays."""

    def __init__(self, problem: str, remedy: str) -> None:
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
    """A guarantee of this project is broken: our defect, never the user's."""


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
