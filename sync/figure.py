"""Small figures as SVG text that follows the page: its colours in light and dark, its width on a phone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

WIDTH, HEIGHT = 480, 250
LEFT, RIGHT, TOP, BOTTOM = 58, 10, 14, 40
MAX_POINTS = 700
COLOURS = 6


@dataclass(frozen=True)
class Curve:
    """One thing drawn.

    Attributes:
        x: (N,) positions.
        y: (N,) values; for a band its lower edge.
        kind: ``line``, ``points`` or ``band``.
        name: for the legend; none where empty.
        colour: 0 to COLOURS - 1.
        top: (N,) upper edge of a band.
    """

    x: np.ndarray
    y: np.ndarray
    kind: str = "line"
    name: str = ""
    colour: int = 0
    top: np.ndarray | None = None


@dataclass(frozen=True)
class Figure:
    """Curves on one pair of axes, with a caption. Without a `y_label` the heights mean nothing and have no ticks."""

    title: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]
    caption: str = ""
    marks: Sequence[float] = ()


def svg(figure: Figure) -> str:
    """The figure as HTML: title, SVG, legend, caption."""
    x0, x1 = _limits([c.x for c in figure.curves], 0.0)
    y0, y1 = _limits([v for c in figure.curves for v in (c.y, c.top) if v is not None], 0.06)

    def at(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        px = LEFT + (np.asarray(x) - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT)
        py = HEIGHT - BOTTOM - (np.asarray(y) - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM)
        return np.column_stack([px, py])

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(figure.title)}">']
    for value in ticks(x0, x1, 6):
        px = at(np.array([value]), np.array([y0]))[0, 0]
        parts.append(f'<line class="grid" x1="{px:.1f}" x2="{px:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{px:.1f}" y="{HEIGHT - BOTTOM + 15}" class="mid">{_number(value)}</text>')
    for value in ticks(y0, y1, 5) if figure.y_label else ():
        py = at(np.array([x0]), np.array([value]))[0, 1]
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{py:.1f}" y2="{py:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{py + 4:.1f}" class="end">{_number(value)}</text>')
    for mark in figure.marks:
        px = at(np.array([mark]), np.array([y0]))[0, 0]
        parts.append(f'<line class="mark" x1="{px:.1f}" x2="{px:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
    parts += [_drawn(c, at) for c in sorted(figure.curves, key=lambda c: c.kind != "band")]
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" class="mid">{escape(figure.x_label)}</text>')
    parts.append(
        f'<text transform="translate(12 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" class="mid">'
        f"{escape(figure.y_label)}</text></svg>"
    )
    names = dict.fromkeys((c.name, c.colour) for c in figure.curves if c.name)
    legend = "".join(f'<span><i class="k{k}"></i>{escape(name)}</span>' for name, k in names)
    caption = f"<p>{escape(figure.caption)}</p>" if figure.caption else ""
    return (
        f"<figure><h3>{escape(figure.title)}</h3>{''.join(parts)}"
        f'<figcaption><div class="legend">{legend}</div>{caption}</figcaption></figure>'
    )


def _drawn(curve: Curve, at: object) -> str:
    assert callable(at)
    if curve.kind == "points":
        dots = at(curve.x, curve.y)
        return "".join(f'<circle class="p{curve.colour}" cx="{x:.1f}" cy="{y:.1f}" r="2.4"/>' for x, y in dots)
    if curve.top is not None:
        around = np.concatenate([at(curve.x, curve.y), at(curve.x, curve.top)[::-1]])
        return f'<polygon class="b{curve.colour}" points="{_path(around)}"/>'
    x, y = thinned(np.asarray(curve.x), np.asarray(curve.y))
    return f'<polyline class="l{curve.colour}" points="{_path(at(x, y))}"/>'


def _path(points: np.ndarray) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most `MAX_POINTS` points that keep every group's lowest and highest value: peaks survive."""
    if len(x) <= MAX_POINTS:
        return x, y
    groups = np.array_split(np.arange(len(x)), MAX_POINTS // 2)
    keep = np.sort(np.concatenate([[g[np.argmin(y[g])], g[np.argmax(y[g])]] for g in groups]))
    return x[keep], y[keep]


def _limits(values: Sequence[np.ndarray], margin: float) -> tuple[float, float]:
    flat = np.concatenate([np.ravel(np.asarray(v, float)) for v in values]) if values else np.zeros(1)
    flat = flat[np.isfinite(flat)]
    low, high = (float(flat.min()), float(flat.max())) if len(flat) else (0.0, 1.0)
    if high - low < 1e-12:
        low, high = low - 0.5, high + 0.5
    return low - margin * (high - low), high + margin * (high - low)


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers between `low` and `high`, about `count` of them."""
    raw = (high - low) / count
    step = 10 ** math.floor(math.log10(raw))
    step *= next(m for m in (1, 2, 5, 10) if m * step >= raw)
    first = math.ceil(low / step)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _number(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")
