"""The policies of paths are defined in one place, and every declared path has the right one."""

import pytest

from service.app import create_app
from service.around.paths import PATHS, USUAL, WORK, Policy, policy
from service.settings import ServiceSettings
from store.settings import Settings

MONITOR = Policy(is_monitor=True)
OPEN = Policy(is_open=True, is_monitor=True)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/healthz", OPEN), ("/readyz", OPEN), ("/metrics", MONITOR), ("/metrics/", USUAL), ("/readyz/x", USUAL),
        ("/v1/queries/top-states", WORK), ("/v1/queries/top-states.csv", WORK), ("/v1/queries", USUAL),
        ("/v1/explore", WORK), ("/v1/explore.csv", WORK), ("/v1/explore/explain", WORK), ("/v1/dashboard", WORK),
        ("/v1/live", USUAL), ("/v1/loads", USUAL), ("/", USUAL), ("/docs", USUAL), ("", USUAL), ("//readyz", USUAL),
    ],
)  # fmt: skip
def test_each_path_has_its_policy(path: str, expected: Policy) -> None:
    """Any path that is not exactly a monitor's needs a key and counts."""
    assert policy(path) == expected


def test_only_declared_paths_are_open_and_none_takes_a_body(tmp_path) -> None:
    """Every path that is open or for monitors exists in the application."""
    app = create_app(Settings(data_dir=tmp_path), ServiceSettings())
    rules = {rule.rule for rule in app.url_map.iter_rules()}
    assert PATHS.keys() <= rules
    assert {rule for rule in rules if policy(rule).is_open} == {"/healthz", "/readyz"}
    assert not any(policy(rule).max_body_bytes for rule in rules)
