"""What `python -m bench http` rests on: its questions, its comparison, its figures and its plots."""

import json
from collections.abc import Mapping
from itertools import islice
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest

from bench.peers.asked import DIMENSIONS, Refused, parse
from bench.peers.compare import difference, normalised
from bench.peers.figures import Latency, Throughput, ratios
from bench.peers.plot import bars
from bench.peers.questions import CLASSES, EXPLORE, Class, mix, questions
from bench.peers.statement import ADDED, COUNTED, Dialect, grouped, order, table_of
from catalog.purchases import PURCHASES
from pipelines.ask.explore import MOST_DIMENSIONS

LABELS = {name: PURCHASES.by_name[name].members for name in DIMENSIONS}
REPLY = {
    "rows": [
        {"state": "Texas", "transactions": 2, "priced_transactions": 2, "revenue": "3.05", "average_spend": "1.53"},
        {"state": "Ohio", "transactions": 1, "priced_transactions": 0, "revenue": "0.00", "average_spend": None},
    ],
    "totals": {"transactions": 3, "priced_transactions": 2, "revenue": "3.05", "average_spend": "1.53"},
}


def parameters(path: str) -> Mapping[str, list[str]]:
    """The parameters of a path."""
    return parse_qs(urlsplit(path).query)


def test_the_same_seed_asks_the_same_and_nothing_twice() -> None:
    """Of each class and of the mix; another seed asks something else."""
    first, again, other = (
        {name: list(islice(paths, 500)) for name, paths in questions(seed).items()} for seed in (1, 1, 2)
    )
    assert first == again
    assert all(first[each.name] != other[each.name] for each in CLASSES)
    assert all(len(set(paths)) == 500 for paths in first.values())
    mixed = list(islice(mix(questions(1)), 700))
    assert len(set(mixed)) == 700


@pytest.mark.parametrize("of", [each for each in CLASSES if each.path == EXPLORE], ids=lambda each: each.name)
def test_peers_understand_every_question(of: Class) -> None:
    """With the number of dimensions, filters and bounds that the class says."""
    filters = {"one filter": 1, "three filters": 3}
    keys = {"two dimensions": 2, "three dimensions": 3, "the worst": 3}
    for path in islice(questions(3)[of.name], 100):
        asked = parse(parameters(path), LABELS)
        assert len(asked.by) == keys.get(of.name, 1) <= MOST_DIMENSIONS
        assert len(asked.filters) == filters.get(of.name, 0)
        assert asked.by != ("date",) or of.name == "daily"
        assert (asked.last is None) == (of.name in ("all time", "the worst"))


@pytest.mark.parametrize(
    "query",
    ["by=nothing", "by=state&by=state", "by=state&colour=red", "by=state&gender=green", "by=state&from=x",
     "by=state&interval=day", "by=state&limit=x", "gender=Male"],
)  # fmt: skip
def test_a_peer_refuses_what_it_does_not_understand(query: str) -> None:
    """So that no answer is compared that ignored a parameter."""
    with pytest.raises(Refused):
        parse(parse_qs(query), LABELS)


def test_a_question_is_one_statement() -> None:
    """With conditions, groups and an order; text cannot end a literal, as only known values pass."""
    asked = parse(parse_qs("by=state&from=2020-01-01&to=2020-02-01&gender=male&hour=3"), LABELS)
    assert grouped(asked, Dialect(), "purchases") + order(asked) == (
        "SELECT state, (count(*))::bigint AS n, (count(cents))::bigint AS p, (coalesce(sum(cents), 0))::bigint AS c"
        " FROM purchases WHERE date >= '2020-01-01' AND date <= '2020-02-01' AND gender = 'Male' AND hour = 3"
        ' GROUP BY "state" ORDER BY c DESC, "state"'
    )


@pytest.mark.parametrize(
    ("query", "table"),
    [("by=state", "daily_state"), ("by=date", "daily_all"), ("by=date&state=Ohio", "daily_state"),
     ("by=state&state=Ohio", "daily_state"), ("by=state&gender=Male", "purchases"), ("by=state&by=hour", "purchases"),
     ("by=state&interval=year", "purchases")],
)  # fmt: skip
def test_a_rollup_is_taken_where_it_has_everything(query: str, table: str) -> None:
    """That of the one dimension of the question."""
    assert table_of(parse(parse_qs(query), LABELS)) == (table, COUNTED if table == "purchases" else ADDED)


def test_replies_are_the_same_however_they_are_written() -> None:
    """Money as text or number, rows in another order, rows called data."""
    ours = normalised(json.dumps(REPLY), ("state",))
    theirs = {
        "data": [dict(row, revenue=float(str(row["revenue"]))) for row in reversed(REPLY["rows"])],  # type: ignore[call-overload]
        "totals": dict(REPLY["totals"], revenue=3.05),  # type: ignore[call-overload]
        "rows": 2,
    }
    assert difference(ours, normalised(json.dumps(theirs), ("state",))) == ""


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [('"3.05", "average_spend": "1.53"}, {', '"3.06", "average_spend": "1.53"}, {', "Texas"),
     ('"transactions": 1', '"transactions": 2', "Ohio"), ("null", '"0.00"', "Ohio"), ("Ohio", "Iowa", "Iowa"),
     ('"totals": {"transactions": 3', '"totals": {"transactions": 4', "totals")],
)  # fmt: skip
def test_a_planted_difference_is_found(before: str, after: str, place: str) -> None:
    """A cent, a count, an average, a group, a total."""
    text = json.dumps(REPLY)
    assert before in text
    found = difference(normalised(text, ("state",)), normalised(text.replace(before, after, 1), ("state",)))
    assert found.startswith(f"{place}: ")


@pytest.mark.parametrize("fault", ["a fraction of a cent", "a group twice"])
def test_a_reply_that_cannot_be_right_is_a_fault(fault: str) -> None:
    """Whatever the other one says."""
    text = json.dumps(REPLY)
    text = text.replace('"3.05"', "3.0500000000000003") if "cent" in fault else text.replace("Ohio", "Texas")
    with pytest.raises(AssertionError):
        normalised(text, ("state",))


def test_refusals_are_no_answers() -> None:
    """Neither in percentiles nor in rates."""
    latency = Latency()
    latency.add([1.0, 2.0, 3.0, 500.0], [200, 200, 200, 503])
    assert (latency.p50, latency.refused, Latency().p50, Latency().p95) == (2.0, 1, None, None)
    assert 2.0 < (latency.p95 or 0) <= 3.0
    throughput = Throughput()
    throughput.add([{"in_time": 20, "statuses": [200] * 20 + [503] * 5, "elapsed_s": 2.5}], 8, 2.0)
    assert (throughput.rate, throughput.refused) == (10.0, 5)


def test_answers_slower_than_the_time_count_by_the_time_they_took() -> None:
    """Otherwise a rate would be none."""
    throughput = Throughput()
    throughput.add([{"in_time": 0, "statuses": [200] * 8, "elapsed_s": 4.0}], 8, 2.0)
    assert throughput.rate == 2.0


def test_the_ratio_is_to_the_best_peer_and_says_where_we_are_behind() -> None:
    """The best is the fastest in ms, the highest in a rate; plain `$group` is no peer, silence none either."""
    by = {"ours": 3.0, "raw": 1.0, "polars": 2.0, "duckdb": 4.0, "chdb": None}
    [time] = ratios({"a range": by, "the dashboard": {"ours": 5.0}}, is_time=True)
    assert (time.what, time.peer, time.ratio, time.is_lost) == ("a range", "polars", 1.5, True)
    [rate] = ratios({"8 clients": by}, is_time=False)
    assert (rate.peer, rate.ratio, rate.is_lost) == ("duckdb", 0.75, True)
    [won] = ratios({"a range": by | {"ours": 1.0}}, is_time=True)
    assert (won.ratio, won.is_lost) == (0.5, False)


def test_a_plot_is_well_formed_and_has_a_bar_for_each_figure() -> None:
    """With names as they are, and none where there is no figure."""
    figures = {"a <range> & more": {"ours": 0.9, "polars": 1.8}, "daily": {"ours": 250.0, "polars": None}}
    root = ElementTree.fromstring(bars('of "ms"', "ms", ["ours", "polars"], figures))
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a <range> & more", "daily", "ours", "polars", "0.9", "1.8", "250"} <= set(texts)
    bar_widths = [float(each.get("width", 0)) for each in root.iter("{http://www.w3.org/2000/svg}rect")][3:]
    assert len(bar_widths) == 3
    assert bar_widths[0] < bar_widths[1] < bar_widths[2] < float(root.get("width", 0))


def test_a_plot_without_figures_is_well_formed() -> None:
    """Nobody answered."""
    ElementTree.fromstring(bars("nothing", "ms", ["ours"], {"a range": {"ours": None}}))
