"""Set an answer beside that of an earlier period. Pure.

Groups are matched by their codes, whatever their labels are. What stands in time is matched by its place in its
period: the n-th day with the n-th day, the n-th interval with the n-th one; but beside the year before each day stands
with the same date. What has no such place in the present period, as a 29 February beside a common year, has no row; it
counts in the totals.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

from catalog.dimensions import Vocabulary, date_of, day_number
from catalog.errors import BadValue
from catalog.measures import NOTHING, Parts
from catalog.purchases import DATE
from pipelines.answer.answer import Answer, Previous
from pipelines.answer.table import cut, in_order, labellers
from pipelines.ask.question import Comparison, Interval, Question
from pipelines.derived.groups import Codes, Groups
from pipelines.plan.reads import Plan


@dataclass(frozen=True)
class Span:
    """A range of days, both inclusive."""

    first: date
    last: date


def spans(question: Question, first: date | None, last: date | None) -> tuple[Span, Span] | None:
    """The present period of a comparison and the earlier one; an open end is that of the data, `first` or `last`.

    None where neither the question nor the data tell a day.

    Raises:
        BadValue: the calendar has no earlier period.
    """
    opening = question.first or first or question.last
    closing = question.last or last or question.first
    if not opening or not closing:
        return None
    now = Span(opening, closing)
    if opening > closing:  # an open end beyond the data
        now = Span(opening, opening) if question.first else Span(closing, closing)
    try:
        if question.compare is Comparison.PREVIOUS_YEAR:
            return now, Span(_a_year_before(now.first), _a_year_before(now.last))
        before = now.first - timedelta(days=1)
        return now, Span(before - (now.last - now.first), before)
    except (OverflowError, ValueError):
        raise BadValue(
            "compare",
            str(question.compare),
            f"there is no {question.compare} before {now.first}: the calendar begins in year 1.",
        ) from None


def halves(question: Question, both: tuple[Span, Span] | None) -> Iterator[Question]:
    """The question of the present period, then that of the earlier one, with all of their rows."""
    whole = replace(question, compare=None, limit=None)
    if not both:
        yield whole
        return
    for span in both:
        yield replace(whole, first=span.first, last=span.last)


def compare(
    question: Question, both: tuple[Span, Span] | None, now: Answer, then: Answer, vocabulary: Vocabulary
) -> Answer:
    """The present answer with the earlier one beside it.

    A group that only the earlier period has is there too, with nothing now; the limit is applied to all of them.
    """
    before: dict[Codes, Parts] = {}
    if both:
        moved = (counterpart(question, *both, codes) for codes in then.rows.codes)
        parts = then.rows.groups.parts
        before = {codes: each for codes, each in zip(moved, parts, strict=True) if codes is not None}
    present = dict(zip(now.rows.codes, now.rows.groups.parts, strict=True))
    label_of = labellers(question, vocabulary)
    groups = Groups.of({codes: present.get(codes, NOTHING) for codes in present | before}, question.width)
    shown = cut(question, in_order(question, groups, label_of))
    return replace(
        now,
        question=question,
        rows=shown,
        plan=Plan(
            now.plan.reads + then.plan.reads,
            tuple((dict(then.plan.refused) | dict(now.plan.refused)).items()),
            tuple(dict.fromkeys(now.plan.warnings + then.plan.warnings)),
        ),
        previous=Previous(
            both[1].first if both else None,
            both[1].last if both else None,
            tuple(map(before.get, shown.codes)),
            then.total if both else NOTHING,
        ),
    )


def counterpart(question: Question, now: Span, then: Span, codes: Codes) -> Codes | None:
    """The codes in the present period of a group of the earlier one; None where its place is after the period's end."""
    interval = question.interval
    bucket, group = (codes[:1], list(codes[1:])) if interval else ((), list(codes))
    if DATE in question.query.by:
        place = question.query.by.index(DATE)
        day = _day_beside(question, now, then, date_of(group[place]))
        if day is None:
            return None
        group[place] = day_number(day)
        return (*((day_number(interval.start(day)),) if interval else ()), *group)
    if not interval:
        return codes
    if interval is Interval.DAY:
        day = _day_beside(question, now, then, date_of(bucket[0]))
        return (day_number(day), *group) if day else None
    moved = interval.number(date_of(bucket[0])) - interval.number(then.first)
    number = interval.number(now.first) + moved
    return (day_number(interval.starting(number)), *group) if number <= interval.number(now.last) else None


def _day_beside(question: Question, now: Span, then: Span, day: date) -> date | None:
    """The day of the present period that a day of the earlier one is compared with, if there is one."""
    if question.compare is Comparison.PREVIOUS_YEAR:
        return None if _is_leap_day(day) else max(day.replace(year=day.year + 1), now.first)
    found = now.first + (day - then.first)
    return found if found <= now.last else None


def _a_year_before(day: date) -> date:
    """The same date a year before; of 29 February the 28th.

    Raises:
        ValueError: it is in the calendar's first year.
    """
    return day.replace(year=day.year - 1, day=28 if _is_leap_day(day) else day.day)


def _is_leap_day(day: date) -> bool:
    return (day.month, day.day) == (2, 29)
