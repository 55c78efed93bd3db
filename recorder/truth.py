"""`truth.json` and `truth.npz`: what only a simulation knows. Written when a recording starts; for tests and reports.

What somebody may want to read is in the one, what is large in the other. Times are ns of world time in both.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from firmware_host.clock import SECOND_NS
from firmware_host.clockmap import ClockMap
from recorder import durable
from recorder.homeplan import HomePlan
from recorder.simulate import world_of
from recorder.world import VIEW_OF, World, smpl
from recorder.world.acoustics import SPEED_M_S
from recorder.world.scene import SPEAKER

POSE_HZ = 10
BOX_HZ = 5
GRAPH_HZ = 5
VIDEO_HZ = 5
WORN_CAMERAS = ("head", "eye")


def write(folder: Path, plan: HomePlan, clocks: dict[str, ClockMap]) -> None:
    """Write `truth.json`, and the labels as an annotator would have left them.

    Args:
        clocks: device -> map from its clock to world time, kit-01's included.
    """
    world = world_of(plan.world)
    durable.write_bytes(folder / "truth.json", _lines(document(plan, world, clocks)).encode())
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays(plan, world))
    durable.write_bytes(folder / "truth.npz", packed.getvalue())
    _write_labels(folder / "labels" / "truth.csv", world, clocks["kit-01"])


def write_video(folder: Path, plan: HomePlan) -> None:
    """Write `truth-video/CAMERA.npz`: what each pixel shows and how far away it is, at VIDEO_HZ.

    Arrays: `t_ns` (N,); `seen` (N, H, W) uint8, an index into `classes`; `depth_mm` (N, H, W) uint16 along the camera's
    axis; `moved_px` (N, C, 2) how far the middle of each class's body goes in the picture in a second, NaN behind it.
    And of every picture that the camera took: `frame_ns` (F,) when; `boxes` (B, 4) x1, y1, x2, y2, pixels; `box_frame`
    (B,) in which picture each is; `box_name` (B,) of what.
    """
    world = World(plan.world)
    t_ns = np.arange(0, world.duration_ns, SECOND_NS // VIDEO_HZ)
    (folder / "truth-video").mkdir(exist_ok=True)
    for camera in _cameras(plan):
        seen, depth = zip(*world.annotate(camera, t_ns), strict=True)
        packed = io.BytesIO()
        np.savez_compressed(
            packed,
            allow_pickle=False,
            t_ns=t_ns,
            classes=np.array(world.classes),
            seen=np.stack(seen),
            depth_mm=np.rint(1000 * np.clip(np.stack(depth), 0, 65)).astype(np.uint16),
            moved_px=world.moved_px(camera, t_ns),
            **_boxes(world, camera, plan.shown_ns(camera)),
        )
        durable.write_bytes(folder / "truth-video" / f"{camera}.npz", packed.getvalue())
    world.close()


def _boxes(world: World, camera: str, frame_ns: np.ndarray) -> dict[str, np.ndarray]:
    """The boxes of a camera's pictures, as `write_video` keeps them."""
    found = [(k, box) for k, boxes in enumerate(world.boxes(camera, frame_ns)) for box in boxes]
    return {
        "frame_ns": frame_ns,
        "boxes": np.array([(b.x1, b.y1, b.x2, b.y2) for _, b in found], np.float32).reshape(-1, 4),
        "box_frame": np.array([k for k, _ in found], np.int32),
        "box_name": np.array([b.name for _, b in found], np.str_),
    }


def arrays(plan: HomePlan, world: World) -> dict[str, np.ndarray]:
    """What `truth.npz` holds, at POSE_HZ: bodies, cameras, things, and how long sound takes from the speaker.

    `t_ns` (N,); for each person `NAME.smpl` (N, 85) and `NAME.joints` (N, 24, 3) metres; for each thing and camera
    `NAME.at` (N, 3) metres and `NAME.turn` (N, 4) w, x, y, z; for each microphone `NAME.delay_s` (N,).
    """
    t_ns = np.arange(0, world.duration_ns, SECOND_NS // POSE_HZ)
    found: dict[str, np.ndarray] = {"t_ns": t_ns, "joint_names": np.array(smpl.JOINTS)}
    for number, name in enumerate(plan.world.names):
        vector, joints = world.body24(t_ns, number)
        found |= {f"{name}.smpl": vector.astype(np.float32), f"{name}.joints": joints.astype(np.float32)}
    parts = tuple(world.home.things) + tuple(f"camera-{name}" for name in _cameras(plan))
    for name, (at, turn) in world.poses(t_ns).items():
        if name in parts:
            found |= {f"{name}.at": at.astype(np.float32), f"{name}.turn": turn.astype(np.float32)}
    for name in (*plan.room_kits, "kit-02", *WORN_CAMERAS):
        away = np.linalg.norm(world.microphone_at(name, t_ns / SECOND_NS) - SPEAKER, axis=1)
        found[f"{name}.delay_s"] = away / SPEED_M_S
    return found


def _lines(document: dict[str, Any]) -> str:
    """JSON with a line for each entry: an indented one of the same takes twenty times as long to write."""
    lines = (f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in document.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _cameras(plan: HomePlan) -> tuple[str, ...]:
    return (*(VIEW_OF[kit] for kit in plan.room_kits), *WORN_CAMERAS)


def relations(world: World) -> list[list[Any]]:
    """The scene graph as intervals, looked at GRAPH_HZ times a second: subject, relation, object, t0_ns, t1_ns."""
    step = SECOND_NS // GRAPH_HZ
    begun: dict[tuple[str, str, str], int] = {}
    rows: list[list[Any]] = []
    for k, triples in enumerate([*world.scene_graphs(np.arange(0, world.duration_ns, step)), []]):
        for ended in [triple for triple in begun if triple not in triples]:
            rows.append([*ended, begun.pop(ended), k * step])
        for triple in triples:
            begun.setdefault(triple, k * step)
    return sorted(rows, key=lambda row: (row[3], *row[:3]))


def _home(world: World) -> dict[str, Any]:
    """The floor plan: rooms, doorways, and where one stands at each piece of furniture; metres and radians."""
    home = world.home
    return {
        "rooms": {n: {"low": _round(r.low), "high": _round(r.high)} for n, r in home.house.rooms.items()},
        "doorways": [[d.near, d.far, *_round(d.at)] for d in home.house.doorways],
        "stations": {n: [s.room, *_round((s.x, s.y, s.yaw, s.height))] for n, s in home.stations.items()},
        "sights": {room: {n: _round(at) for n, at in sights.items()} for room, sights in home.sights.items()},
        "lamps": {room: _round(at) for room, at in home.lamps.items()},
        "daylight": home.daylight,
    }


def _round(values: Iterable[float]) -> list[float]:
    return [round(float(v), 3) for v in values]


def document(plan: HomePlan, world: World, clocks: dict[str, ClockMap]) -> dict[str, Any]:
    """The truth: clock maps, tones, labels, gaze and joint rotations at POSE_HZ, boxes at BOX_HZ; ns of world time."""
    pose_ns = np.arange(0, world.duration_ns, SECOND_NS // POSE_HZ)
    box_ns = np.arange(0, world.duration_ns, SECOND_NS // BOX_HZ)
    cameras = _cameras(plan)
    return {
        "version": 1,
        "plan": asdict(plan.world),
        "flaws": asdict(plan.flaws),
        "clock_maps": [m.to_json() for m in clocks.values()],
        "microphone_ppm": plan.sample_ppm,
        "tones_ns": world.tone_times_ns,
        "people": list(plan.world.names),
        "home": _home(world),
        "labels": [asdict(label) for label in world.labels()],
        "relations": relations(world),
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
