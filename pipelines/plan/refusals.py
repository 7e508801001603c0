"""Why something was not read, and what should have been and is not there as a whole. Pure."""

from collections.abc import Iterator, Sequence

from catalog.calendar import Period, Piece, year_of
from pipelines.ask.question import Question, Source
from pipelines.plan.reads import PagesRead, Read, span
from pipelines.plan.rollups import BY_DIMENSIONS, DECLARED_ROLLUPS
from pipelines.plan.shape import Shape, needed_dimensions
from pipelines.state.version import Directory

CHANGED = "changed since they were built; refresh mends it"
UNRECORDED = "their documents in periods are missing; `python -m pipelines refresh` mends it"
INCOMPLETE = "something of them is missing; `python -m pipelines verify --repair` mends it"


def ignored(rows: int) -> tuple[tuple[str, str], ...]:
    """Why nothing else was read where columns have everything."""
    return (
        ("rollup", "would need a round trip to MongoDB"),
        ("pages", f"would read {rows:,} rows"),
        ("raw", f"would scan {rows:,} transactions"),
    )


def refusals(
    question: Question, directory: Directory, pieces: Sequence[Piece], chosen: Sequence[Read], shape: Shape | None
) -> tuple[tuple[str, str], ...]:
    """What was not read, and why."""
    reasons: dict[str, str] = {}
    needed = needed_dimensions(question)
    filtered = tuple(each.dimension for each in question.filters)
    taken = {read.source for read in chosen}
    if shape is None:
        dimensions = {*needed, *filtered}
        for rollup in DECLARED_ROLLUPS:
            if rollup.dimensions and rollup.dimensions <= dimensions:
                reasons[rollup.name] = rollup.why_not(needed, filtered) or ""
        reasons["rollup"] = f"the rows and filters have {len(dimensions)} dimensions, the rollups two"
    else:
        single = BY_DIMENSIONS.get(frozenset(needed))
        if single and (why := single.why_not(needed, filtered)):
            reasons[single.name] = why
        if "pages" in taken:
            cut = any(
                isinstance(read, PagesRead) and not shape.periods(p) for p, read in zip(pieces, chosen, strict=True)
            )
            reasons[shape.rollup.name] = "cannot cut a month" if cut else "the pages are cheaper"
    if question.source is Source.COLUMNS:
        absent = [piece.period for piece in pieces if piece.period not in directory.stale_months]
        if absent:
            reasons[f"columns of {span(absent)}"] = "not in the memory of this process"
    reasons |= {f"rollups and pages of {span(months)}": why for months, why in _unusable(directory, pieces)}
    if years := _incomplete_years(directory, pieces):
        reasons[f"rollups of {span(years)}"] = INCOMPLETE
    rows = sum(directory.rows[piece.period] for piece in pieces)
    if "pages" not in taken:
        reasons["pages"] = f"would read {rows:,} rows"
    if "raw" not in taken:
        reasons["raw"] = f"would scan {rows:,} transactions"
    return tuple(reasons.items())


def warnings(directory: Directory, pieces: Sequence[Piece]) -> Iterator[str]:
    """What the answer does without, where it has to, in sentences."""
    for months, why in _unusable(directory, pieces):
        if why != CHANGED:
            yield f"Rollups and pages of {span(months)}: {why}. Their transactions were read instead."
    if years := _incomplete_years(directory, pieces):
        yield f"Rollups of {span(years)}: {INCOMPLETE}. Their months were read instead."


def _unusable(directory: Directory, pieces: Sequence[Piece]) -> Iterator[tuple[list[Period], str]]:
    """The stale months among the pieces, by what makes them so."""
    if not directory.stale_months:
        return
    stale = {piece.period for piece in pieces}.intersection(directory.stale_months)
    changed = stale - directory.incomplete - directory.unrecorded
    incomplete, unrecorded = stale & directory.incomplete, stale & directory.unrecorded
    for months, why in ((changed, CHANGED), (unrecorded, UNRECORDED), (incomplete, INCOMPLETE)):
        if months:
            yield sorted(months), why


def _incomplete_years(directory: Directory, pieces: Sequence[Piece]) -> list[Period]:
    """The years that might have been taken as a whole and are incomplete."""
    if not directory.incomplete:
        return []
    return sorted(directory.incomplete & {year_of(piece.first) for piece in pieces})
