"""The policy of each path: who may request it, and how expensive that is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """How requests for a path are treated.

    Attributes:
        is_open: they need no key.
        is_monitor: they do not count against the rate limit, and are answered even under overload.
        is_work: they are refused unread under overload; a few others also need MongoDB, but hardly any work.
        max_body_bytes: the maximum length of their body; 0 means none.
    """

    is_open: bool = False
    is_monitor: bool = False
    is_work: bool = False
    max_body_bytes: int = 0


USUAL, WORK = Policy(), Policy(is_work=True)
PATHS = {
    "/healthz": Policy(is_open=True, is_monitor=True),
    "/readyz": Policy(is_open=True, is_monitor=True),
    "/metrics": Policy(is_monitor=True),
}
BELOW = {"/v1/queries/": WORK, "/v1/explore": WORK, "/v1/dashboard": WORK}
"""The policies of all paths with these prefixes."""


def policy(path: str) -> Policy:
    """The policy of a path."""
    found = PATHS.get(path)
    if found is None:
        found = next((each for begin, each in BELOW.items() if path.startswith(begin)), USUAL)
    return found
