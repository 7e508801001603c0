"""Grouped bars as SVG, in plain text."""

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, TOP = 860, 130, 70, 64
BAR, GAP = 11, 12
COLOURS = ("#0b6e4f", "#9aa5a0", "#f2a541", "#d1495b", "#30638e", "#8d6a9f", "#6b705c", "#b5838d")


def bars(title: str, unit: str, names: Sequence[str], figures: Mapping[str, Mapping[str, float | None]]) -> str:
    """One group of bars for each entry of `figures`, one bar for each name; the scale is logarithmic.

    A figure that is None has no bar.
    """
    values = [value for group in figures.values() for value in group.values() if value]
    low = math.pow(10, math.floor(math.log10(min(values, default=1.0))))
    high = math.pow(10, math.ceil(math.log10(max([*values, low * 10]))))
    span = math.log10(high / low)
    scale = WIDTH - LEFT - RIGHT

    def place(value: float) -> float:
        return LEFT + scale * max(0.0, math.log10(value / low)) / span

    height = TOP + len(figures) * (len(names) * BAR + GAP) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="11" role="img" aria-label="{_attribute(title)}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(10, 18, f"{title} ({unit}, logarithmic)", 'font-size="14" font-weight="bold"'),
    ]
    for number, name in enumerate(names):
        left = 10 + number * 100
        parts.append(f'<rect x="{left}" y="30" width="10" height="10" fill="{COLOURS[number % len(COLOURS)]}"/>')
        parts.append(_text(left + 14, 39, name))
    power = low
    while power <= high:
        at = place(power)
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP - 8}" y2="{height - 26}" stroke="#dddddd"/>')
        parts.append(_text(at, height - 12, f"{power:,g}", 'text-anchor="middle" fill="#555555"'))
        power *= 10
    top: float = TOP
    for what, group in figures.items():
        parts.append(_text(LEFT - 8, top + len(names) * BAR / 2 + 4, what, 'text-anchor="end"'))
        for number, name in enumerate(names):
            value = group.get(name)
            if value:
                colour, width = COLOURS[number % len(COLOURS)], max(1.0, place(value) - LEFT)
                parts.append(f'<rect x="{LEFT}" y="{top}" width="{width:.1f}" height="{BAR - 2}" fill="{colour}"/>')
                shown = f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
                parts.append(_text(LEFT + width + 3, top + BAR - 2, shown, 'font-size="9" fill="#333333"'))
            top += BAR
        top += GAP
    return "\n".join([*parts, "</svg>"]) + "\n"


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"{" " + more if more else ""}>{escape(text)}</text>'


def _attribute(text: str) -> str:
    return escape(text, {'"': "&quot;"})
