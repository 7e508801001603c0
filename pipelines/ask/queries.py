"""The eleven queries. An entry here is all that a query needs: pipeline, endpoint, command and tests follow from it."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from catalog.dimensions import Dimension
from catalog.errors import BadValue
from catalog.measures import AVERAGE_SPEND, REVENUE, TRANSACTIONS, Measure
from catalog.purchases import (
    AGE_GROUP,
    DATE,
    EMPLOYMENT_STATUS,
    GENDER,
    HOUR,
    MARITAL_STATUS,
    PAYMENT_METHOD,
    REFERRAL,
    SEGMENT,
    STATE,
)
from pipelines.ask.sentences import Leader, Sentence, Summary, Versus


class Panel(StrEnum):
    """How a dashboard draws the answer."""

    BAR = "bar"
    LINE = "line"
    FIGURE = "figure"


@dataclass(frozen=True)
class Descending:
    """Highest measure first; equal ones by their group's label."""

    measure: Measure


@dataclass(frozen=True)
class ByKey:
    """By the group itself: dates and hours in time, labels in alphabetical order."""


Order = Descending | ByKey


@dataclass(frozen=True, eq=False)
class Query:
    """One business question. Compared, and hashed, by identity.

    Attributes:
        slug: its name in URLs and commands.
        title, question: what a person reads.
        by: the dimensions that its rows stand for.
        primary: the measure that it is about.
        order: the order of its rows.
        sentence: how its answer is told.
        panel: how a dashboard draws it.
        estimate_ms: the range to beat, in ms, or None where nobody gave one.
        limit: how many rows are shown unless the request says otherwise; None shows all.
    """

    slug: str
    title: str
    question: str
    by: tuple[Dimension, ...]
    primary: Measure
    order: Order
    sentence: Sentence
    panel: Panel = Panel.BAR
    estimate_ms: tuple[int, int] | None = None
    limit: int | None = None


QUERIES = (
    Query(
        slug="revenue-by-segment",
        title="Total Revenue by Customer Segment",
        question="Which customer segment generates the highest total revenue?",
        by=(SEGMENT,), primary=REVENUE, order=Descending(REVENUE),
        sentence=Leader(REVENUE, "{} earns most"), estimate_ms=(25, 40),
    ),
    Query(
        slug="transactions-by-payment-method",
        title="Transaction Count by Payment Method",
        question="Which payment method is used most?",
        by=(PAYMENT_METHOD,), primary=TRANSACTIONS, order=Descending(TRANSACTIONS),
        sentence=Leader(TRANSACTIONS, "{} is used most"), estimate_ms=(15, 30),
    ),
    Query(
        slug="average-spend-by-gender",
        title="Average Spending Grouped by Gender",
        question="How does spending differ between male and female customers?",
        by=(GENDER,), primary=AVERAGE_SPEND, order=Descending(AVERAGE_SPEND),
        sentence=Versus("Male", "Female", "male customers", "female customers"), estimate_ms=(10, 20),
    ),
    Query(
        slug="revenue-by-marital-status",
        title="Revenue Breakdown by Marital Status",
        question="How is revenue divided between married and single customers?",
        by=(MARITAL_STATUS,), primary=REVENUE, order=Descending(REVENUE),
        sentence=Leader(REVENUE, "{} customers bring most"), estimate_ms=(20, 35),
    ),
    Query(
        slug="top-states",
        title="Top 5 States by Total Sales",
        question="Which five states have the highest sales?",
        by=(STATE,), primary=REVENUE, order=Descending(REVENUE),
        sentence=Leader(REVENUE, "{} sells most"), estimate_ms=(30, 45), limit=5,
    ),
    Query(
        slug="referral-comparison",
        title="Referral vs Non-Referral Spending Comparison",
        question="Do referred customers spend more?",
        by=(REFERRAL,), primary=AVERAGE_SPEND, order=Descending(AVERAGE_SPEND),
        sentence=Versus("Referral", "Non-referral", "referred customers", "non-referred customers"),
        estimate_ms=(5, 10),
    ),
    Query(
        slug="revenue-by-employment-status",
        title="Revenue Contribution by Employment Status",
        question="Customers of which employment status spend most?",
        by=(EMPLOYMENT_STATUS,), primary=REVENUE, order=Descending(REVENUE),
        sentence=Leader(REVENUE, "{} spend most"), estimate_ms=(25, 40),
    ),
    Query(
        slug="revenue-by-age-group",
        title="Age-Group Based Revenue Analysis",
        question="Which age group brings the most revenue?",
        by=(AGE_GROUP,), primary=REVENUE, order=Descending(REVENUE),
        sentence=Leader(REVENUE, "Age group {} brings most"), estimate_ms=(35, 55),
    ),
    Query(
        slug="hourly-sales",
        title="Hourly Peak Sales Analysis",
        question="At which hours do customers buy most?",
        by=(HOUR,), primary=TRANSACTIONS, order=ByKey(),
        sentence=Leader(TRANSACTIONS, "The hour from {}:00 is busiest"), panel=Panel.LINE, estimate_ms=(40, 65),
    ),
    Query(
        slug="daily-sales",
        title="Daily Sales Summary (Count, Revenue, Average Order Value)",
        question="How many purchases and how much revenue does each day bring?",
        by=(DATE,), primary=REVENUE, order=ByKey(),
        sentence=Leader(REVENUE, "The best day is {}"), panel=Panel.LINE, estimate_ms=(35, 60),
    ),
    Query(
        slug="overall-summary",
        title="Overall Transaction Summary",
        question="How many transactions are there, what do they bring, and what is spent on average?",
        by=(), primary=REVENUE, order=ByKey(),
        sentence=Summary(), panel=Panel.FIGURE,
    ),
)  # fmt: skip

BY_SLUG = {query.slug: query for query in QUERIES}

EXPLORE = "explore"
BY = "by"
MOST_DIMENSIONS = 3


@cache  # at most 1 + 10 + 90 + 720 are ever kept: what is refused is not
def exploration(by: tuple[Dimension, ...]) -> Query:
    """The query that groups by these dimensions, in this order; the same one each time, so its answers can be kept.

    Rows with a date or an hour are in the order of their groups, others have the highest revenue first.

    Raises:
        BadValue: there are more than three, or one is repeated.
    """
    said = ", ".join(dimension.name for dimension in by)
    if len(by) > MOST_DIMENSIONS:
        raise BadValue(BY, said, f"{len(by)} dimensions were given, at most {MOST_DIMENSIONS} are allowed.")
    if len(set(by)) < len(by):
        repeated = next(each.name for number, each in enumerate(by) if each in by[:number])
        raise BadValue(BY, said, f"{repeated!r} was given more than once.")
    names = " and ".join(dimension.label.lower() for dimension in by)
    in_time = any(dimension.in_time for dimension in by)
    return Query(
        slug=EXPLORE,
        title=f"Purchases by {names}" if by else "All purchases",
        question=f"How are purchases divided by {names}?" if by else "What do all purchases bring?",
        by=by,
        primary=REVENUE,
        order=ByKey() if in_time or not by else Descending(REVENUE),
        sentence=Leader(REVENUE, "{} brings most") if by else Summary(),
        panel=Panel.LINE if in_time else Panel.BAR if by else Panel.FIGURE,
    )
