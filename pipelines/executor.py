"""Answer questions: plan, read everything in one snapshot, merge the parts, arrange the rows."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from catalog.collections import DATA_VERSION, STATUS, TRANSACTIONS
from catalog.dimensions import DATE, Vocabulary
from catalog.errors import InternalError
from catalog.measures import Parts
from pipelines.answer import Answer, arrange
from pipelines.compiler import BUCKET, raw_pipeline
from pipelines.planner import plan
from pipelines.question import Question
from store.client import Session, Store
from store.schema import read_vocabulary
from store.timing import Timer


def answer(store: Store, question: Question, timer: Timer) -> Answer:
    """The exact answer as of one moment. The timer gets `plan`, `mongo` and `shape`.

    Raises:
        StoreUnavailable: MongoDB is away.
    """
    return answer_all(store, (question,), timer)[0]


def answer_all(store: Store, questions: Sequence[Question], timer: Timer) -> list[Answer]:
    """The exact answers to several questions, all as of the same moment."""
    with store.snapshot() as session:
        with timer.stretch("mongo"):
            version = read_data_version(store, session)
            vocabulary = read_vocabulary(store, session)
        return [_answer(store, session, question, vocabulary, version, timer) for question in questions]


def read_data_version(store: Store, session: Session | None = None) -> int:
    """The data's version: 0 before the first load, and greater after each commit that changes an answer."""
    status = store.db[STATUS.name].find_one({"_id": DATA_VERSION}, session=session)
    return int(status["version"]) if status else 0


def _answer(
    store: Store, session: Session, question: Question, vocabulary: Vocabulary, version: int, timer: Timer
) -> Answer:
    with timer.stretch("plan"):
        chosen = plan(question)
    cells: dict[tuple[int, ...], Parts] = {}
    for read in chosen.reads:
        with timer.stretch("mongo"):
            pipeline = raw_pipeline(question, read.first, read.last)
            documents = list(store.db[TRANSACTIONS.name].aggregate(pipeline, session=session))
        for key, parts in parse_groups(question, documents):
            cells[key] = cells[key].merge(parts) if key in cells else parts
    with timer.stretch("shape"):
        rows, total, sentence = arrange(question, cells, vocabulary)
    filters = question.echo(vocabulary)
    return Answer(question, filters, rows, total, sentence, chosen, version, _moment(session))


def parse_groups(question: Question, documents: Iterable[dict[str, Any]]) -> Iterable[tuple[tuple[int, ...], Parts]]:
    """The groups that a compiled pipeline returned, with codes for keys.

    Raises:
        InternalError: a sum is no whole number: MongoDB turns an overflowing one into a double.
    """
    dimensions = dict.fromkeys([BUCKET], DATE) if question.interval else {}
    dimensions |= {dimension.name: dimension for dimension in question.query.by}
    for document in documents:
        key = document["_id"]
        stored = key if len(dimensions) > 1 else dict.fromkeys(dimensions, key)
        parts = Parts(document["n"], document["p"], document["r"])
        if not all(isinstance(part, int) for part in parts):
            raise InternalError(f"a sum overflowed: {parts}")
        yield tuple(dimension.code(stored[name]) for name, dimension in dimensions.items()), parts


def _moment(session: Session) -> datetime:
    """The snapshot's cluster time; now, where nothing was read yet."""
    timestamp = getattr(session, "_snapshot_time", None)
    return timestamp.as_datetime() if timestamp else datetime.now(UTC)
