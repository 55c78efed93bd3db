"""Gaze carried between two plain files: the edge of `syncctl gaze`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from firmware_host.clockmap import ClockMap
from firmware_host.errors import EvidenceError, SessionError
from recorder.terminal import note, progress
from sync.gaze.films import Film, carried, find_rig, plain_film
from sync.gaze.table import VERDICTS, Gaze, Row, read_gaze, write_rows


def carry_files(
    scene: Path, reference: Path, gaze: Path, out: Path, offset_s: float = 0.0, skew_ppm: float = 0.0
) -> dict[str, Any]:
    """Write the gaze of an eye tracker on the frames of another camera.

    An interruption keeps what is done beside `out`, as ``NAME.part.csv``.

    Args:
        scene: film of the eye tracker's scene camera.
        reference: film of the other camera on the same head.
        gaze: table ``t_s, x_px, y_px`` in the scene film's time and pixels.
        out: table to write, one row for every frame of `reference`.
        offset_s: ``t_reference = offset_s + t_scene * (1 + skew_ppm * 1e-6)``.
        skew_ppm: drift, see there.

    Returns:
        What `syncctl gaze --json` prints.

    Raises:
        EvidenceError: no frame of `reference` lies within the scene film.
        SessionError: a file cannot be read, or `out` cannot be written.
    """
    table = read_gaze(gaze)
    if not out.parent.is_dir():
        raise SessionError(f"{out.parent} does not exist; make it, or give another --out")
    warnings = []
    if table.disordered:
        warnings.append(f"{gaze} goes back in time {table.disordered} times; its rows were sorted")
    films = plain_film(scene), plain_film(reference)
    films = films[0], replace(films[1], t_ns=_on_scene_clock(films[1].pts_ns, offset_s, skew_ppm))
    if films[1].t_ns[-1] < films[0].t_ns[0] or films[1].t_ns[0] > films[0].t_ns[-1]:
        raise EvidenceError(f"{scene} and {reference} have no time in common; check --offset (see `syncctl offset`)")
    own = dict(zip(films[1].t_ns.tolist(), films[1].pts_ns.tolist(), strict=True))
    rows: list[Row] = []
    rig: dict[str, Any] | None = None
    try:
        with progress("gaze", total=1.1 * len(own)) as done:
            rig = _each(films, table, rows, warnings, done)
    except KeyboardInterrupt:
        if rows:
            kept = out.with_name(f"{out.stem}.part.csv")
            write_rows(kept, [replace(r, t_ns=own[r.t_ns]) for r in rows])
            note(f"the first {len(rows)} of {len(own)} frames are in {kept}")
        raise
    rows = [replace(r, t_ns=own[r.t_ns]) for r in rows]
    write_rows(out, rows)
    count = Counter(r.verdict for r in rows)
    verdicts = {v: count[v] for v in VERDICTS}
    return {"file": str(out), "rows": len(rows), "verdicts": verdicts, "rig": rig, "warnings": warnings}


def _each(
    films: tuple[Film, Film], table: Gaze, rows: list[Row], warnings: list[str], done: Callable[[float], None]
) -> dict[str, Any] | None:
    """Fill `rows`; returns what is known of the rigid pair, None where nothing is."""
    count = len(films[1].t_ns)
    try:
        rig = find_rig(*films, lambda share: done(0.1 * share * count))
    except EvidenceError as error:
        rig = None
        warnings.append(f"by one homography, which is off by parallax for near things: {error}")
    for row in carried(*films, table, rig, 1, done):
        rows.append(row)
    return {k: round(v, 4) for k, v in rig.evidence.items()} if rig else None


def _on_scene_clock(t_ns: np.ndarray, offset_s: float, skew_ppm: float) -> np.ndarray:
    """Times of the reference film as times of the scene film."""
    return ClockMap.affine("scene", "reference", target_ns=round(offset_s * 1e9), skew_ppm=skew_ppm).inverse(t_ns)
