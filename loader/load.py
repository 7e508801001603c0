"""Load a file: survey it, claim its load, write its batches from the checkpoint on, report."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from catalog.collections import LOADS
from catalog.errors import TooManyQuarantined
from catalog.purchases import PURCHASES
from catalog.status import LoadStatus
from indexes.manage import apply as apply_indexes
from indexes.specifications import EARLY
from loader.loads.options import Options
from loader.loads.quarantine import released_lines
from loader.loads.report import LoadReport
from loader.loads.runs import Run, begin_run
from loader.reading.clean import Clean, Cleaner, Ints, tomorrow
from loader.reading.files import Chunk, Survey, read_chunks, survey
from loader.writing.batches import Batch, Writer
from loader.writing.claim import claim
from pipelines.derived.ahead import one_ahead
from pipelines.derived.refresh import refresh
from pipelines.state.lanes import close_lanes
from store.client import Session, Store
from store.settings import Settings

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all."""

LANES = 2
"""The number of sessions that write batches side by side: two are 1.5 times as fast as one, on two cores."""

ENOUGH_ROWS = 10_000
"""A load is stopped by its share of refused rows only after this many rows."""


def check(path: Path, settings: Settings, progress: Progress) -> LoadReport:
    """Read a file as a load would, without a database and without writing anything.

    The vocabulary is the catalog's own. Repeated ids count as already present, whatever their content.

    Raises:
        FileRefused: the whole file is at fault.
    """
    start = time.monotonic()
    found = survey(path)
    vocabulary = PURCHASES.vocabulary
    report = LoadReport(path.name, Options(timezone=settings.timezone.key).name(found.sha256))
    cleaner = Cleaner(found.header, vocabulary, settings.timezone, tomorrow())
    ids = [np.empty(0, np.int64)]
    for chunk in read_chunks(found):
        clean = cleaner.clean(chunk)
        ids.append(clean.columns["transaction_id"])
        reasons = Counter(refused.reason for refused in clean.refused)
        report.add(len(chunk.lines), len(clean.lines), 0, reasons, clean.missing())
        progress(chunk.end, found.size)
    every = np.concatenate(ids)
    report.already_present = len(every) - len(np.unique(every))
    report.inserted -= report.already_present
    report.status = LoadStatus.CHECKED
    report.seconds = time.monotonic() - start
    return report


def load(store: Store, path: Path, options: Options, max_quarantined: float, progress: Progress) -> LoadReport:
    """Load a file. Loading it again does nothing; an interrupted load continues at its checkpoint.

    Rows that were refused because of another load that has been removed are inserted.

    Raises:
        FileRefused: the whole file is at fault; nothing was written.
        TooManyQuarantined: more than the share `max_quarantined` (0 to 1) of the rows was refused.
        LoadError: another loader has this file.
        StoreUnavailable: MongoDB is unavailable; what was committed stays, and the same command continues.
    """
    begin = time.monotonic()
    found = survey(path)
    apply_indexes(store, ("missing",), EARLY)
    with ExitStack() as sessions:
        session, *lanes = (
            sessions.enter_context(store.session()) for _ in range(1 + (1 if options.by_profile else LANES))
        )
        state = claim(store, found, options, session, lanes)
        report = LoadReport.from_load(state)
        report.repeated = state["status"] == LoadStatus.COMPLETE
        if report.repeated:
            return report
        spent = report.seconds - begin

        def committed(batch: Batch) -> None:
            progress(batch.chunk.end, found.size)
            if report.read >= ENOUGH_ROWS and report.exceeds(max_quarantined):
                raise TooManyQuarantined(
                    f"{report.quarantined:,} of {report.read:,} rows were refused",
                    f"`python -m loader quarantine {report.load_id}` lists them; to continue, load the file again with "
                    "a higher --max-quarantined",
                )

        batches = _batches(store, found, state, options, begin_run(store, state))
        writer = Writer(store, report, lambda: spent + time.monotonic(), committed, by_profile=options.by_profile)
        try:
            writer.write(one_ahead(batches), lanes, state["offset"])
        except TooManyQuarantined:
            _close(session, report.load_id)
            _finish(store, report, LoadStatus.STOPPED, spent + time.monotonic())
            raise
        _close(session, report.load_id)
        with ThreadPoolExecutor(1) as beside:
            late = beside.submit(apply_indexes, store, ("missing",))
            refresh(store)
            late.result()
        _finish(store, report, LoadStatus.COMPLETE, spent + time.monotonic())
    return report


def _batches(store: Store, found: Survey, state: dict[str, Any], options: Options, run: Run) -> Iterator[Batch]:
    """The batches from the checkpoint on, then the rows that no longer conflict."""
    adds, load_id = options.new_members == "add", state["_id"]
    cleaner = Cleaner(found.header, run.vocabulary, store.settings.timezone, run.latest_day, add_members=adds)
    offset, line = state["offset"], state["line"]
    for chunk in read_chunks(found, offset, line):
        yield Batch.of(offset, chunk, cleaner.clean(chunk), load_id, by_profile=options.by_profile)
        offset, line = chunk.end, chunk.end_line
    lines = np.array(sorted(released_lines(store, load_id)), np.int64)
    for chunk in read_chunks(found) if len(lines) else ():
        if np.isin(chunk.lines, lines).any():
            clean = _only(cleaner.clean(chunk), lines)
            nothing = Chunk([], [], None, offset, line)
            yield Batch.of(offset, nothing, clean, load_id, by_profile=options.by_profile, released=True)


def _only(clean: Clean, lines: Ints) -> Clean:
    """The clean rows that begin at these lines."""
    kept = np.flatnonzero(np.isin(clean.lines, lines))
    columns = {name: values[kept] for name, values in clean.columns.items()}
    return Clean(clean.lines[kept], [clean.raw[row] for row in kept.tolist()], columns, [])


def _close(session: Session, load_id: str) -> None:
    """Close the lanes of the load; what they recorded is folded in."""
    session.transaction(partial(close_lanes, load_id=load_id))


def _finish(store: Store, report: LoadReport, status: LoadStatus, seconds: float) -> None:
    """Record how the load ended, in its document and in the report."""
    update = {"$set": {"status": status, "seconds": seconds, "updated_at": datetime.now(UTC)}}
    done = store.outside.find_and_update(LOADS.name, {"_id": report.load_id}, update)
    vars(report).update(vars(LoadReport.from_load(done or {})))  # includes rows adopted in the meantime
