"""Choose what a question is read from. Pure: no driver, no clock."""

from dataclasses import dataclass
from datetime import date

from pipelines.question import Question


@dataclass(frozen=True)
class Read:
    """One thing to read.

    Attributes:
        source: `raw`.
        first, last: the days it covers, both inclusive; None is open.
    """

    source: str
    first: date | None
    last: date | None

    def __str__(self) -> str:
        return f"transactions {self.first or 'from the beginning'} to {self.last or 'the end'}"


@dataclass(frozen=True)
class Plan:
    """What a question is read from; the reads never overlap, and cover the question's range together.

    Attributes:
        reads: the things to read.
        refused: each source that was not taken, and why.
    """

    reads: tuple[Read, ...]
    refused: tuple[tuple[str, str], ...] = ()

    @property
    def source(self) -> str:
        """The sources that take part, joined by `+`."""
        return "+".join(dict.fromkeys(read.source for read in self.reads))


def plan(question: Question) -> Plan:
    """The plan for a question: today the transactions answer everything."""
    return Plan((Read("raw", question.first, question.last),))
