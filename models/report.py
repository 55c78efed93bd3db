"""``report.html``: one page that needs nothing beside it. Curves and marks are SVG, frames are PNG inside it."""

from __future__ import annotations

import base64
import html
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.journal import read_log
from recorder import durable

WIDTH, HEIGHT, SIDE = 640, 200, 240
EXAMPLES = 6

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse }
td, th { padding: .2rem .8rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left }
figure { display: inline-block; vertical-align: top; margin: 0 .8rem .8rem 0 }
figcaption, .note { color: #666; font-size: .85rem } svg { display: block }
.better { color: #17692b } .worse { color: #a11 }
"""


@dataclass(frozen=True)
class Legend:
    """What the page says of a model's measures and pictures.

    Attributes:
        measures: below the table: what the trivial predictor is, and what needs a word.
        pictures: above the examples.
    """

    measures: str
    pictures: str = ""


@dataclass(frozen=True)
class Example:
    """A frame to show.

    Attributes:
        frame: (S, S, 3) uint8, RGB.
        caption: what is below it: where it is from, what it shows.
        gaze, predicted: (x, y) as fractions of the frame, None where there is none.
    """

    frame: np.ndarray
    caption: str
    gaze: tuple[float, float] | None = None
    predicted: tuple[float, float] | None = None


def evenly(clips: int, count: int = EXAMPLES) -> list[int]:
    """Indices of a few clips spread over a split."""
    return np.unique(np.linspace(0, clips - 1, count).astype(int)).tolist()


def write_report(
    folder: Path, document: dict[str, Any], legend: Legend, examples: list[Example], figures: Sequence[str] = ()
) -> None:
    """Write ``report.html`` from what `evaluate` found and from the run's ``metrics.jsonl``.

    Args:
        figures: of the split's labels, each a ``<figure>``.
    """
    title = f"{document['model']} ({document['preset']}), step {document['step']}"
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style></head><body>
<h1>{html.escape(title)}</h1>
<p>Split <b>{html.escape(document["split"])}</b> of {html.escape(document["data"])}: {document["n"]} clips from
{document["sessions"]} session{"s" if document["sessions"] != 1 else ""}.</p>
<h2>Loss</h2>
{loss_curve([(line["step"], line["loss"]) for line in read_log(folder / "metrics.jsonl")])}
<h2>Measures</h2>
{_table(document)}
<p class="note">Brackets: {html.escape(document["interval"])}. {html.escape(legend.measures)}</p>
{f'<h2>Frames</h2><p class="note">{html.escape(legend.pictures)}</p>' if examples else ""}
{"".join(map(_figure, examples))}
{"<h2>The split</h2>" if figures else ""}
{"".join(figures)}
</body></html>
"""
    durable.write_bytes(folder / "report.html", page.encode())


def loss_curve(points: list[tuple[int, float]]) -> str:
    """The loss over the steps as SVG: every step pale, a running mean dark."""
    if len(points) < 2:
        return '<p class="note">No loss was logged.</p>'
    step, loss = (np.array(column, np.float64) for column in zip(*points, strict=True))
    few = max(1, len(loss) // 20)
    smooth = np.convolve(np.pad(loss, (few - 1, 0), mode="edge"), np.full(few, 1 / few), mode="valid")
    low, high = float(loss.min()), float(np.quantile(loss, 0.99))
    x = 50 + (WIDTH - 60) * (step - step[0]) / (step[-1] - step[0])

    def line(values: np.ndarray, colour: str) -> str:
        y = HEIGHT - 25 - (HEIGHT - 35) * (np.minimum(values, high) - low) / max(high - low, 1e-12)
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'

    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" font-size="12" fill="#666">'
        f"{line(loss, '#c5d3e8')}{line(smooth, '#23589c')}"
        f'<text x="0" y="15">{high:.3g}</text><text x="0" y="{HEIGHT - 25}">{low:.3g}</text>'
        f'<text x="50" y="{HEIGHT - 5}">step {step[0]:.0f}</text>'
        f'<text x="{WIDTH - 10}" y="{HEIGHT - 5}" text-anchor="end">{step[-1]:.0f}</text></svg>'
    )


def png(frame: np.ndarray) -> bytes:
    """An (H, W, 3) uint8 RGB picture as PNG (RFC 2083: 8 bits, colour type 2, filter 0 on each row)."""
    height, width, _ = frame.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)
    rows[:, 1:] = frame.reshape(height, 3 * width)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows.tobytes())) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _table(document: dict[str, Any]) -> str:
    rows = [
        f"<tr><td>{html.escape(name)}</td><td>{_number(value, document['ci95'][name])}</td>"
        f"<td>{_number(document['baseline'][name], document['baseline_ci95'][name])}</td>"
        f"<td>{_number(document['chance'][name], None) if name in document['chance'] else ''}</td>"
        f'<td class="{verdict.split()[0]}">{verdict if value is not None else ""}</td></tr>'
        for (name, value), verdict in zip(document["metrics"].items(), document["verdict"].values(), strict=True)
    ]
    head = "<tr><th>measure</th><th>model</th><th>trivial</th><th>chance</th><th></th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _number(value: float | None, pair: list[float] | None) -> str:
    if value is None:
        return "no labels"
    return f"{value:.3f}" + (f" [{pair[0]:.3f}, {pair[1]:.3f}]" if pair else "")


def _figure(example: Example) -> str:
    picture = base64.b64encode(png(example.frame)).decode()
    marks = "".join(
        f'<circle cx="{SIDE * point[0]:.1f}" cy="{SIDE * point[1]:.1f}" r="6" fill="none" stroke="{colour}" '
        'stroke-width="2.5"/>'
        for point, colour in ((example.gaze, "#2ecc40"), (example.predicted, "#ff4136"))
        if point
    )
    return (
        f'<figure><svg viewBox="0 0 {SIDE} {SIDE}" width="{SIDE}">'
        f'<image href="data:image/png;base64,{picture}" width="{SIDE}" height="{SIDE}"/>{marks}</svg>'
        f'<figcaption style="max-width: {SIDE}px">{html.escape(example.caption)}</figcaption></figure>'
    )
