"""Sentences: each summarizes the rows correctly."""

import pytest

from catalog.dimensions import UNKNOWN
from catalog.measures import NOTHING, REVENUE, TRANSACTION_COUNT, Parts
from pipelines.ask.queries import QUERIES
from pipelines.ask.sentences import NONE, Leader, Sentence, Summary, Versus, money, percent
from tests.support.listed import Listed

EARNS = Leader(REVENUE, "{} earns most")
USED = Leader(TRANSACTION_COUNT, "{} is used most")
SPEND = Versus("Male", "Female", "male customers", "female customers")


Groups = list[tuple[str, Parts]]


def total(groups: Groups) -> Parts:
    """The parts of all groups together."""
    result = NOTHING
    for _, parts in groups:
        result = result.merge(parts)
    return result


CASES: dict[str, tuple[Sentence, Groups, str]] = {
    "the highest revenue leads": (
        EARNS,
        [("Basic", Parts(9, 9, 100)), ("Gold", Parts(1, 1, 155750))],
        "Gold earns most: $1,557.50 of $1,558.50 (99.9%).",
    ),
    "the most transactions lead, whatever they bring": (
        USED,
        [("Card", Parts(464185, 0, 0)), ("PayPal", Parts(535815, 0, 0))],
        "PayPal is used most: 535,815 of 1,000,000 transactions (53.6%).",
    ),
    "of equals the first leads": (
        USED,
        [("Card", Parts(2, 0, 0)), ("PayPal", Parts(2, 0, 0))],
        "Card is used most: 2 of 4 transactions (50.0%).",
    ),
    "unknown never leads": (
        EARNS,
        [("Basic", Parts(1, 1, 1)), (UNKNOWN, Parts(9, 9, 999))],
        "Basic earns most: $0.01 of $10.00 (0.1%).",
    ),
    "unknown never leads by count": (
        USED,
        [("Card", Parts(1, 1, 1)), (UNKNOWN, Parts(3, 3, 3))],
        "Card is used most: 1 of 4 transactions (25.0%).",
    ),
    "unknown leads where it is alone": (
        EARNS,
        [(UNKNOWN, Parts(2, 2, 250))],
        "Unknown earns most: $2.50 of $2.50 (100.0%).",
    ),
    "a leader of nothing": (EARNS, [], NONE),
    "men spend more": (
        SPEND,
        [("Female", Parts(1, 1, 100)), ("Male", Parts(3, 2, 400))],
        "Male customers spend more: $2.00 on average against $1.00 (100.0% more).",
    ),
    "women spend more": (
        SPEND,
        [("Female", Parts(1, 1, 151325)), ("Male", Parts(1, 1, 150576)), (UNKNOWN, Parts(1, 1, 999999))],
        "Female customers spend more: $1,513.25 on average against $1,505.76 (0.5% more).",
    ),
    "both spend the same": (
        SPEND,
        [("Female", Parts(1, 1, 200)), ("Male", Parts(2, 2, 400))],
        "Male customers and female customers spend the same: $2.00 on average.",
    ),
    "one spends nothing, so there is no percentage": (
        SPEND,
        [("Female", Parts(1, 1, 0)), ("Male", Parts(1, 1, 100))],
        "Male customers spend more: $1.00 on average against $0.00.",
    ),
    "no men": (
        SPEND,
        [("Female", Parts(1, 1, 100))],
        "There is nothing to compare: no male customers with a known amount match.",
    ),
    "women without a known amount": (
        SPEND,
        [("Female", Parts(5, 0, 0)), ("Male", Parts(1, 1, 100))],
        "There is nothing to compare: no female customers with a known amount match.",
    ),
    "nobody to compare": (SPEND, [], NONE),
    "a summary": (
        Summary(),
        [("", Parts(20000, 18180, 2743771536))],
        "20,000 transactions brought $27,437,715.36, $1,509.23 on average.",
    ),
    "a summary without a known amount": (Summary(), [("", Parts(2, 0, 0))], "2 transactions brought $0.00."),
    "a summary of nothing": (Summary(), [], NONE),
}


@pytest.mark.parametrize("case", CASES)
def test_a_sentence_tells_what_the_groups_say(case: str) -> None:
    """Word for word, figures included."""
    sentence, groups, wanted = CASES[case]
    assert sentence.tell(Listed(groups), total(groups)) == wanted


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.slug)
def test_every_query_says_so_when_nothing_matches(query: object) -> None:
    """In the same words."""
    assert query.sentence.tell(Listed([]), NOTHING) == "No transactions match."


@pytest.mark.parametrize("case", CASES)
def test_a_sentence_begins_with_a_capital_or_a_figure_and_ends_with_a_full_stop(case: str) -> None:
    """It is one sentence."""
    sentence, groups, _ = CASES[case]
    said = sentence.tell(Listed(groups), total(groups))
    assert said[0].isupper() or said[0].isdigit()
    assert said.endswith(".")
    assert "None" not in said


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [
        pytest.param(0, 0, "0.0%", id="of nothing"),
        pytest.param(0, 5, "0.0%", id="nothing of something"),
        pytest.param(1, 3, "33.3%", id="a third"),
        pytest.param(1, 2000, "0.1%", id="half of a tenth goes up"),
        pytest.param(3, 2000, "0.2%", id="one and a half tenths go up"),
        pytest.param(5, 2000, "0.3%", id="two and a half tenths go to three and not to the even two"),
        pytest.param(4999, 10_000_000, "under 0.1%", id="something that would be told as nothing"),
        pytest.param(1, 1, "100.0%", id="all"),
        pytest.param(12345, 100, "12,345.0%", id="many times as much"),
    ],
)
def test_percent_has_one_decimal_rounded_half_away_from_zero(part: int, whole: int, said: str) -> None:
    """A share of nothing is 0.0%."""
    assert percent(part, whole) == said


@pytest.mark.parametrize(
    ("cents", "said"), [(0, "$0.00"), (5, "$0.05"), (155750, "$1,557.50"), (10**14 + 1, "$1,000,000,000,000.01")]
)
def test_money_is_written_for_people(cents: int, said: str) -> None:
    """Thousands apart, two places always."""
    assert money(cents) == said
