"""How MongoDB would run, or has run, a command."""

import json
from dataclasses import dataclass
from typing import Any

from bson import json_util

from store.client import Document, Store


@dataclass(frozen=True)
class Explained:
    """How MongoDB runs a command.

    Attributes:
        stages: the winning plan's stages from the outside in, an index scan with its index's name.
        index: the index used, or None.
        keys_examined, documents_examined: how many it examined; None if the command was only planned.
    """

    stages: tuple[str, ...]
    index: str | None
    keys_examined: int | None = None
    documents_examined: int | None = None


def explain(store: Store, command: Document, *, run: bool = False) -> Explained:
    """Explain a find or an aggregation; with `run`, run it and count what it examines.

    Raises:
        StoreUnavailable: MongoDB is unavailable.
    """
    store.admit()
    told = store.outside.command({"explain": command, "verbosity": "executionStats" if run else "queryPlanner"})
    cursor = told["stages"][0]["$cursor"] if "stages" in told else told
    plan = cursor["queryPlanner"]["winningPlan"]
    stages = tuple(_stages(plan.get("queryPlan", plan)))
    index = next((stage.removeprefix("IXSCAN ") for stage in stages if stage.startswith("IXSCAN ")), None)
    counts = cursor.get("executionStats", {})
    return Explained(stages, index, counts.get("totalKeysExamined"), counts.get("totalDocsExamined"))


def extended_json(pipeline: Any) -> Any:
    """A pipeline as MongoDB's relaxed Extended JSON (dates as `{"$date": ...}`), ready for `json.dumps`."""
    return json.loads(json_util.dumps(pipeline, json_options=json_util.RELAXED_JSON_OPTIONS))


def _stages(plan: Document) -> list[str]:
    name = f"IXSCAN {plan['indexName']}" if plan.get("stage") == "IXSCAN" else str(plan.get("stage"))
    inner: list[Any] = [plan["inputStage"]] if "inputStage" in plan else plan.get("inputStages", [])
    return [name, *(stage for each in inner for stage in _stages(each))]
