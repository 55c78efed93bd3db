"""The pictures of docs/simulator.md: `make pictures` draws them anew into docs/pictures/."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from scipy.signal import spectrogram

from recorder.world import World, WorldPlan
from recorder.world.house import DOOR_WIDTH_M, layout_of
from recorder.world.optics import INSTANT, Shutter
from recorder.world.render import wxyz
from recorder.world.scene import looking

OUT = Path(__file__).parent / "pictures"
INK, PAPER, FAINT = (40, 40, 40), 255, (200, 200, 200)
COLOURS = np.array([(31, 119, 180), (214, 90, 20), (44, 140, 60), (190, 40, 50), (120, 80, 170), (110, 110, 110)])
SMALL = (320, 180)


# --- putting pictures together ---


def titled(picture: np.ndarray, text: str) -> np.ndarray:
    """A picture (H, W, 3) under a line of text."""
    band = np.full((24, picture.shape[1], 3), PAPER, np.uint8)
    for size in np.arange(0.46, 0.2, -0.02):
        if cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)[0][0] <= picture.shape[1] - 8:
            break
    cv2.putText(band, text, (4, 17), cv2.FONT_HERSHEY_SIMPLEX, float(size), INK, 1, cv2.LINE_AA)
    return np.vstack([band, picture])


def grid(rows: Sequence[Sequence[np.ndarray]], gap: int = 8) -> np.ndarray:
    """Pictures of equal size in rows, with paper between and around."""
    framed = [
        [cv2.copyMakeBorder(p, gap, 0, gap, 0, cv2.BORDER_CONSTANT, value=(PAPER,) * 3) for p in row] for row in rows
    ]
    whole = np.vstack([np.hstack(row) for row in framed])
    return cv2.copyMakeBorder(whole, 0, gap, 0, gap, cv2.BORDER_CONSTANT, value=(PAPER,) * 3)


def shrunk(picture: np.ndarray, size: tuple[int, int] = SMALL) -> np.ndarray:
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def save(name: str, picture: np.ndarray) -> None:
    OUT.mkdir(exist_ok=True)
    path = OUT / f"{name}.jpg"
    cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
    print(f"{path.name}: {picture.shape[1]}x{picture.shape[0]}, {path.stat().st_size // 1000} kB")


def curves(t: np.ndarray, values: np.ndarray, names: Sequence[str], mark: float) -> np.ndarray:
    """Lines (N, C) over time, seconds, their names and range on top, and the moment `mark`."""
    width, height = SMALL
    area = np.full((height, width, 3), PAPER, np.uint8)
    low, high = float(values.min()), float(values.max())
    x = 8 + (t - t[0]) / (t[-1] - t[0]) * (width - 16)
    y = height - 8 - (values - low) / max(high - low, 1e-9) * (height - 38)
    at = int(np.interp(mark, t, x))
    cv2.line(area, (at, 24), (at, height - 6), FAINT, 1)
    left = 6
    for k, name in enumerate(names):
        colour = tuple(int(v) for v in COLOURS[k % len(COLOURS)])
        points = np.rint(np.column_stack([x, y[:, k]]) * 8).astype(np.int32)
        cv2.polylines(area, [points], False, colour, 1, cv2.LINE_AA, shift=3)
        cv2.putText(area, name, (left, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)
        left += cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)[0][0] + 10
    text = f"{low:.3g} to {high:.3g}"
    wide = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.36, 1)[0][0]
    cv2.putText(area, text, (width - wide - 4, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.36, INK, 1, cv2.LINE_AA)
    return area


def heat(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """(H, W) numbers as colours."""
    scaled = np.clip((values - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    return cv2.applyColorMap(scaled, cv2.COLORMAP_INFERNO)[..., ::-1]


# --- the pictures ---


def floor_plan(world: World) -> np.ndarray:
    """Rooms, doorways and where furniture stands, seen from above."""
    home, (width, height) = world.home, SMALL
    area = np.full((height, width, 3), PAPER, np.uint8)
    corners = np.array([corner for room in home.house.rooms.values() for corner in (room.low, room.high)])
    middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
    scale = min((width - 16) / np.ptp(corners[:, 0]), (height - 16) / np.ptp(corners[:, 1]))

    def px(point: np.ndarray) -> tuple[int, int]:
        x, y = (np.asarray(point)[:2] - middle) * scale
        return round(width / 2 + x), round(height / 2 - y)

    for name, station in home.stations.items():
        if name != "mark":
            outline = [
                station.to_world(np.array([x, y, 0.0])) for x, y in ((0.3, -0.6), (0.3, 0.6), (0.85, 0.6), (0.85, -0.6))
            ]
            cv2.fillPoly(area, [np.array([px(p) for p in outline])], (222, 205, 180), cv2.LINE_AA)
    for name, room in home.house.rooms.items():
        cv2.rectangle(area, px(np.array(room.low)), px(np.array(room.high)), INK, 1, cv2.LINE_AA)
        (wide, high), _ = cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, 0.36, 1)
        x, y = px(room.middle)
        cv2.putText(area, name, (x - wide // 2, y + high // 2), cv2.FONT_HERSHEY_SIMPLEX, 0.36, INK, 1, cv2.LINE_AA)
    for door in home.house.doorways:
        ends = [px(door.ahead(0.06, side * DOOR_WIDTH_M / 2)) for side in (-1, 1)]
        cv2.line(area, *ends, (PAPER,) * 3, 6)
    return area


def from_anywhere(world: World, t_ns: int, at: np.ndarray, looks_at: np.ndarray) -> np.ndarray:
    """A picture by a camera that is not there."""
    poses = world.poses([t_ns])
    poses["camera-head"] = (at[None], wxyz(looking(at, looks_at))[None])
    return next(world.renderer.pictures(poses, "head"))


def rooms() -> None:
    """One house of each layout."""
    rows = []
    for layout in range(4):
        place = next(f"r{k:02d}" for k in range(1, 99) if layout_of(f"r{k:02d}") == layout)
        world = World(WorldPlan(60.0, 11 + layout, place=place, width=640, height=360))
        row = [titled(floor_plan(world), f"{place}, layout {layout + 1} of 4")]
        for name, room in world.home.house.rooms.items():
            corner = np.append(room.middle + (room.half - 0.25) * [-1, -1], 2.2)
            row.append(
                titled(shrunk(from_anywhere(world, 10 * 10**9, corner, np.append(room.middle + 0.4, 0.7))), name)
            )
        world.close()
        rows.append(row)
    save("rooms", grid(rows))


def people() -> None:
    """Six participants as they walk through the living room."""
    row = []
    for name in (f"p{k:02d}" for k in range(1, 7)):
        world = next(w for w in (World(_walk(name, seed)) for seed in range(20, 60)) if _ahead(w)[0] < 1.6)
        _, t_ns, at, eye = _ahead(world)
        picture = from_anywhere(world, t_ns, eye, np.append(at[:2], 0.92))
        row.append(titled(shrunk(picture[:, 185:455], (195, 260)), f"{name}, {world.people[0].one.stature:.2f} m"))
        world.close()
    save("people", grid([row]))


def _walk(name: str, seed: int) -> WorldPlan:
    return WorldPlan(30.0, seed, participant=name, place="r03", width=640, height=360)


def _ahead(world: World) -> tuple[float, int, np.ndarray, np.ndarray]:
    """When somebody and a point 2 m ahead are nearest to the middle of the room: how near, when, where, that point."""
    t, body = np.arange(3 * 10**9, 27 * 10**9, 10**8), world.people[0]
    at, ahead = body.origin("body", t / 1e9), body.turn("body", t / 1e9).apply([1.0, 0.0, 0.0])
    eye = at + 2.0 * ahead / np.linalg.norm(ahead[:, :2], axis=1, keepdims=True)
    eye[:, 2] = 1.35
    off = np.abs(eye[:, :2] / [1.5, 1.0]).max(axis=1) + np.abs(at[:, :2] / [2.0, 1.5]).max(axis=1)
    best = int(off.argmin())
    return float(off[best]), int(t[best]), at[best], eye[best]


def moment() -> None:
    """Everything that is recorded and known of one moment."""
    world = World(WorldPlan(40.0, 5, "make_tea", place="r04", width=640, height=360, people=2))
    t_ns = _telling(world)
    t, around = t_ns / 1e9, np.arange(t_ns - 2 * 10**9, t_ns + 2 * 10**9, 10**7)
    third, head, eye = (next(world.render(camera, [t_ns])) for camera in ("third", "head", "eye"))
    boxed = third.copy()
    for box in world.boxes("third", [t_ns])[0]:
        colour = (255, 220, 60) if box.kind == "person" else (90, 230, 120)
        low, high = ((round(a), round(b)) for a, b in ((box.x1, box.y1), (box.x2, box.y2)))
        cv2.rectangle(boxed, low, high, colour, 2, cv2.LINE_AA)
    for picture, camera in ((head, "head"), (eye, "eye")):
        gaze = world.gaze_truth(camera, [t_ns])[0]
        if np.isfinite(gaze).all():
            cv2.circle(picture, (round(gaze[0]), round(gaze[1])), 14, (255, 40, 40), 3, cv2.LINE_AA)
    seen, depth = next(world.annotate("third", [t_ns]))
    names = np.random.default_rng(4).uniform(60, 255, (len(world.classes), 3)).astype(np.uint8)
    names[:2] = (70, 70, 75), (140, 140, 145)
    thermal = cv2.resize(heat(world.thermal([t_ns]).reshape(8, 8), 20, 27), (180, 180), interpolation=cv2.INTER_NEAREST)
    warm = np.full((180, 320, 3), PAPER, np.uint8)
    warm[:, 70:250] = thermal
    imu, air = world.imu("rarmd", around), world.air(around)
    sound = world.sound("kit-01")[round((t - 2) * 48_000) : round((t + 2) * 48_000)]
    _, _, power = spectrogram(sound, 48_000, nperseg=1024, noverlap=640)
    heard = cv2.resize(heat(10 * np.log10(power[256::-1] + 1e-12), -105, -45), SMALL, interpolation=cv2.INTER_AREA)
    light = world.light(around)
    slow = np.column_stack([air[:, 0] - air[0, 0], air[:, 2] - air[0, 2], (air[:, 3] / air[0, 3] - 1) * 10])
    rows = [
        [
            titled(shrunk(third), "room kit's camera"),
            titled(shrunk(head), "head camera, true gaze"),
            titled(shrunk(eye), "eye tracker's scene camera, true gaze"),
            titled(shrunk(boxed), "true boxes of what no wall hides"),
        ],
        [
            titled(shrunk(names[seen]), "what each pixel shows"),
            titled(shrunk(heat(-depth, -6, -1)), "depth, 1 m (light) to 6 m"),
            titled(warm, "AMG8833: 20 (dark) to 27 degrees C"),
            titled(curves(around / 1e9, world.infrared(around), ("right", "down", "left", "up"), t), "AK9753, pA, 4 s"),
        ],
        [
            titled(curves(around / 1e9, imu.gyro, ("x", "y", "z"), t), "right forearm's gyroscope, degrees/s, 4 s"),
            titled(curves(around / 1e9, imu.linear, ("x", "y", "z"), t), "right forearm's acceleration, m/s2, 4 s"),
            titled(heard, "microphone, 0 to 12 kHz, 4 s"),
            titled(
                curves(
                    around / 1e9,
                    np.column_stack([slow, light[:, 0] / light[0, 0] - 1]),
                    ("C", "% RH", "gas x10", "light"),
                    t,
                ),
                "BME680 and TSL2591, change in 4 s",
            ),
        ],
    ]
    world.close()
    save("moment", grid(rows))


def _telling(world: World) -> int:
    """A time at which the room kit's camera sees the participant use something."""
    best, most = 10 * 10**9, -1.0
    for label in world.labels():
        if label.tier == "atomic" and label.actor == world.plan.participant and 5e9 < label.t0_ns < 34e9:
            t_ns = (label.t0_ns + label.t1_ns) // 2
            boxes = {b.name: b for b in world.boxes("third", [t_ns])[0]}
            box = boxes.get(world.plan.participant)
            if box is None or box.x1 < 8 or box.x2 > world.plan.width - 8 or box.y1 < 8:
                continue
            held = sum(relation in ("holding", "using") for _, relation, _ in world.scene_graph(t_ns))
            size = (box.y2 - box.y1) / world.plan.height
            if held and held + size * (box.y2 < world.plan.height - 4) > most:
                best, most = t_ns, held + size * (box.y2 < world.plan.height - 4)
    return best


def activity() -> None:
    """A film strip: what the two cameras see of one activity, with the label of each moment."""
    world = World(WorldPlan(40.0, 8, "set_table", place="r03", width=640, height=360))
    times = np.linspace(8e9, 33e9, 6).astype(np.int64)
    labels = [label for label in world.labels() if label.tier == "atomic"]
    pictures = [list(world.render(camera, times)) for camera in ("third", "head")]
    columns = []
    for k, t_ns in enumerate(times):
        done = [label.value for label in labels if label.t0_ns <= t_ns < label.t1_ns]
        pair = [shrunk(strip[k], (256, 144)) for strip in pictures]
        columns.append(titled(np.vstack(pair), f"{t_ns / 1e9:.0f} s: {', '.join(done[:2]) or 'nothing'}"))
    world.close()
    save("activity", grid([columns[:3], columns[3:]]))


def flaws() -> None:
    """A lens, a rolling shutter and an exposure on one picture of a head that turns."""
    plans = [WorldPlan(20.0, 5, "make_tea", width=640, height=360, barrel=barrel) for barrel in (0.0, 0.09)]
    straight, bent = (World(plan) for plan in plans)
    t = np.arange(3 * 10**9, 17 * 10**9, 2 * 10**7)
    turning = np.linalg.norm(straight._spin("head", t), axis=1)
    moment_ns = [int(t[np.argsort(-turning)[60]])]
    row = []
    for world, shutter, text in (
        (straight, INSTANT, "without flaws"),
        (bent, INSTANT, "barrel = 0.09"),
        (straight, Shutter(0.033, 0.0), "rolling_ms = 33"),
        (straight, Shutter(0.0, 0.01), "exposure_ms = 10"),
    ):
        row.append(titled(shrunk(next(world.render("head", moment_ns, shutter))), text))
    straight.close()
    bent.close()
    save("flaws", grid([row]))


def main() -> None:
    for draw in (rooms, people, moment, activity, flaws):
        draw()


if __name__ == "__main__":
    main()
