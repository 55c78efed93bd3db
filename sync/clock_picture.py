"""The graph of clocks as a drawing: who was compared with whom, by what, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from sync.alignment import Alignment
from sync.contradiction import PRIOR

WIDTH, HEIGHT = 760, 400
ACROSS, DOWN = 280, 145
"""Half axes of the ellipse on which the clocks stand around the reference."""
BOW, AROUND = 30.0, 130.0
"""How far apart two kinds of evidence between the same clocks are drawn, and how far around the reference."""
NODE_WIDTH, NODE_HEIGHT = 132, 46
COLOUR = {"tones": 1, "audio": 0, "network": 2, "turning": 3, "pattern": 5, PRIOR: 4}
"""Of a method, wherever it is drawn."""


def colour(method: str) -> int:
    """The colour of a method's evidence, for `sync.figure`."""
    return COLOUR.get(method, 5)


@dataclass(frozen=True)
class _Edge:
    method: str
    ends: tuple[str, str]
    state: str
    said: str


def clock_graph(alignment: Alignment) -> str:
    """The drawing as HTML: clocks with their sigma, and an edge for each kind of evidence between two of them."""
    place = _places(alignment)
    edges = [e for e in _edges(alignment) if set(e.ends) <= set(place)]
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="the graph of clocks" class="graph">']
    for pair in sorted({e.ends for e in edges}):
        between = [e for e in edges if e.ends == pair]
        parts += [_curve(e, place, k - (len(between) - 1) / 2) for k, e in enumerate(between)]
    sigma = {m.source: max(p.sigma_ns for p in m.pieces) * 1e-6 for m in alignment.maps}
    parts += [_node(name, at, sigma.get(name), alignment.reference) for name, at in place.items()]
    shown = sorted({e.method for e in edges})
    legend = "".join(f'<span><i class="k{colour(m)}"></i>{escape(m)}</span>' for m in shown)
    dashed = '<span class="dashes">dashed: left out, the rest contradicts it</span>'
    dotted = '<span class="dots">dotted: compared, and nothing was said</span>'
    states = {e.state for e in edges}
    legend += (dashed if "excluded" in states else "") + (dotted if "silent" in states else "")
    return f'<figure>{"".join(parts)}</svg><figcaption><div class="legend">{legend}</div></figcaption></figure>'


def _places(alignment: Alignment) -> dict[str, tuple[float, float]]:
    """Where each clock is drawn: the reference in the middle, the others around it."""
    around = sorted({m.source for m in alignment.maps} | {r.name for r in alignment.refused})
    place = {alignment.reference: (WIDTH / 2, HEIGHT / 2)}
    for k, name in enumerate(around):
        angle = math.pi + 2 * math.pi * k / len(around) + (math.pi / 2 if len(around) > 2 else 0)
        place[name] = (WIDTH / 2 + ACROSS * math.cos(angle), HEIGHT / 2 + DOWN * math.sin(angle))
    return place


def _edges(alignment: Alignment) -> list[_Edge]:
    """Every kind of evidence between two clocks; what said nothing only where nothing else is between them."""
    used = [_Edge(p.method, _ends(p.source, p.target), "used", p.verdict) for p in alignment.pairings]
    out = [_Edge(p.method, _ends(p.source, p.target), "excluded", p.reason) for p in alignment.excluded]
    known = {e.ends for e in [*used, *out]}
    silent = [_Edge(s.method, _ends(s.source, s.target), "silent", s.reason) for s in alignment.silent]
    return [*used, *out, *(e for e in silent if e.ends not in known)]


def _ends(source: str, target: str) -> tuple[str, str]:
    return (source, target) if source < target else (target, source)


def _curve(edge: _Edge, place: Mapping[str, tuple[float, float]], number: float) -> str:
    """An edge, `number` places beside the straight line."""
    (x0, y0), (x1, y1) = (place[c] for c in edge.ends)
    length = math.hypot(x1 - x0, y1 - y0)
    beside = abs((x1 - x0) * (HEIGHT / 2 - y0) - (y1 - y0) * (WIDTH / 2 - x0)) / length
    centre = min(math.hypot(x - WIDTH / 2, y - HEIGHT / 2) for x, y in ((x0, y0), (x1, y1)))
    through = beside < NODE_HEIGHT < centre  # the line would cross the reference, which stands in the middle
    aside = 2 * (BOW * number + (AROUND if through else 0.0)) / length
    mx, my = (x0 + x1) / 2 - (y1 - y0) * aside, (y0 + y1) / 2 + (x1 - x0) * aside
    title = f"{edge.method} of {' and '.join(edge.ends)}: {edge.said}"
    return (
        f'<path class="edge l{colour(edge.method)} {edge.state}" d="M{x0:.0f},{y0:.0f} Q{mx:.0f},{my:.0f} {x1:.0f},'
        f'{y1:.0f}"><title>{escape(title)}</title></path>'
    )


def _node(name: str, at: Sequence[float], sigma_ms: float | None, reference: str) -> str:
    x, y = at
    if name == reference:
        kind, said = "reference", "the reference"
    elif sigma_ms is None:
        kind, said = "refused", "refused"
    else:
        kind, said = "aligned", f"± {sigma_ms:.2f} ms" if sigma_ms < 100 else f"± {sigma_ms / 1000:.1f} s"
    box = f'x="{x - NODE_WIDTH / 2:.0f}" y="{y - NODE_HEIGHT / 2:.0f}" width="{NODE_WIDTH}" height="{NODE_HEIGHT}"'
    return (
        f'<g class="node {kind}"><rect {box} rx="8"/><text class="mid name" x="{x:.0f}" y="{y - 3:.0f}">'
        f'{escape(name)}</text><text class="mid" x="{x:.0f}" y="{y + 14:.0f}">{said}</text></g>'
    )
