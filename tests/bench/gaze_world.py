"""A head with two cameras in rooms of known geometry: what the gaze benchmark and its tests look at.

Rooms are made of textured rectangles, some of which move. Each camera draws them with a pinhole onto a canvas that is
wider than its view, and bends the canvas by its lens; the eye tracker's lens is Brown's polynomial, the head camera's
is a fish-eye by angle, so neither is exactly what is fitted. The head turns and sways, the pictures are blurred by the
turn, have noise, and go through H.264. The eyes rest on points of the surfaces, a few a second, so the place of every
gaze in the other camera is known.

Lengths in metres, x right, y down, z forward as the head looks at rest; the head's origin is the scene camera.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

KINDS = ("far", "desk", "hands", "apart", "dark", "bare")
SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class Lens:
    """A camera: size in pixels, focal length in pixels, and its distortion.

    Attributes:
        brown: (k1, k2) of r' = r (1 + k1 r^2 + k2 r^4), r the tangent of the angle to the axis; None for a fish-eye.
        fisheye: (k1, k2) of r' = a (1 + k1 a^2 + k2 a^4), a the angle; None for Brown.
    """

    size: tuple[int, int]
    focal: float
    brown: tuple[float, float] | None = None
    fisheye: tuple[float, float] | None = None

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) points before the camera as (N, 2) pixels; NaN behind it or far outside."""
        with np.errstate(all="ignore"):
            flat = points[:, :2] / points[:, 2:]
            r = np.linalg.norm(flat, axis=1)
            out = flat * (self._bent(r) / np.maximum(r, 1e-12))[:, None] * self.focal + self.middle
        out[(points[:, 2] <= 0) | (r > 2.2)] = np.nan
        return out

    @property
    def middle(self) -> np.ndarray:
        """The principal point, px."""
        return (np.array(self.size) - 1) / 2

    def _bent(self, r: np.ndarray) -> np.ndarray:
        if self.brown:
            return r * (1 + self.brown[0] * r**2 + self.brown[1] * r**4)
        a = np.arctan(r)
        k1, k2 = self.fisheye or (0.0, 0.0)
        return a * (1 + k1 * a**2 + k2 * a**4)

    @cached_property
    def _field(self) -> tuple[float, tuple[int, int], np.ndarray, np.ndarray]:
        """Focal length and size of the canvas, and the maps from it to the picture."""
        w, h = self.size
        x, y = np.meshgrid(np.arange(w) - self.middle[0], np.arange(h) - self.middle[1])
        bent = np.hypot(x, y) / self.focal
        r = np.linspace(0, 2.2, 4000)
        curve = self._bent(r)
        straight = np.interp(bent, curve[: np.argmax(curve)], r[: np.argmax(curve)])
        scale = straight / np.maximum(bent, 1e-12) / self.focal
        tan_x, tan_y = x * scale, y * scale
        focal = self.focal
        size = tuple(2 * int(np.ceil(np.abs(t).max() * focal)) + 4 for t in (tan_x, tan_y))
        maps = [(t * focal + (n - 1) / 2).astype(np.float32) for t, n in zip((tan_x, tan_y), size, strict=True)]
        return focal, (size[0], size[1]), *cv2.convertMaps(maps[0], maps[1], cv2.CV_16SC2)


@dataclass(frozen=True)
class Sheet:
    """A textured rectangle: `corner`, and the `across` and `down` edges as vectors of their lengths.

    `moves` are (T, 3) metres it is shifted by at the world's times; None for what stays.
    """

    corner: np.ndarray
    across: np.ndarray
    down: np.ndarray
    picture: np.ndarray
    moves: np.ndarray | None = None

    def at(self, step: float) -> np.ndarray:
        """Its corner at a (fractional) time step."""
        if self.moves is None:
            return self.corner
        return self.corner + _between(self.moves, step)


EDGE = 0.06
"""Eyes rest this share of a thing inside its edges: on the edge itself nobody can say which of two depths they mean."""
STEP_NS = 5_000_000
"""The world moves in steps of 5 ms, and evenly between them."""


@dataclass(frozen=True)
class World:
    """One recording: what is there, how the head moves, where the eyes rest.

    Attributes:
        sheets: what is there.
        at: (T, 3) where the scene camera is, every `STEP_NS`.
        turn: (T, 3) rotation vectors, world <- head.
        target: (T,) int sheet that is looked at; -1 while the eyes are shut.
        spot: (T, 2) where on it, as shares of its edges.
        scene, head: the lenses.
        rig: (rotation vector head camera <- scene camera, (3,) the scene camera's origin in the head camera), metres.
        light: how bright it is, 1 for a normal room.
        late_ns: time of the head camera's first frame after the scene camera's.
        rates: frames a second of both.
    """

    sheets: tuple[Sheet, ...]
    at: np.ndarray
    turn: np.ndarray
    target: np.ndarray
    spot: np.ndarray
    scene: Lens
    head: Lens
    rig: tuple[np.ndarray, np.ndarray]
    light: float
    late_ns: int
    rates: tuple[float, float]
    seed: int

    @property
    def duration_ns(self) -> int:
        """How long it is."""
        return (len(self.at) - 1) * STEP_NS

    def times_ns(self, camera: str) -> np.ndarray:
        """(F,) int64, when each frame of ``scene`` or ``head`` is taken."""
        first, rate = (0, self.rates[0]) if camera == "scene" else (self.late_ns, self.rates[1])
        count = int((self.duration_ns - first) * rate / SECOND_NS)
        return first + (np.arange(count) * (SECOND_NS / rate)).astype(np.int64)

    def pose(self, camera: str, t_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """(3, 3) rotation camera <- world and (3,) the camera's place in the world."""
        step = t_ns / STEP_NS
        scene = Rotation.from_rotvec(_between(self.turn, step)).as_matrix().T
        place = _between(self.at, step)
        if camera == "scene":
            return scene, place
        r = Rotation.from_rotvec(self.rig[0]).as_matrix()
        return r @ scene, place - scene.T @ r.T @ self.rig[1]

    def looked_at(self, t_ns: np.ndarray, camera: str) -> np.ndarray:
        """(N, 2) px in which a camera sees what the eyes rest on at each time; NaN where they are shut or it is out."""
        lens = self.scene if camera == "scene" else self.head
        out = np.full((len(t_ns), 2), np.nan)
        for n, t in enumerate(t_ns):
            step = float(t / STEP_NS)
            which = self.target[min(int(step), len(self.target) - 1)]
            if which < 0:
                continue
            sheet, spot = self.sheets[which], self.spot[min(int(step), len(self.spot) - 1)]
            turn, place = self.pose(camera, int(t))
            point = sheet.at(step) + spot[0] * sheet.across + spot[1] * sheet.down
            out[n] = lens.pixels((turn @ (point - place))[None])[0]
        outside = ~((out >= 0) & (out <= np.array(lens.size) - 1)).all(axis=1)
        out[outside] = np.nan
        return out

    def picture(self, camera: str, t_ns: int, rng: np.random.Generator) -> np.ndarray:
        """(H, W) uint8, one frame with blur and noise."""
        lens = self.scene if camera == "scene" else self.head
        image = self._drawn(lens, camera, t_ns)
        exposure_ns = 8_000_000 if self.light > 0.5 else 14_000_000
        ahead = Rotation.from_matrix(self.pose(camera, t_ns + exposure_ns)[0] @ self.pose(camera, t_ns)[0].T)
        way = ahead.as_rotvec()[[1, 0]] * [-1, 1] * lens.focal
        image = _smeared(image, way)
        gain = self.light * (1.0 if camera == "scene" else 1.15)
        noise = 2.0 if self.light > 0.5 else 5.0
        small = rng.standard_normal((256, 320)).astype(np.float32) * noise
        tiles = [-(-n // s) for n, s in zip(image.shape, small.shape, strict=True)]
        grain = np.roll(np.tile(small, tiles)[: image.shape[0], : image.shape[1]], rng.integers(200), 1)
        return cv2.add(image.astype(np.float32) * np.float32(gain) + 4.0, grain, dtype=cv2.CV_8U)

    def _drawn(self, lens: Lens, camera: str, t_ns: int) -> np.ndarray:
        focal, size, *maps = lens._field
        canvas = np.full(size[::-1], 110, np.uint8)
        turn, place = self.pose(camera, t_ns)
        k = np.array([[focal, 0, (size[0] - 1) / 2], [0, focal, (size[1] - 1) / 2], [0, 0, 1]])
        for sheet in self.sheets:
            corner = turn @ (sheet.at(t_ns / STEP_NS) - place)
            _draw(canvas, k, corner, turn @ sheet.across, turn @ sheet.down, sheet.picture)
        return cv2.remap(canvas, maps[0], maps[1], cv2.INTER_LINEAR)

    def frames(self, camera: str) -> Iterator[tuple[int, np.ndarray]]:
        """(t_ns, picture) of every frame."""
        rng = np.random.default_rng([self.seed, camera == "scene"])
        for t_ns in self.times_ns(camera):
            yield int(t_ns), self.picture(camera, int(t_ns), rng)

    def gaze(self, rate_hz: float = 100.0) -> tuple[np.ndarray, np.ndarray]:
        """What the eye tracker writes, without an error of its own: (N,) int64 ns, (N, 2) px, NaN missing."""
        t_ns = (np.arange(int(self.duration_ns * rate_hz / SECOND_NS)) * (SECOND_NS / rate_hz)).astype(np.int64)
        return t_ns, self.looked_at(t_ns, "scene")


def _between(values: np.ndarray, step: float) -> np.ndarray:
    k = min(max(int(step), 0), len(values) - 2)
    return values[k] + (step - k) * (values[k + 1] - values[k])


def _draw(
    canvas: np.ndarray, k: np.ndarray, corner: np.ndarray, across: np.ndarray, down: np.ndarray, picture: np.ndarray
) -> None:
    """Draw one rectangle over what is there; sheets come far to near."""
    near = 0.05
    around = [corner, corner + across, corner + across + down, corner + down]
    clipped = []
    for a, b in zip(around, [*around[1:], around[0]], strict=True):
        if a[2] > near:
            clipped.append(a)
        if (a[2] > near) != (b[2] > near):
            clipped.append(a + (near - a[2]) / (b[2] - a[2]) * (b - a))
    if len(clipped) < 3:
        return
    outline = np.array(clipped) @ k.T
    outline = outline[:, :2] / outline[:, 2:]
    height, width = canvas.shape
    low = np.clip(np.floor(outline.min(axis=0)), 0, [width, height]).astype(int)
    high = np.clip(np.ceil(outline.max(axis=0)) + 1, 0, [width, height]).astype(int)
    if (high - low).min() < 2:
        return
    shift = np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1.0]])
    h, w = picture.shape
    plane = np.column_stack([across / w, down / h, corner + (across / w + down / h) / 2])
    mask = np.zeros(high[::-1] - low[::-1], np.uint8)
    limited = np.clip(outline - low, -16000, 16000)
    cv2.fillConvexPoly(mask, np.round(limited * 16).astype(np.int32), 255, cv2.LINE_8, 4)
    drawn = cv2.warpPerspective(
        picture, shift @ k @ plane, mask.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    cv2.copyTo(drawn, mask, canvas[low[1] : high[1], low[0] : high[0]])


def _smeared(image: np.ndarray, way: np.ndarray) -> np.ndarray:
    """Blur along a way in pixels."""
    length = float(np.linalg.norm(way))
    if length < 1.0:
        return image
    n = 2 * int(np.ceil(length / 2)) + 1
    kernel = np.zeros((n, n), np.float32)
    for share in np.linspace(-0.5, 0.5, 8 * n):
        x, y = way * share + n // 2
        kernel[round(float(np.clip(y, 0, n - 1))), round(float(np.clip(x, 0, n - 1)))] += 1
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def printed(rng: np.random.Generator, size_m: tuple[float, float], per_m: float, kind: str) -> np.ndarray:
    """A surface: ``wall`` (plaster, some pictures), ``wood``, ``print`` (labels, books), ``skin``, ``bare``."""
    w, h = (max(int(s * per_m), 8) for s in size_m)
    base, rough = {"wall": (170, 4), "wood": (120, 9), "print": (140, 14), "skin": (150, 4), "bare": (165, 0.7)}[kind]
    image = np.full((h, w), float(base), np.float32)
    for cell in (64, 16, 5):
        grid = rng.normal(size=(h // cell + 2, (w // (cell * (8 if kind == "wood" else 1))) + 2)).astype(np.float32)
        image += rough * cv2.resize(grid, (w, h), interpolation=cv2.INTER_CUBIC) * (0.5 if cell == 5 else 1.0)
    if kind == "bare":
        image += np.linspace(-12, 12, w, dtype=np.float32)[None]
    image = np.clip(image, 0, 255).astype(np.uint8)
    if kind in ("wall", "print"):
        # The finest thing is a few pixels as a camera sees it, so that nothing flickers.
        for _ in range(int((14 if kind == "print" else 0.8 * w * h / per_m**2) + 1)):
            _thing(rng, image, w, h, per_m if kind == "wall" else max(w, h))
    return cv2.GaussianBlur(image, (0, 0), 0.8)


def _thing(rng: np.random.Generator, image: np.ndarray, w: int, h: int, unit: float) -> None:
    x, y = int(rng.uniform(0, w)), int(rng.uniform(0, h))
    a, b = (int(rng.uniform(0.05, 0.3) * unit) for _ in range(2))
    ink = float(rng.uniform(20, 235))
    shape = rng.integers(4)
    if shape == 0:
        cv2.rectangle(image, (x, y), (x + a, y + b), ink, -1 if rng.random() < 0.6 else max(2, int(0.01 * unit)))
    elif shape == 1:
        cv2.ellipse(image, (x, y), (a // 2, b // 2), float(rng.uniform(0, 180)), 0, 360, ink, -1)
    else:
        text = "".join(rng.choice(list("ABCDEFGHKMNPRSTUVWXYZ23456789"), 7))
        cv2.putText(image, text, (x, y), cv2.FONT_HERSHEY_DUPLEX, 0.0022 * unit, ink, max(1, int(0.006 * unit)))


def _sheet(rng: np.random.Generator, corner: list, across: list, down: list, per_m: float, kind: str) -> Sheet:
    a, d = np.array(across, float), np.array(down, float)
    picture = printed(rng, (float(np.linalg.norm(a)), float(np.linalg.norm(d))), per_m, kind)
    return Sheet(np.array(corner, float), a, d, picture)


def _room(rng: np.random.Generator, per_px: float, kind: str, depth: float) -> list[Sheet]:
    """Three walls and a floor, far to near."""
    per_m, side = 1000 * per_px / depth, 3.0
    return [
        _sheet(rng, [-side, -1.6, depth], [2 * side, 0, 0], [0, 3.2, 0], per_m, kind),
        _sheet(rng, [-side, -1.6, -1], [0, 0, depth + 1], [0, 3.2, 0], per_m, kind),
        _sheet(rng, [side, -1.6, depth], [0, 0, -depth - 1], [0, 3.2, 0], per_m, kind),
        _sheet(
            rng, [-side, 1.6, depth], [2 * side, 0, 0], [0, 0, -depth - 1], per_m, "wood" if kind != "bare" else kind
        ),
    ]


def _boxes(rng: np.random.Generator, per_px: float, count: int, near: float, far: float, floor: float) -> list[Sheet]:
    """Upright rectangles that stand about, far to near."""
    out = []
    for z in -np.sort(-rng.uniform(near, far, count)):
        w, h = rng.uniform(0.12, 0.3, 2) * z
        x = rng.uniform(-0.75, 0.75) * z
        turn = rng.uniform(-0.6, 0.6)
        across = [w * np.cos(turn), 0, w * np.sin(turn)]
        out.append(_sheet(rng, [x, floor - h, z], across, [0, h, 0], 900 * per_px / z, "print"))
    return out


def world(kind: str, seed: int, seconds: float = 5.0, width: int = 1920) -> World:
    """A recording of one kind; equal seeds give equal pixels.

    Args:
        kind: one of `KINDS`. ``apart`` is a desk with frames of both cameras at different times and a quick head.
        seed: of everything random.
        seconds: how long it is.
        width: of both cameras' pictures; the height is 9/16 of it.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    per_px = width / 1920
    if kind == "far":
        depth = float(rng.uniform(4.5, 7.0))
        sheets = _room(rng, per_px, "wall", depth) + _boxes(rng, per_px, 7, 3.0, 0.9 * depth, 1.4)
    elif kind == "bare":
        sheets = _room(rng, per_px, "bare", float(rng.uniform(2.0, 3.0)))
    else:
        sheets = _room(rng, per_px, "wall", float(rng.uniform(2.2, 3.2)))
        table = rng.uniform(0.30, 0.36)
        sheets.append(_sheet(rng, [-0.9, table, 1.0], [1.8, 0, 0], [0, 0, -0.75], 1400 * per_px, "wood"))
        sheets += _boxes(rng, per_px, 8, 0.48, 0.95, table)
    moves = int(seconds * SECOND_NS / STEP_NS) + 1
    if kind == "hands":
        sheets += _hands(rng, per_px, moves)
    at, turn = _head(rng, moves, quick=kind == "apart", down=0.0 if kind in ("far", "bare") else -0.38)
    height = width * 9 // 16
    scene = Lens((width, height), 930 * per_px, brown=(-0.09, 0.012))
    head = Lens((width, height), 895 * per_px, fisheye=(0.11, 0.02))
    rig = Rotation.from_euler("xyz", [rng.uniform(2, 9), rng.uniform(-5, 5), rng.uniform(-4, 4)], degrees=True)
    place = np.array([rng.uniform(-0.035, 0.035), rng.uniform(0.055, 0.08), rng.uniform(-0.03, 0.01)])
    light = 0.16 if kind == "dark" else 1.0
    rates, late = ((25.0, 30.0), 13_000_000) if kind == "apart" else ((30.0, 30.0), 0)
    empty = World(
        tuple(sheets), at, turn, np.zeros(moves, int), np.zeros((moves, 2)), scene, head,
        (rig.as_rotvec(), place), light, late, rates, seed,
    )  # fmt: skip
    return _with_gaze(rng, empty)


def _hands(rng: np.random.Generator, per_px: float, steps: int) -> list[Sheet]:
    """Two arms with hands and a thing held by one of them, 0.35 to 0.5 m away, moving over the table."""
    out = []
    for side, z in ((-1, 0.46), (1, 0.40)):
        way = gaussian_filter1d(rng.normal(size=(steps, 3)), 60, axis=0, mode="nearest")
        way = way / way.std(axis=0) * [0.05, 0.03, 0.025]
        x = side * rng.uniform(0.06, 0.12)
        arm = _sheet(rng, [x - 0.045, 0.19, z], [0.09, 0, 0.01], [0.05 * side, 0.35, -0.12], 2000 * per_px, "skin")
        hand = _sheet(rng, [x - 0.05, 0.10, z], [0.10, 0.01, 0], [0, 0.10, 0], 2000 * per_px, "skin")
        out += [replace(arm, moves=way), replace(hand, moves=way)]
        if side > 0:
            held = _sheet(rng, [x - 0.16, 0.05, z - 0.01], [0.13, 0, 0.03], [0.01, 0.11, 0], 2200 * per_px, "print")
            out.append(replace(held, moves=way))
    return out


def _head(rng: np.random.Generator, steps: int, quick: bool, down: float) -> tuple[np.ndarray, np.ndarray]:
    """Where the head is and how it is turned: slow sway, and turns of up to 60 (quick: 120) degrees a second."""
    sway = gaussian_filter1d(rng.normal(size=(steps + 400, 3)), 80, axis=0)[200:-200]
    sway = sway / np.abs(sway).max(axis=0) * [0.08, 0.05, 0.06]
    turn = gaussian_filter1d(rng.normal(size=(steps + 400, 3)), 50, axis=0)[200:-200]
    turn /= np.abs(turn).max(axis=0)
    fastest = np.abs(np.diff(turn, axis=0)).max() / (STEP_NS / SECOND_NS)
    turn *= min(np.radians(120 if quick else 60) / fastest, np.radians(22)) * np.array([0.6, 1.0, 0.25])
    return sway, turn + [down, 0.0, 0.0]


def _with_gaze(rng: np.random.Generator, empty: World) -> World:
    """Fixations of 0.25 to 0.6 s on what is seen in the middle of the scene camera, and a blink now and then."""
    target, spot = np.full_like(empty.target, -1), empty.spot.copy()
    sheets = range(len(empty.sheets))
    wanted = [n for n in sheets if empty.sheets[n].moves is not None] or list(sheets)
    step = 0
    while step < len(target):
        length = int(rng.uniform(0.25, 0.6) * SECOND_NS / STEP_NS)
        found = _fixation(rng, empty, step, wanted if rng.random() < 0.75 else list(sheets))
        blink = rng.random() < 0.04
        for now in range(step, min(step + length, len(target)), 4):
            if blink or not _seen_by_both(empty, now, *found):
                break
            target[now : now + 4] = found[0]
        spot[step : step + length] = found[1]
        step += length
    return replace(empty, target=target, spot=spot)


def _seen_by_both(world: World, step: int, which: int, spot: np.ndarray) -> bool:
    """Neither camera has anything before that spot."""
    sheet = world.sheets[which]
    point = sheet.at(step) + spot[0] * sheet.across + spot[1] * sheet.down
    places = [world.pose(camera, step * STEP_NS)[1] for camera in ("scene", "head")]
    return all(first_hit(world.sheets, p, point - p, step)[0] == which for p in places)


def _fixation(rng: np.random.Generator, empty: World, step: int, wanted: list[int]) -> tuple[int, np.ndarray]:
    """A point that both cameras see at a time."""
    seen = []
    for camera, lens in (("scene", empty.scene), ("head", empty.head)):
        turn, place = empty.pose(camera, step * STEP_NS)
        seen.append((turn, place, lens))
    turn, place, lens = seen[0]
    best: tuple[int, np.ndarray] = (-1, np.zeros(2))
    for attempt in range(300):
        aside = rng.normal(size=2) * np.radians(11)
        ray = turn.T @ np.array([np.tan(aside[0]), np.tan(aside[1]), 1.0])
        which, share, point = first_hit(empty.sheets, place, ray, step)
        if which < 0:
            continue
        px = seen[1][2].pixels((seen[1][0] @ (point - seen[1][1]))[None])[0]
        inside = np.isfinite(px).all() and (px > 0.02 * lens.size[0]).all() and (px < 0.98 * np.array(lens.size)).all()
        hidden = first_hit(empty.sheets, seen[1][1], point - seen[1][1], step)[0] != which
        if inside and not hidden and (share > EDGE).all() and (share < 1 - EDGE).all():
            best = which, share
            if which in wanted or attempt > 200:
                break
    return best


def first_hit(
    sheets: tuple[Sheet, ...], place: np.ndarray, ray: np.ndarray, step: float
) -> tuple[int, np.ndarray, np.ndarray]:
    """The sheet that a ray from a place meets as it is drawn (later sheets lie over earlier ones), and where."""
    for n in reversed(range(len(sheets))):
        s = sheets[n]
        try:
            u, v, t = np.linalg.solve(np.column_stack([s.across, s.down, -ray]), place - s.at(step))
        except np.linalg.LinAlgError:
            continue
        if t > 0 and 0 <= u <= 1 and 0 <= v <= 1:
            return n, np.array([u, v]), place + t * ray
    return -1, np.zeros(2), place


def encode(world: World, camera: str, path: Path, crf: int = 26) -> None:
    """Write a camera's frames as H.264 at its frame rate; a first frame that is late is the caller's to know."""
    lens = world.scene if camera == "scene" else world.head
    rate = world.rates[0] if camera == "scene" else world.rates[1]
    command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "gray", "-s", "{}x{}".format(*lens.size)]
    command += ["-r", f"{rate}", "-i", "-", "-c:v", "libx264", "-preset", "veryfast", "-crf", f"{crf}"]
    command += ["-pix_fmt", "yuv420p", "-threads", "1", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        for _, image in world.frames(camera):
            child.stdin.write(image.tobytes())
        child.stdin.close()
        if child.wait(timeout=600):
            raise RuntimeError(f"ffmpeg could not write {path}")
