"""The eleven queries. An entry here is all that a query needs: pipeline, endpoint, command and tests follow from it."""

from dataclasses import dataclass
from enum import StrEnum

from catalog.dimensions import Dimension
from catalog.measures import AVERAGE_SPEND, REVENUE, TRANSACTION_COUNT, Measure
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
        order: the order of its rows.
        sentence: how its answer is worded.
        panel: how a dashboard draws it.
        estimate_ms: the range to beat, in ms, or None where nobody gave one.
        limit: how many rows are shown unless the request says otherwise; None shows all.
    """

    slug: str
    title: str
    question: str
    by: tuple[Dimension, ...]
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
        by=(SEGMENT,), order=Descending(REVENUE),
        sentence=Leader(REVENUE, "{} earns most"), estimate_ms=(25, 40),
    ),
    Query(
        slug="transactions-by-payment-method",
        title="Transaction Count by Payment Method",
        question="Which payment method is used most?",
        by=(PAYMENT_METHOD,), order=Descending(TRANSACTION_COUNT),
        sentence=Leader(TRANSACTION_COUNT, "{} is used most"), estimate_ms=(15, 30),
    ),
    Query(
        slug="average-spend-by-gender",
        title="Average Spending Grouped by Gender",
        question="How does spending differ between male and female customers?",
        by=(GENDER,), order=Descending(AVERAGE_SPEND),
        sentence=Versus("Male", "Female", "male customers", "female customers"), estimate_ms=(10, 20),
    ),
    Query(
        slug="revenue-by-marital-status",
        title="Revenue Breakdown by Marital Status",
        question="How is revenue divided between married and single customers?",
        by=(MARITAL_STATUS,), order=Descending(REVENUE),
        sentence=Leader(REVENUE, "{} customers bring most"), estimate_ms=(20, 35),
    ),
    Query(
        slug="top-states",
        title="Top 5 States by Total Sales",
        question="Which five states have the highest sales?",
        by=(STATE,), order=Descending(REVENUE),
        sentence=Leader(REVENUE, "{} sells most"), estimate_ms=(30, 45), limit=5,
    ),
    Query(
        slug="referral-comparison",
        title="Referral vs Non-Referral Spending Comparison",
        question="Do referred customers spend more?",
        by=(REFERRAL,), order=Descending(AVERAGE_SPEND),
        sentence=Versus("Referral", "Non-referral", "referred customers", "non-referred customers"),
        estimate_ms=(5, 10),
    ),
    Query(
        slug="revenue-by-employment-status",
        title="Revenue Contribution by Employment Status",
        question="Customers of which employment status spend most?",
        by=(EMPLOYMENT_STATUS,), order=Descending(REVENUE),
        sentence=Leader(REVENUE, "{} spend most"), estimate_ms=(25, 40),
    ),
    Query(
        slug="revenue-by-age-group",
        title="Age-Group Based Revenue Analysis",
        question="Which age group brings the most revenue?",
        by=(AGE_GROUP,), order=Descending(REVENUE),
        sentence=Leader(REVENUE, "Age group {} brings most"), estimate_ms=(35, 55),
    ),
    Query(
        slug="hourly-sales",
        title="Hourly Peak Sales Analysis",
        question="At which hours do customers buy most?",
        by=(HOUR,), order=ByKey(),
        sentence=Leader(TRANSACTION_COUNT, "The hour from {}:00 is busiest"), panel=Panel.LINE, estimate_ms=(40, 65),
    ),
    Query(
        slug="daily-sales",
        title="Daily Sales Summary (Count, Revenue, Average Order Value)",
        question="How many purchases and how much revenue does each day bring?",
        by=(DATE,), order=ByKey(),
        sentence=Leader(REVENUE, "The best day is {}"), panel=Panel.LINE, estimate_ms=(35, 60),
    ),
    Query(
        slug="overall-summary",
        title="Overall Transaction Summary",
        question="How many transactions are there, what do they bring, and what is spent on average?",
        by=(), order=ByKey(),
        sentence=Summary(), panel=Panel.FIGURE,
    ),
)  # fmt: skip

BY_SLUG = {query.slug: query for query in QUERIES}
