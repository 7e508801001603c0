"""Slices: they equal the sums of adding up one transaction at a time, also after BSON encoding."""

from collections.abc import Iterable
from datetime import date
from random import Random

import bson
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.calendar import Grain, Period, parse, year_of
from catalog.dimensions import date_of, day_number
from catalog.measures import Parts
from catalog.purchases import DATE, MAX_AMOUNT_CENTS, PURCHASES, STATE
from pipelines.derived.columns import NULL
from pipelines.derived.slices import EXACT, Slices, of_month, of_year, read_cells, sums
from pipelines.plan.rollups import ALL, TOTAL
from tests.support.columns import Row, columns_of, random_rows

MARCH = parse("2024-03")
Cells = dict[str, dict[int, Parts]]


def naively(rows: Iterable[Row], month: Period) -> dict[str, Cells]:
    """The slices of a month and its days by id, adding each row to each of its cells."""
    found: dict[str, Cells] = {}

    def add(name: str, by: str, code: int, cents: int) -> None:
        cells = found.setdefault(name, {}).setdefault(by, {})
        known = cells.get(code, Parts(0, 0, 0))
        cells[code] = known.merge(Parts(1, int(cents != NULL), max(cents, 0)))

    for codes, cents in rows:
        day = date_of(codes[DATE.name]).isoformat()
        for of, member in ((ALL, 0), *((each.name, codes[each.name]) for each in PURCHASES.filterable)):
            name = f"{month.name}:{of}:{member}"
            add(name, TOTAL, 0, cents)
            for by in (*PURCHASES.filterable, DATE):
                if by.name != of:
                    add(name, by.name, codes[by.name], cents)
        add(f"{day}:{ALL}:0", TOTAL, 0, cents)
        for by in PURCHASES.filterable:
            add(f"{day}:{ALL}:0", by.name, codes[by.name], cents)
    return found


def cells_of(slices: Slices) -> dict[str, Cells]:
    """Slices by id, as MongoDB would return them: the encoding by numpy is read by a real decoder."""
    documents = [bson.decode(each.raw) for each in slices.documents]
    for document in documents:
        period = parse(document["period"]) if len(document["period"]) < 10 else None
        assert document["_id"] == f"{document['period']}:{document['dimension']}:{document['member']}"
        assert document["start"].date() == (period.start if period else date.fromisoformat(document["period"]))
    found = {document["_id"]: read_cells(document) for document in documents}
    assert slices.cells == sum(len(cells) for slice_ in found.values() for cells in slice_.values())
    assert len(found) == len(documents)
    return found


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60), st.sampled_from([300_000, MAX_AMOUNT_CENTS]))
def test_the_slices_of_a_month_are_what_counting_row_by_row_gives(seed: int, count: int, largest: int) -> None:
    """Exactly these slices and cells."""
    rows = random_rows(Random(seed), MARCH, count, largest)
    assert cells_of(of_month(columns_of(rows), MARCH)) == naively(rows, MARCH)


def test_a_month_of_many_rows_and_members_is_what_counting_gives() -> None:
    """Enough for three-digit array positions, and more members than a byte has values."""
    seed = 11
    print(f"seed {seed}")
    rows = random_rows(Random(seed), MARCH, 300, states=1_500)
    assert max(codes[STATE.name] for codes, _ in rows) > 255
    assert cells_of(of_month(columns_of(rows), MARCH)) == naively(rows, MARCH)


def test_a_month_without_transactions_has_no_slices() -> None:
    """No cells and no documents; the same for a year without transactions."""
    assert of_month(columns_of([]), MARCH).documents == []
    assert of_year(year_of(MARCH.start), []).documents == []
    assert of_year(year_of(MARCH.start), [columns_of([])]).documents == []


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32), st.sets(st.integers(1, 12), min_size=1, max_size=4))
def test_a_year_is_the_sum_of_its_months(seed: int, numbers: set[int]) -> None:
    """As if its transactions were counted at once, but without cells by date."""
    random = Random(seed)
    months = [Period(date(2024, number, 1), Grain.MONTH) for number in sorted(numbers)]
    rows = {month: random_rows(random, month, random.randint(1, 40)) for month in months}
    year = year_of(months[0].start)
    together = naively((row for some in rows.values() for row in some), year)
    expected = {
        name: {by: cells for by, cells in each.items() if by != DATE.name}
        for name, each in together.items()
        if name.startswith("2024:")
    }
    assert cells_of(of_year(year, map(columns_of, rows.values()))) == expected


def test_large_amounts_are_exact_in_every_cell() -> None:
    """Sums above 2^53, which doubles cannot represent exactly, are added in two halves."""
    rows = random_rows(Random(5), MARCH, 40) * 30
    large = [(codes, 10**13 - number) for number, (codes, _) in enumerate(rows)]
    large.sort(key=lambda row: row[0][DATE.name])
    total = sum(cents for _, cents in large)
    assert total > EXACT
    assert float(total) != total or total % 2 == 0
    assert cells_of(of_month(columns_of(large), MARCH)) == naively(large, MARCH)
    halves = columns_of(large[:600]), columns_of(large[600:])
    assert cells_of(of_year(year_of(MARCH.start), halves))["2024:all:0"][TOTAL] == {0: Parts(1200, 1200, total)}


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.just(NULL) | st.integers(MAX_AMOUNT_CENTS - 5, MAX_AMOUNT_CENTS)),
                max_size=50), st.integers(1, 40))  # fmt: skip
def test_sums_are_exact_where_doubles_are_not(pairs: list[tuple[int, int]], times: int) -> None:
    """Amounts near the largest allowed, repeated until their sum is far above 2^53: Python's integers agree."""
    repeated = pairs * (times * 100)
    keys, cents = (np.array(column, np.int64) for column in (zip(*repeated, strict=True) if repeated else ([], [])))
    transactions, priced, total = sums(keys, cents, 5)
    for key in range(5):
        amounts = [amount for each, amount in pairs if each == key]
        known = [amount for amount in amounts if amount != NULL]
        factor = times * 100
        expected = (len(amounts) * factor, len(known) * factor, sum(known) * factor)
        assert (int(transactions[key]), int(priced[key]), int(total[key])) == expected


def test_one_cent_is_not_lost_beside_2_to_the_53() -> None:
    """Sums such as 2^53 + 1, which no double can represent, in one group and in two."""
    most = MAX_AMOUNT_CENTS
    count = EXACT // most + 1
    cents = np.array([most] * count + [1, 1, 1], np.int64)
    exact = most * count + 3
    assert float(exact) != exact or exact % 2 == 1
    assert sums(np.zeros(len(cents), np.int64), cents, 1)[2].tolist() == [exact]
    assert sums(np.arange(len(cents)) % 2, cents, 2)[2].sum() == exact


def test_rows_of_one_member_give_one_slice_of_it() -> None:
    """Members that do not occur have no slice, even those with smaller codes."""
    rows = [
        (dict.fromkeys((each.name for each in PURCHASES.filterable), 2) | {DATE.name: day_number(date(2024, 3, 31))}, 5)
    ] * 3
    names = set(cells_of(of_month(columns_of(rows), MARCH)))
    assert names == {f"2024-03:{each.name}:2" for each in PURCHASES.filterable} | {"2024-03:all:0", "2024-03-31:all:0"}
