"""The measurement as tables: on a terminal, as JSON, and as `docs/benchmarks.md` with its plots."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from textwrap import fill
from typing import Any

from bench.http import ROUNDS, SEED, Measured, clients_named
from bench.peers.figures import OURS, RAW, Latency, Ratio, Throughput, ratios
from bench.peers.machine import machine, versions
from bench.peers.plot import bars

Cells = Mapping[str, Mapping[str, str]]
"""The text of a table's cells, by row and column."""

METHOD = """{rows:,} rows of the sample. Each server has {workers} workers of Granian, and only one is under load at a
time. What is measured goes round among them {rounds} times. Times are of the whole way, from a client's request to the
last byte of the reply, over connections that stay open, from clients in processes of their own on the same machine.
Questions are random with a fixed seed, and none is asked of the same server twice. A client that was refused asks again
after 10 ms. Ratios count; times depend on the machine."""
PEERS_ARE = """The peers answer the same parameters with the same rows, measures and totals in JSON, money as numbers.
They have neither sentences, nor an account of how an answer was obtained, nor logs, nor limits, and their data do not
change."""
BESIDE = f"""First p50 in ms with one client, where a ratio below 1 is better; then answers a second of a mix of the
first seven classes, where one above 1 is better. `{RAW}` is no peer."""

PLOTS = {"p50": "p50.svg", "rates": "rates.svg"}


def as_document(found: Measured) -> dict[str, Any]:
    """All figures, for `--json`."""
    return {
        "rows": found.rows, "seconds": found.seconds, "workers": found.workers, "rounds": ROUNDS, "seed": SEED,
        "date": date.today().isoformat(), "machine": machine(), "versions": versions(),  # noqa: DTZ011
        "peers": {each.name: each.means for each in found.peers}, "skipped": found.skipped,
        "compared": found.compared, "notes": found.notes,
        "latency": {
            what: {
                name: {"p50_ms": each.p50, "p95_ms": each.p95, "answers": len(each.ms), "refused": each.refused}
                for name, each in by.items()
            }
            for what, by in found.latency.items()
        },
        "throughput": {
            str(number): {name: {"rate": each.rate, "refused": each.refused} for name, each in by.items()}
            for number, by in found.throughput.items()
        },
        "ratios": [vars(each) for each in all_ratios(found)],
    }  # fmt: skip


def all_ratios(found: Measured) -> list[Ratio]:
    """This service by the best peer: classes of questions, then answers a second."""
    return ratios(found.p50, is_time=True) + ratios(found.rates, is_time=False)


def as_text(found: Measured) -> str:
    """For a terminal of 80 columns."""
    names = [each.name for each in found.peers]
    parts = [f"{found.rows:,} rows, {found.workers} workers, {ROUNDS} rounds in turn; {machine()}", ""]
    for title, cells in _tables(found):
        parts += [title, _plain(names, cells), ""]
    parts.append("this service / the best peer")
    parts += [
        f"{each.what:<18}{each.ours:9,.1f} /{each.best:9,.1f} {each.peer:<9}{each.ratio:6.2f}"
        + ("  behind" if each.is_lost else "")
        for each in all_ratios(found)
    ]
    parts += ["", f"compared, and the same: {_counted(found.compared)}"]
    parts += _notes(found)
    return "\n".join(parts)


def write(found: Measured, command: str, folder: Path) -> list[Path]:
    """Write the document and its plots into a folder; what was written."""
    plots = folder / "benchmarks"
    plots.mkdir(parents=True, exist_ok=True)
    names = [each.name for each in found.peers]
    texts = {
        folder / "benchmarks.md": as_markdown(found, command),
        plots / PLOTS["p50"]: bars("p50 with one client", "ms, less is better", names, found.p50),
        plots / PLOTS["rates"]: bars("Answers a second", "more is better", names, found.rates),
    }
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    return list(texts)


def as_markdown(found: Measured, command: str) -> str:
    """The document."""
    names = [each.name for each in found.peers]
    told = [
        "# Benchmarks",
        f"Written by `{command}` on {date.today().isoformat()}; do not edit it.",  # noqa: DTZ011
        _paragraph(METHOD.format(rows=found.rows, workers=found.workers, rounds=ROUNDS)),
        _paragraph(f"Answers that were compared first, every row and the totals in cents: {_counted(found.compared)}."),
        _markdown(["", "is"], [[f"`{each.name}`", each.means] for each in found.peers]),
        _paragraph(PEERS_ARE),
        "## Beside the best peer",
        _markdown(["", "this service", "best peer", "", "ratio", ""], list(map(_beside, all_ratios(found)))),
        _paragraph(BESIDE),
        _where_behind(found),
        f"![p50 with one client](benchmarks/{PLOTS['p50']})",
        f"![Answers a second](benchmarks/{PLOTS['rates']})",
    ]
    for title, cells in _tables(found):
        told += [
            f"## {title[0].upper() if title[1].isalpha() else title[0]}{title[1:]}",
            _markdown(["", *names], _lines(names, cells)),
        ]
    told += [f"{note[0].upper()}{note[1:]}." for note in _notes(found)]
    told += [
        "## Made on",
        _paragraph(f"{machine()}."),
        _paragraph(", ".join(f"{name} {version}" for name, version in versions().items()) + "."),
        "To measure again, from a fresh clone:",
        f"```\nmake setup\n.venv/bin/pip install -e '.[bench]'\n.venv/bin/{command}\n```",
    ]
    return "\n\n".join(told) + "\n"


def _beside(each: Ratio) -> list[str]:
    behind = "**behind**" if each.is_lost else ""
    return [each.what, _figure(each.ours), _figure(each.best), each.peer, f"{each.ratio:.2f}", behind]


def _paragraph(text: str) -> str:
    return fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _notes(found: Measured) -> list[str]:
    """What a reader should know besides the figures."""
    refused = [
        f"{name} refused {each.refused:,} of {each.refused + len(each.ms):,} with one client: {what}"
        for what, by in found.latency.items()
        for name, each in by.items()
        if each.refused
    ]
    return [*(f"{name} was skipped: {why}" for name, why in found.skipped.items()), *found.notes, *refused]


def _where_behind(found: Measured) -> str:
    behind = [f"{each.what} ({each.peer}, {each.ratio:.2f})" for each in all_ratios(found) if each.is_lost]
    return _paragraph(f"This service is behind with: {'; '.join(behind) or 'nothing'}.")


def _tables(found: Measured) -> Iterable[tuple[str, Cells]]:
    p50: Callable[[Latency], float | None] = lambda each: each.p50  # noqa: E731
    p95: Callable[[Latency], float | None] = lambda each: each.p95  # noqa: E731
    for title, percentile in (("p50, ms, one client", p50), ("p95, ms, one client", p95)):
        rows = found.latency.items()
        yield title, {what: {name: _figure(percentile(each)) for name, each in by.items()} for what, by in rows}
    loads = found.throughput.items()
    yield (
        "answers a second",
        {clients_named(number): {name: _figure(each.rate) for name, each in by.items()} for number, by in loads},
    )
    yield (
        "refusals (another status than 200)",
        {clients_named(number): {name: _refused(each) for name, each in by.items()} for number, by in loads},
    )


def _refused(each: Throughput) -> str:
    return f"{each.refused:,}"


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


def _counted(compared: Mapping[str, int]) -> str:
    return ", ".join(f"{count} of {name}" for name, count in compared.items() if name != OURS) or "none"


def _lines(names: Sequence[str], cells: Cells) -> list[list[str]]:
    return [[what, *(by.get(name, "") for name in names)] for what, by in cells.items()]


def _plain(names: Sequence[str], cells: Cells) -> str:
    first = max(map(len, cells), default=0)
    wide = max(6, min(8, (80 - first) // max(1, len(names))))
    rows = [["", *names], *_lines(names, cells)]
    return "\n".join(row[0].ljust(first) + "".join(each.rjust(wide) for each in row[1:]) for row in rows)


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
