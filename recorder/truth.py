"""`truth.json`: what only a simulation knows. Written when a recording starts; read by tests and reports alone."""

from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from firmware_host.clock import SECOND_NS
from firmware_host.clockmap import ClockMap
from recorder import durable
from recorder.simulate import HomePlan
from recorder.world import VIEW_OF, World

POSE_HZ = 10
BOX_HZ = 5
WORN_CAMERAS = ("head", "eye")


def write(folder: Path, plan: HomePlan, clocks: dict[str, ClockMap]) -> None:
    """Write `truth.json`, and the labels as an annotator would have left them.

    Args:
        clocks: device -> map from its clock to world time, kit-01's included.
    """
    world = World(plan.world)
    durable.write_json(folder / "truth.json", document(plan, world, clocks))
    _write_labels(folder / "labels" / "truth.csv", world, clocks["kit-01"])


def document(plan: HomePlan, world: World, clocks: dict[str, ClockMap]) -> dict[str, Any]:
    """The truth: clock maps, tones, labels, gaze and joint rotations at POSE_HZ, boxes at BOX_HZ; ns of world time."""
    pose_ns = np.arange(0, world.duration_ns, SECOND_NS // POSE_HZ)
    box_ns = np.arange(0, world.duration_ns, SECOND_NS // BOX_HZ)
    cameras = (*(VIEW_OF[kit] for kit in plan.room_kits), *WORN_CAMERAS)
    return {
        "version": 1,
        "plan": asdict(plan.world),
        "flaws": asdict(plan.flaws),
        "clock_maps": [m.to_json() for m in clocks.values()],
        "microphone_ppm": plan.sample_ppm,
        "tones_ns": world.tone_times_ns,
        "labels": [asdict(label) for label in world.labels()],
        "pose": {
            "t_ns": pose_ns.tolist(),
            "rotation_wxyz": {s: _rounded(world.orientation(s, pose_ns), 6) for s in world.segments},
            "gaze_px": {c: _rounded(world.gaze_truth(c, pose_ns), 2) for c in cameras},
        },
        "boxes": {
            "t_ns": box_ns.tolist(),
            **{c: [[_box(b) for b in frame] for frame in world.boxes(c, box_ns)] for c in cameras},
        },
    }


def _box(box: Any) -> list[Any]:
    return [box.name, box.kind, *(round(float(v), 1) for v in (box.x1, box.y1, box.x2, box.y2))]


def _rounded(values: np.ndarray, digits: int) -> list[Any]:
    """Nested lists; NaN, which JSON has not, becomes null."""
    return [[None if np.isnan(v) else round(float(v), digits) for v in row] for row in values]


def _write_labels(path: Path, world: World, room: ClockMap) -> None:
    path.parent.mkdir(exist_ok=True)
    with durable.replacing(path) as part, part.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["tier", "t0_ns", "t1_ns", "value", "actor"])
        for label in world.labels():
            table.writerow([label.tier, room.inverse(label.t0_ns), room.inverse(label.t1_ns), label.value, label.actor])
