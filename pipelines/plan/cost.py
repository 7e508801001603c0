"""What answering a question from columns will take. Pure."""

from pipelines.ask.question import Question
from pipelines.plan.groups import most_groups
from pipelines.state.version import Directory

BASE_US, ROW_US, GROUP_US = 300.0, 0.01, 3.0
"""In microseconds, measured on a million rows: of any question, of a row that is read, of a group in a reply."""

MOST_SUMMED = 3
"""Combinations of up to so many dimensions have running sums: see `pipelines.resident.segment`."""


def cost_us(question: Question, directory: Directory) -> float:
    """What a question takes at most, in microseconds.

    One dimension needs no rows. Of two and three, running sums leave the rows of the months, or the years, that the
    range cuts: at most two. A comparison is two questions.
    """
    dimensions = {each for each in question.query.by if not each.is_date}
    dimensions |= {each.dimension for each in question.filters}
    months = directory.months_between(question.first, question.last)
    rows = directory.rows_of(months)
    if len(dimensions) < 2:
        rows = 0
    elif len(dimensions) <= MOST_SUMMED and not question.interval:
        cut = 2 if len(dimensions) == 2 else 24
        rows = rows * min(cut, len(months)) // max(1, len(months))
    cost = BASE_US + rows * ROW_US + most_groups(question, directory) * GROUP_US
    return cost * (2 if question.compare else 1)
