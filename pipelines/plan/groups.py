"""How many groups an answer may have, so that none is begun that a process could not hold. Pure."""

from math import prod

from catalog.errors import UserError
from catalog.purchases import DATE
from pipelines.ask.question import MAX_REPLY_ROWS, Question
from pipelines.state.version import Directory


class TooManyGroups(UserError):
    """The answer may have more groups than one reply can show."""

    def __init__(self, groups: int) -> None:
        self.groups = groups
        super().__init__(
            f"This may have {groups:,} groups, and a reply has at most {MAX_REPLY_ROWS:,}. "
            "Ask for fewer days or dimensions, or filter."
        )


def check_groups(question: Question, directory: Directory) -> None:
    """Refuse a question whose answer may have too many groups, before anything is read.

    Raises:
        TooManyGroups: they may be more than MAX_REPLY_ROWS.
    """
    groups = most_groups(question, directory)
    if groups > MAX_REPLY_ROWS:
        raise TooManyGroups(groups)


def most_groups(question: Question, directory: Directory) -> int:
    """No more groups than this can have transactions: one for each combination, or one for each transaction."""
    months = directory.months_between(question.first, question.last)
    if not months:
        return 0
    first = max(question.first or months[0].start, months[0].start)
    last = min(question.last or months[-1].last, months[-1].last)
    sizes = [len(directory.vocabulary[each.name]) for each in question.query.by if not each.is_date]
    for each in question.filters:
        if each.dimension in question.query.by and not each.negated:
            sizes[[by for by in question.query.by if not by.is_date].index(each.dimension)] = len(each.codes)
    if DATE in question.query.by:
        sizes.append((last - first).days + 1)
    elif question.interval:
        sizes.append(question.interval.number(last) - question.interval.number(first) + 1)
    combinations = prod(sizes)
    if not directory.stale_months_among(months):  # how many transactions there are is known of fresh months only
        return min(combinations, directory.rows_of(months))
    return combinations
