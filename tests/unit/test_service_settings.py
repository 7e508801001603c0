"""How the service behaves comes from the environment, and a service with an open door does not start."""

from pathlib import Path

import pytest

from catalog.errors import UserError
from service.around.keys import Key
from service.settings import ServiceSettings, refuse_open_door

KEYS = (Key("shop", "a" * 64),)


def test_an_empty_environment_has_safe_defaults() -> None:
    """A deadline and a bound on the work; no limit and no other origin; keys are asked for where they are needed."""
    for environment in ({}, dict.fromkeys(("REQUEST_BUDGET_MS", "CONCURRENCY", "RATE_LIMIT", "CORS_ORIGINS"), "")):
        found = ServiceSettings.from_environment(environment)
        assert found == ServiceSettings()
        assert found.budget_ms == 5_000


def test_each_setting_is_read(tmp_path: Path) -> None:
    """The five names of the documentation."""
    path = tmp_path / "keys"
    path.write_text(f"shop:{'a' * 64}\n")
    found = ServiceSettings.from_environment(
        {
            "REQUEST_BUDGET_MS": "250",
            "CONCURRENCY": "3",
            "API_KEYS_FILE": str(path),
            "RATE_LIMIT": "100/minute",
            "CORS_ORIGINS": "https://shop.example, http://localhost:3000",
        }
    )
    assert found == ServiceSettings(250, 3, KEYS, "100/minute", ("https://shop.example", "http://localhost:3000"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REQUEST_BUDGET_MS", "0"), ("REQUEST_BUDGET_MS", "-5"), ("REQUEST_BUDGET_MS", "5s"), ("CONCURRENCY", "1.5"),
        ("CONCURRENCY", "\u0663"), ("RATE_LIMIT", "many"), ("RATE_LIMIT", "100"), ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://*.example"), ("CORS_ORIGINS", "shop.example"), ("CORS_ORIGINS", "https://a.b/path"),
        ("CORS_ORIGINS", "null"), ("API_KEYS_FILE", "/nowhere/keys"),
    ],
)  # fmt: skip
def test_an_unusable_setting_is_the_users_to_mend(name: str, value: str) -> None:
    """One line that names the variable."""
    with pytest.raises(UserError) as caught:
        ServiceSettings.from_environment({name: value})
    assert str(caught.value).startswith(f"{name}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "analytics.example", ""])
def test_without_keys_nobody_else_can_reach_the_service(host: str) -> None:
    """It does not start, and says what to do; with keys it may listen anywhere."""
    with pytest.raises(UserError, match="API_KEYS_FILE"):
        refuse_open_door([("127.0.0.1", 8000), (host, 8000)], ())
    refuse_open_door([(host, 8000)], KEYS)


@pytest.mark.parametrize("address", [("127.0.0.1", 80), ("127.8.9.1", 80), ("::1", 80), ("localhost", 80), "/run/a"])
def test_loopback_and_local_sockets_need_no_keys(address: object) -> None:
    """Only processes of this machine can connect."""
    refuse_open_door([address], ())
