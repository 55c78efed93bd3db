"""What each flaw of the simulated devices does to alignment and gaze, alone and at ten times its usual size.

    python -m tests.bench flaws [--quick] [--only=clock.]

Sessions of 30 s at 320x180, the same home every time; the largest error of any clock anywhere in its recording.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from contextlib import redirect_stderr
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from firmware_host.clockmap import ClockMap
from recorder.flaws import CameraFlaws, ClockFlaws, Flaws, ImuFlaws, MicrophoneFlaws
from recorder.home import record_home
from recorder.session import open_session
from recorder.workers import pool
from recorder.world.acoustics import Acoustics
from recorder.world.tracker import TrackerFlaws
from sync.gaze import read_rows
from sync.run import align_session

NONE = Flaws(
    ClockFlaws(0.0, 0.0, wall_error_ms=0.0),
    MicrophoneFlaws(0.0, 0.0, -200.0, 0.0, 0.0),
    CameraFlaws(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 8.0),
    ImuFlaws(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    TrackerFlaws(0.0, 0.0, 0.0),
    room=Acoustics(0.0, 0.0),
)
TIMES = 10.0
SAID_OTHERWISE = {
    "noise_dbfs": -71.0,
    "overflows_an_hour": 360.0,
    "restarts_an_hour": 120.0,
    "dropped": 0.01,
    "barrel": 0.09,
    "rolling_ms": 33.0,
    "exposure_ms": 33.0,
    "exposure_stops": 3.0,
    "crf": 40.0,
    "kit_bits": 0.06,
    "range_dps": 200.0,
    "range_g": 1.2,
    "reverberation_s": 1.5,
    "wall_db": 60.0,
    "wander_period_s": None,
    "overflow_ms": None,
    "restart_s": None,
}
"""Ten times in amplitude; a loss in ten seconds; one restart; a picture in a hundred; the most there can be;
what belongs to another knob."""
SEED, SECONDS = 3, 30.0


def alone() -> dict[str, Flaws]:
    """Each flaw by itself, ten times as large as usual."""
    usual, found = Flaws(), {}
    for group in fields(Flaws):
        for knob in fields(getattr(usual, group.name)):
            size = SAID_OTHERWISE.get(knob.name, TIMES * getattr(getattr(usual, group.name), knob.name))
            if size is not None:
                found[f"{group.name}.{knob.name} = {size:g}"] = replace(
                    NONE, **{group.name: replace(getattr(NONE, group.name), **_with(knob.name, size))}
                )
    return found


def _with(name: str, size: float) -> dict[str, float]:
    """A knob, and those without which it does nothing."""
    return {name: size, **({"overflow_ms": MicrophoneFlaws().overflow_ms} if name == "overflows_an_hour" else {})}


def measured(flaws: Flaws) -> str:
    """A row of the table."""
    with tempfile.TemporaryDirectory() as scratch, redirect_stderr(io.StringIO()):
        root = Path(scratch) / "session"
        record_home(root, duration_s=SECONDS, fast=True, seed=SEED, width=320, height=180, flaws=flaws, workers=1)
        found, errors = align_session(open_session(root))
        truth = json.loads((root / "truth.json").read_text())
        assert errors is not None
        sigma_ms = max(p.sigma_ns for m in found.maps for p in m.pieces) * 1e-6
        refused = ", ".join(r.name for r in found.refused) or "none"
        return f"{max(errors.values()):9.3f} {sigma_ms:9.3f}  {refused:8} {_gaze_px(root, truth):9.2f}"


def _gaze_px(root: Path, truth: dict) -> float:
    """Median distance of the carried gaze from the true one, while the eye rests; NaN where none was carried."""
    if not (root / "gaze_head.csv").exists():  # a camera without a clock carries none
        return float("nan")
    world = next(ClockMap.from_json(m) for m in truth["clock_maps"] if m["source"] == "head")
    at_ns = np.array(truth["pose"]["t_ns"])
    true = np.array([[np.nan if v is None else v for v in xy] for xy in truth["pose"]["gaze_px"]["head"]])
    error = []
    for row in read_rows(root / "gaze_head.csv"):
        k = int(np.searchsorted(at_ns, t_ns := world.forward(row.t_ns)))
        if row.x_px is None or not 0 < k < len(at_ns) or not np.linalg.norm(true[k] - true[k - 1]) <= 10:
            continue
        here = [np.interp(t_ns, at_ns[k - 1 : k + 1], true[k - 1 : k + 1, axis]) for axis in (0, 1)]
        error.append(np.hypot(row.x_px - here[0], row.y_px - here[1]))
    return float(np.median(error)) if error else float("nan")


def main() -> None:
    rows = {"none": NONE, "all, as usual": Flaws(), **alone()}
    named = next((a.removeprefix("--only=") for a in sys.argv if a.startswith("--only=")), "")
    chosen = list(rows)[:2] if "--quick" in sys.argv else [name for name in rows if named in name]
    print(f"{'flaw':34} error ms  sigma ms  refused  gaze px")
    with pool(None) as workers:
        for name, row in zip(chosen, workers.map(measured, (rows[name] for name in chosen)), strict=True):
            print(f"{name:34} {row}", flush=True)
