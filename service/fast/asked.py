"""What a plain request asks, read before Flask sees it; anything unusual or wrong about it is left to Flask."""

from typing import Any, NamedTuple
from urllib.parse import parse_qs

from catalog.errors import AnalyticsError
from pipelines.answer.answerer import Answerer
from pipelines.ask.explore import BY, EXPLORE, find_exploration
from pipelines.ask.queries import BY_SLUG, Query
from pipelines.ask.question import Question
from pipelines.state.version import Directory
from service.around.bounds import MAX_URL_BYTES

QUERIES = "/v1/queries/"
EXPLORATION = f"/v1/{EXPLORE}"
_JSON = ("", "*/*", "application/json")
Environ = dict[str, Any]


class Asked(NamedTuple):
    """What a plain request asks: its route, its parameters as text, its question, and the directory as it is now."""

    route: str
    parameters: dict[str, list[str]]
    question: Question
    directory: Directory


def read(environ: Environ, answerer: Answerer) -> Asked | None:
    """What a request asks, if the change stream vouches for the version; None leaves it to Flask."""
    path, text = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
    if environ.get("HTTP_ACCEPT", "") not in _JSON or not text.isascii() or len(text) > MAX_URL_BYTES // 2:
        return None
    now = answerer.known.last
    try:
        if now is None or not answerer.known.vouches_for(now.version):
            return None
        parameters = parse_qs(text, keep_blank_values=True)
        query = _query(path, parameters)
        return Asked(path, parameters, answerer.question(query, parameters, now), now) if query else None
    except (AnalyticsError, ValueError):
        return None  # Flask says which


def _query(path: str, parameters: dict[str, list[str]]) -> Query | None:
    if path.startswith(QUERIES):
        return BY_SLUG.get(path[len(QUERIES) :])
    return find_exploration(parameters.get(BY, ())) if path == EXPLORATION else None
