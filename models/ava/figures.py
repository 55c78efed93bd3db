"""``ava.html``: mAP, its means and its breakdowns, and every class, on one page that needs nothing beside it."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path

from models.ava.breakdown import Part
from models.ava.matching import Result
from models.ava.rows import KINDS
from models.report import STYLE
from recorder import durable

COLOURS = dict(zip(KINDS, ("#23589c", "#b5651d", "#2e7d4f"), strict=True))
PLAIN = "#5a6a7a"
LABEL, BAR, ROW, END = 250, 320, 18, 110
LONGEST = 34
"""Letters of a name that fit before a bar."""


def write_page(path: Path, result: Result, parts: Mapping[str, Sequence[Part]]) -> None:
    """Write the page of a result and its `breakdowns`."""
    kept = f"the {result.cap} best rows of each frame" if result.cap else "all rows"
    kinds = "".join(
        f'<tr><td style="color:{COLOURS[kind]}">{kind}</td><td>{_percent(value)}</td></tr>'
        for kind, value in result.kind_mean.items()
    )
    left_out = ", ".join(f"{count} {why}" for why, count in result.left_out.items() if count) or "none"
    kinds = f"<table><tr><th>mean over</th><th>AP</th></tr>{kinds}</table>" if kinds else ""
    figures = "".join(f"<h3>By {title}</h3>{breakdown_bars(some)}" for title, some in parts.items())
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Frame mAP</title><style>{STYLE}</style></head><body>
<h1>Frame mAP {_percent(result.mean)}</h1>
<p>At an overlap of {result.iou:g}, from {kept}. Rows that did not count: {left_out}.</p>
{kinds}
{figures}
<h3>Every class that occurs</h3>
{class_bars(result)}
</body></html>
"""
    durable.write_bytes(path, page.encode())


def class_bars(result: Result) -> str:
    """Average precision of each class that occurs, the best first, coloured by kind; how many boxes it has."""
    seen = sorted((i for i, n in result.count.items() if n), key=lambda i: -result.ap[i])
    return bars(
        [
            (
                result.labels.names[i],
                result.ap[i],
                f"{result.count[i]} boxes",
                COLOURS.get(result.labels.kinds[i], PLAIN),
            )
            for i in seen
        ]
    )


def breakdown_bars(parts: Sequence[Part]) -> str:
    """One breakdown, the parts of it that have boxes."""
    return bars([(part.name, part.mean, f"{part.boxes} boxes", PLAIN) for part in parts if part.boxes])


def bars(rows: Sequence[tuple[str, float, str, str]]) -> str:
    """Horizontal bars as SVG: name, value in [0, 1] or NaN, what stands after it, colour."""
    if not rows:
        return '<p class="note">Nothing to show.</p>'
    lines = []
    for k, (name, value, after, colour) in enumerate(rows):
        y, known = k * ROW, value == value
        width = BAR * value if known else 0.0
        short = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
        lines.append(
            f'<text x="{LABEL - 6}" y="{y + 13}" text-anchor="end">{html.escape(short)}</text>'
            f'<rect x="{LABEL}" y="{y + 3}" width="{width:.1f}" height="{ROW - 5}" fill="{colour}"/>'
            f'<text x="{LABEL + width + 5:.1f}" y="{y + 13}" fill="#666">{_percent(value)}, {html.escape(after)}</text>'
        )
    width, height = LABEL + BAR + END, len(rows) * ROW
    return f'<svg viewBox="0 0 {width} {height}" width="{width}" font-size="12">{"".join(lines)}</svg>'


def _percent(value: float) -> str:
    return f"{100 * value:.1f}" if value == value else "no boxes"
