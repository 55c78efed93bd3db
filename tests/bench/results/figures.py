"""A table as a picture: a dot for each line with its interval, and a dashed line at chance."""

from __future__ import annotations

import html
from collections.abc import Sequence

ROW, NAMES, WIDTH, MARGIN = 22, 350, 330, 26
BLUE, GREY = "#23589c", "#777"


def dots(caption: str, lines: Sequence[tuple[str, float, float, float]], chance: float | None, digits: int = 1) -> str:
    """SVG of lines (name, value, low, high), values in percent or any other unit."""
    known = [v for _, *values in lines for v in values] + ([chance] if chance is not None else [])
    low, high = min([*known, 0.0]), max([*known, 1e-9])
    high += 0.05 * (high - low)

    def x(value: float) -> float:
        return NAMES + WIDTH * (value - low) / (high - low)

    height = MARGIN + ROW * len(lines) + 14
    parts = [f'<text x="{NAMES}" y="16" fill="{GREY}">{html.escape(caption)}</text>']
    if chance is not None:
        line = f'<path d="M{x(chance):.1f} {MARGIN - 4}V{height - 10}" stroke="{GREY}" stroke-dasharray="3 3"/>'
        place = f'x="{x(chance):.1f}" y="{height - 1}" text-anchor="middle"'
        parts.append(f'{line}<text {place} fill="{GREY}" font-size="10">chance</text>')
    for i, (name, value, first, last) in enumerate(lines):
        y = MARGIN + ROW * i + ROW / 2
        parts.append(
            f'<text x="{NAMES - 10}" y="{y + 4:.1f}" text-anchor="end" fill="#444">{html.escape(name)}</text>'
            f'<path d="M{x(first):.1f} {y:.1f}H{x(last):.1f}" stroke="{BLUE}" stroke-width="2"/>'
            f'<circle cx="{x(value):.1f}" cy="{y:.1f}" r="4" fill="{BLUE}"/>'
            f'<text x="{NAMES + WIDTH + 12}" y="{y + 4:.1f}" fill="#444">{value:.{digits}f}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {NAMES + WIDTH + 60} {height}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )
