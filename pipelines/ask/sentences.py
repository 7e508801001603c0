"""An answer in one sentence. A sentence is declared with its query and filled in from the rows."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Protocol

from catalog.measures import REVENUE, Measure, Parts, average_cents, dollars

NONE = "No transactions match."


class LabelledGroups(Protocol):
    """All groups of an answer, whatever the interval, by their labels."""

    def leader(self, measure: Measure) -> tuple[str, Parts] | None:
        """The group with the highest measure, the first by label of equal ones; Unknown only if there is no other."""

    def of(self, label: str) -> Parts:
        """The parts of the group with this label."""


class Sentence(Protocol):
    """Something that tells the answer from all groups and from their total."""

    def tell(self, groups: LabelledGroups, total: Parts) -> str:
        """The answer, ending in a full stop."""


@dataclass(frozen=True)
class Leader:
    """Names the group with the highest measure and its share: `PayPal is used most: 4 of 9 transactions (44.4%).`

    Attributes:
        measure: what is compared; transactions or revenue.
        claim: what the leader does, with the group's label as `{}`.
    """

    measure: Measure
    claim: str

    def tell(self, groups: LabelledGroups, total: Parts) -> str:
        """The answer; a group of unknowns leads only where nothing else is known."""
        leader = groups.leader(self.measure)
        if not leader:
            return NONE
        label, parts = leader
        if self.measure is REVENUE:
            figures = f"{money(parts.cents)} of {money(total.cents)}"
            share = percent(parts.cents, total.cents)
        else:
            figures = f"{parts.transactions:,} of {total.transactions:,} transactions"
            share = percent(parts.transactions, total.transactions)
        return f"{self.claim.format(label)}: {figures} ({share})."


@dataclass(frozen=True)
class Versus:
    """Compares the average spend of two members: `Male customers spend more: $2.00 against $1.00 (100.0% more).`

    Attributes:
        first, second: the members' labels.
        first_name, second_name: what the sentence calls them.
    """

    first: str
    second: str
    first_name: str
    second_name: str

    def tell(self, groups: LabelledGroups, total: Parts) -> str:
        """The answer; says what is missing where one side has no known amount."""
        first, second = (
            average_cents(side.cents, side.priced) for side in (groups.of(self.first), groups.of(self.second))
        )
        if not total.transactions:
            return NONE
        if first is None or second is None:
            missing = self.first_name if first is None else self.second_name
            return f"There is nothing to compare: no {missing} with a known amount match."
        if first == second:
            both = f"{self.first_name} and {self.second_name}"
            return f"{both[0].upper()}{both[1:]} spend the same: {money(first)} on average."
        (more, high), (_, low) = sorted(
            [(self.first_name, first), (self.second_name, second)], key=lambda side: side[1], reverse=True
        )
        change = f" ({percent(high - low, low)} more)" if low else ""
        return f"{more[0].upper()}{more[1:]} spend more: {money(high)} on average against {money(low)}{change}."


@dataclass(frozen=True)
class Summary:
    """Tells the total: transactions, revenue and average spend."""

    def tell(self, groups: LabelledGroups, total: Parts) -> str:
        """The answer, from the total alone."""
        if not total.transactions:
            return NONE
        average = average_cents(total.cents, total.priced)
        spend = f", {money(average)} on average" if average is not None else ""
        return f"{total.transactions:,} transactions brought {money(total.cents)}{spend}."


def money(cents: int) -> str:
    """Cents as dollars for people: $1,557.50."""
    return f"${dollars(cents):,}"


def percent(part: int, whole: int) -> str:
    """A share with one decimal, half away from zero; `0.0%` of nothing, `under 0.1%` where that would be 0.0%."""
    share = Decimal(part * 100) / Decimal(whole) if whole else Decimal(0)
    if 0 < share < Decimal("0.05"):
        return "under 0.1%"
    return f"{share.quantize(Decimal('0.1'), ROUND_HALF_UP):,}%"
