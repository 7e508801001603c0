"""Whose requests are counted together, and how many are allowed."""

from typing import Any, cast

import pytest

from catalog.errors import StoreUnavailable
from service.around import rates
from service.around.rates import Rates, origin


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"), ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"), ("", ""),
    ],
)  # fmt: skip
def test_a_client_is_an_address_or_a_whole_network_of_ipv6(address: str, counted: str) -> None:
    """Otherwise, a client could send each request from a different one of its 2^64 addresses."""
    assert origin(address) == counted


class Away:
    """A connection to a MongoDB that is away."""

    asked = 0

    @property
    def store(self) -> Any:
        """None can be had."""
        self.asked += 1
        raise StoreUnavailable("away", "wait")


def allowed(limited: Rates, requests: int, address: str = "192.0.2.7") -> int:
    """How many of so many requests are within the limit."""
    return sum(limited.take(None, address).remaining >= 0 for _ in range(requests))


@pytest.mark.parametrize("limit", [1, 7, 99, 100, 101, 1_234])
def test_as_many_as_the_limit_says_are_allowed(limit: int) -> None:
    """No more and no fewer, whether they are taken one by one or several at once; each client by itself."""
    limited = Rates(f"{limit}/hour", cast(Any, Away()))
    assert allowed(limited, limit + 60) == limit
    assert allowed(limited, 60) == 0
    assert allowed(limited, 1, "192.0.2.8") == 1


def test_what_remains_goes_down_by_one_each_time() -> None:
    """Whatever is taken at once."""
    limited = Rates("250/hour", cast(Any, Away()))
    remaining = [limited.take("me", "").remaining for _ in range(252)]
    assert remaining[:250] == [*range(249, -1, -1)]
    assert all(each < 0 for each in remaining[250:])


def test_of_several_limits_the_tightest_counts() -> None:
    """Five a second allow no more than seven an hour."""
    limited = Rates("1000/second;7/hour", cast(Any, Away()))
    assert allowed(limited, 20) == 7
    assert limited.take(None, "192.0.2.7").limit.amount == 7


def test_while_mongodb_is_away_it_is_not_asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once in AWAY_S."""
    away = Away()
    limited = Rates("50/hour", cast(Any, away))
    allowed(limited, 20)
    assert away.asked == 1
    monkeypatch.setattr(rates, "AWAY_S", 0.0)
    limited._away_until = 0.0
    allowed(limited, 3)
    assert away.asked == 4
