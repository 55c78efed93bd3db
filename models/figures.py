"""Figures of a dataset as HTML with SVG in it, for the report."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping

import numpy as np

from models.report import png

CELLS = 24
MAP_SIDE, BAR_WIDTH, ROW = 240, 220, 22


def heat_map(gaze: np.ndarray) -> str:
    """How often each part of the frame was looked at.

    Args:
        gaze: (N, 2) float, (x, y) in [0, 1]; what lies outside is counted at the edge.
    """
    column, row = np.clip((gaze * CELLS).astype(int), 0, CELLS - 1).T
    counts = np.zeros((CELLS, CELLS))
    np.add.at(counts, (row, column), 1)
    shade = (255 * np.sqrt(counts / counts.max()))[..., None] * (1.0, 0.75, 0.3)  # roots, so that rare places show
    picture = base64.b64encode(png(shade.round().astype(np.uint8))).decode()
    return (
        f'<figure><svg viewBox="0 0 {MAP_SIDE} {MAP_SIDE}" width="{MAP_SIDE}">'
        f'<image href="data:image/png;base64,{picture}" width="{MAP_SIDE}" height="{MAP_SIDE}"/></svg>'
        f"<figcaption>where people looked, {len(gaze)} frames</figcaption></figure>"
    )


def bars(caption: str, values: Mapping[str, float]) -> str:
    """A horizontal bar for each name; values >= 0."""
    top = max(values.values(), default=0.0) or 1.0
    rows = []
    for i, (name, value) in enumerate(values.items()):
        y = ROW * i
        rows.append(
            f'<text x="0" y="{y + 15}">{html.escape(name)}</text>'
            f'<rect x="60" y="{y + 3}" width="{BAR_WIDTH * value / top:.1f}" height="{ROW - 6}" fill="#23589c"/>'
            f'<text x="{66 + BAR_WIDTH * value / top:.1f}" y="{y + 15}">{value:.3g}</text>'
        )
    height, width = ROW * len(values), BAR_WIDTH + 120
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" width="{width}" font-size="12" fill="#666">{"".join(rows)}</svg>'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )
