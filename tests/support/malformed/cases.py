"""The cases of the corpus as test parameters, and how to write their files."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from store.settings import Settings
from tests.support.malformed.corpus import CASES, ZONE, Case

READ = [pytest.param(case, id=case.name) for case in CASES if not case.is_refused]
REFUSED = [pytest.param(case, id=case.name) for case in CASES if case.is_refused]
SETTINGS = Settings(timezone=ZoneInfo(ZONE))


def write(folder: Path, case: Case) -> Path:
    """Write the case's file."""
    path = folder / "purchases.csv"
    if case.content is not None:
        path.write_bytes(case.content)
    return path
