"""Measures: exact to the cent, in whatever order the parts were added up."""

from decimal import Decimal
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.measures import (
    AVERAGE_SPEND,
    LIFT,
    MEASURES,
    NOTHING,
    PRICED_TRANSACTIONS,
    REVENUE,
    TRANSACTION_COUNT,
    Parts,
    average_cents,
    dollars,
)
from catalog.purchases import MAX_AMOUNT_CENTS

counts = st.integers(0, 10**9)
any_parts = st.builds(Parts, counts, counts, st.integers(0, 10**18))


@pytest.mark.parametrize(
    ("cents", "count", "average"),
    [
        pytest.param(1, 2, 1, id="half a cent goes up"),
        pytest.param(3, 2, 2, id="one and a half goes to two"),
        pytest.param(5, 2, 3, id="two and a half goes to three and not to the even two"),
        pytest.param(7, 2, 4, id="three and a half goes to four"),
        pytest.param(1, 3, 0, id="a third goes down"),
        pytest.param(2, 3, 1, id="two thirds go up"),
        pytest.param(499, 1000, 0, id="just below a half goes down"),
        pytest.param(501, 1000, 1, id="just above a half goes up"),
        pytest.param(0, 5, 0, id="nothing spent is an average of zero"),
        pytest.param(100, 1, 100, id="one amount is its own average"),
        pytest.param(10**18 + 1, 2, 5 * 10**17 + 1, id="half a cent beyond what a double can hold"),
    ],
)
def test_an_average_is_rounded_half_away_from_zero(cents: int, count: int, average: int) -> None:
    """To the whole cent; Python's own `round` would go to the even one."""
    assert average_cents(cents, count) == average


@settings(deadline=None)
@given(st.integers(0, 10**18), st.integers(1, 10**9))
def test_an_average_is_what_exact_fractions_say(cents: int, count: int) -> None:
    """For any sum and count: the fraction plus a half, rounded down."""
    assert average_cents(cents, count) == floor(Fraction(cents, count) + Fraction(1, 2))


def test_the_average_of_nothing_is_null_and_not_zero() -> None:
    """Like SQL's AVG of no rows."""
    assert average_cents(0, 0) is None
    assert AVERAGE_SPEND.finish(NOTHING) is None
    assert AVERAGE_SPEND.finish(Parts(transactions=3, priced=0, cents=0)) is None
    assert AVERAGE_SPEND.finish(Parts(transactions=3, priced=1, cents=0)) == Decimal("0.00")


@given(st.integers(0, 10**18))
def test_dollars_keep_every_cent(cents: int) -> None:
    """Whatever the amount."""
    assert f"{dollars(cents):f}" == f"{cents // 100}.{cents % 100:02}"


@pytest.mark.parametrize(
    ("cents", "text"),
    [(0, "0.00"), (1, "0.01"), (10, "0.10"), (100, "1.00"), (155750, "1557.50"), (10**18 + 1, "10000000000000000.01")],
)
def test_dollars_have_two_places_always(cents: int, text: str) -> None:
    """Exact, without an exponent, however large."""
    assert str(dollars(cents)) == text


def test_an_unknown_amount_of_dollars_stays_unknown() -> None:
    """None in, None out."""
    assert dollars(None) is None


def test_each_measure_reads_its_own_part() -> None:
    """COUNT(*), COUNT(x), SUM(x), AVG(x), in this order."""
    parts = Parts(transactions=3, priced=2, cents=25)
    assert [measure.finish(parts) for measure in MEASURES] == [3, 2, Decimal("0.25"), Decimal("0.13")]
    assert MEASURES == (TRANSACTION_COUNT, PRICED_TRANSACTIONS, REVENUE, AVERAGE_SPEND)
    assert [measure.name for measure in MEASURES] == ["transactions", "priced_transactions", "revenue", "average_spend"]
    assert [measure.finish(Parts(1, 0, 0)) for measure in MEASURES] == [1, 0, Decimal("0.00"), None]


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
def test_money_is_a_decimal_with_a_unit_and_counts_are_whole(measure: object) -> None:
    """The declared type is that of `finish`, never a double."""
    parts = Parts(transactions=3, priced=2, cents=25)
    kind = {"integer": int, "decimal": Decimal}[measure.type]
    assert type(measure.finish(parts)) is kind
    assert (measure.unit == "USD") == (kind is Decimal)


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**18))
def test_a_figure_shown_is_its_text(transactions: int, priced: int, cents: int) -> None:
    """Money as the text of the Decimal, counts unchanged, null as nothing."""
    parts = Parts(transactions, priced, cents)
    for measure in MEASURES:
        finished = measure.finish(parts)
        assert measure.show(parts) == (str(finished) if isinstance(finished, Decimal) else finished)


@settings(deadline=None)
@given(any_parts, any_parts, any_parts)
def test_parts_can_be_added_in_any_order(one: Parts, two: Parts, three: Parts) -> None:
    """Merging is associative and commutative, and adding nothing changes nothing; rollups depend on this."""
    assert one.merge(two) == two.merge(one)
    assert one.merge(two).merge(three) == one.merge(two.merge(three))
    assert one.merge(NOTHING) == one


def test_lifting_counts_rows_known_amounts_and_cents_without_dividing() -> None:
    """The accumulators, in the order of `Parts`, use `$sum` alone: sums can be added up later, averages cannot."""
    assert list(LIFT) == ["n", "p", "r"]
    assert len(LIFT) == len(Parts._fields)
    assert all(list(accumulator) == ["$sum"] for accumulator in LIFT.values())


def test_the_largest_sum_of_amounts_fits_64_bits() -> None:
    """The cap on an amount leaves room for ninety million purchases of a billion dollars: MongoDB cannot overflow."""
    assert MAX_AMOUNT_CENTS * 90_000_000 < 2**63
