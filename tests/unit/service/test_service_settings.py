"""The service's settings come from the environment, and a service that is open to others does not start."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from catalog.errors import UserError
from service.keys import ApiKey
from service.settings import ServerSettings, ServiceSettings, document, refuse_open_door
from tests.support.places import ROOT

SetEnvironment = Callable[[Mapping[str, str]], None]
KEYS = (ApiKey("shop", "a" * 64),)
SERVER = ("HOST", "PORT", "WORKERS", "THREADS", "LOG_LEVEL", "LOG_FORMAT")


def test_an_empty_environment_has_safe_defaults(set_environment: SetEnvironment) -> None:
    """A deadline and a limit on concurrent work; no rate limit and no other origin; no keys."""
    for environment in ({}, dict.fromkeys(("REQUEST_BUDGET_MS", "CONCURRENCY", "RATE_LIMIT", "CORS_ORIGINS"), "")):
        set_environment(environment)
        found = ServiceSettings.from_environment()
        assert found == ServiceSettings()
        assert found.budget_ms == 5_000


def test_each_setting_is_read(tmp_path: Path, set_environment: SetEnvironment) -> None:
    """The six names of the documentation."""
    path = tmp_path / "keys"
    path.write_text(f"shop:{'a' * 64}\n")
    set_environment(
        {
            "REQUEST_BUDGET_MS": "250",
            "CONCURRENCY": "3",
            "API_KEYS_FILE": str(path),
            "RATE_LIMIT": "100/minute",
            "COLUMNS_MAX_MB": "12",
            "CORS_ORIGINS": "https://shop.example, http://localhost:3000",
        }
    )
    found = ServiceSettings.from_environment()
    assert found == ServiceSettings(250, 3, KEYS, "100/minute", 12, ("https://shop.example", "http://localhost:3000"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REQUEST_BUDGET_MS", "0"), ("REQUEST_BUDGET_MS", "-5"), ("REQUEST_BUDGET_MS", "5s"), ("CONCURRENCY", "1.5"),
        ("CONCURRENCY", "\u0663"), ("RATE_LIMIT", "many"), ("RATE_LIMIT", "100"), ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://*.example"), ("CORS_ORIGINS", "shop.example"), ("CORS_ORIGINS", "https://a.b/path"),
        ("CORS_ORIGINS", "null"), ("API_KEYS_FILE", "/nowhere/keys"),
        ("WORKERS", "x"), ("WORKERS", "0"), ("WORKERS", "1e9"), ("THREADS", "-1"), ("THREADS", "16 "),
        ("PORT", "65536"), ("PORT", "http"), ("HOST", "a b"), ("HOST", "127.0.0.1/8"),
        ("LOG_LEVEL", "loud"), ("LOG_FORMAT", "xml"),
        ("WORKERS", "\u0662"),
    ],
)  # fmt: skip
def test_an_unusable_setting_is_the_users_to_mend(name: str, value: str, set_environment: SetEnvironment) -> None:
    """One line that names the variable."""
    set_environment({name: value})
    with pytest.raises(UserError) as caught:
        (ServerSettings if name in SERVER else ServiceSettings).from_environment()
    assert str(caught.value).startswith(f"{name}: ")
    assert "\n" not in str(caught.value)


def test_the_server_s_settings_are_read(set_environment: SetEnvironment) -> None:
    """The six names of the documentation; empty ones count as not set."""
    set_environment(dict.fromkeys(SERVER, ""))
    assert ServerSettings.from_environment() == ServerSettings("127.0.0.1", 8000, 2, 16, "info", None)
    values = ("::1", "0", "3", "4", "WARNING", "Text")
    set_environment(dict(zip(SERVER, values, strict=True)))
    found = ServerSettings.from_environment()
    assert found == ServerSettings("::1", 0, 3, 4, "warning", "text")
    assert found.url == "http://[::1]:0/"


def test_all_wrong_settings_are_named_at_once(set_environment: SetEnvironment) -> None:
    """On one line, in the same form."""
    set_environment({"WORKERS": "x", "THREADS": "", "PORT": "99999", "LOG_LEVEL": "loud"})
    with pytest.raises(UserError) as caught:
        ServerSettings.from_environment()
    assert str(caught.value) == (
        "PORT: '99999' is not a whole number from 0 to 65535. WORKERS: 'x' is not a whole number from 1 to 512. "
        "LOG_LEVEL: 'loud' is not one of debug, info, warning, error."
    )


def test_the_documented_table_is_the_declared_one() -> None:
    """`python -m service.settings > docs/settings.md` writes it."""
    assert (ROOT / "docs" / "settings.md").read_text() == document()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "analytics.example", ""])
def test_without_keys_nobody_else_can_reach_the_service(host: str) -> None:
    """It does not start and says what to do; with keys, it may listen anywhere."""
    with pytest.raises(UserError, match="API_KEYS_FILE"):
        refuse_open_door([("127.0.0.1", 8000), (host, 8000)], ())
    refuse_open_door([(host, 8000)], KEYS)


@pytest.mark.parametrize("address", [("127.0.0.1", 80), ("127.8.9.1", 80), ("::1", 80), ("localhost", 80), "/run/a"])
def test_loopback_and_local_sockets_need_no_keys(address: object) -> None:
    """Only processes of this machine can connect."""
    refuse_open_door([address], ())
