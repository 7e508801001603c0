"""Real requests and replies, shown in the OpenAPI document.

`examples.json` holds them as the service gave them on a sample of 20,000 purchases; a test asks again and compares,
and writes the file anew where REWRITE_EXAMPLES is set.
"""

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("examples.json")
_EXAMPLES: dict[str, dict[str, Any]] = json.loads(FILE.read_text())


def real_examples(name: str) -> dict[str, Any] | None:
    """The OpenAPI `examples` of an operation or a problem, by their request; None where there are none."""
    found = _EXAMPLES.get(name)
    return {name: {"summary": f"GET {found['request']}", "value": found["reply"]}} if found else None
