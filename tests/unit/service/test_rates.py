"""Which requests are counted together."""

import pytest

from service.around.rates import origin


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
