"""A camera that turns in front of a far scene, and the gyroscope on it: pictures as a cheap camera makes them, with
known truth.

The scene is a cylinder of texture, far away. Each row is drawn with the orientation of its own time (rolling shutter),
as the mean over its exposure (blur), with noise, and the film is compressed. The gyroscope is mounted askew, has a
bias, noise and a clock of its own. Nothing here knows the code that is tried with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from sync.motion.turning import Turning

FINE_HZ = 1000
PANORAMA = (640, 4096)
KNOTS = 9
"""Orientations that are worked out exactly for one picture; rows in between are interpolated."""


@dataclass(frozen=True)
class Scene:
    """One film and its gyroscope.

    Attributes:
        movement: ``lively`` (someone who does things), ``gentle``, ``still`` (a tripod), ``nodding`` (a steady rhythm),
            ``burst`` (one movement in a long rest).
        limb: None, or how an arm swings in the picture, as in a mirror: ``pattern`` (swings with unequal pauses) or
            ``even`` (swings without a pause). The gyroscope is then on the arm.
        readout_s, exposure_s: of the camera; the stamp of a frame is when its first row's exposure began.
        grain: standard deviation of a pixel's noise, of 255.
        offset_s, skew_ppm: what to add to a film's time to get the gyroscope's, and how much faster its clock runs.
    """

    seed: int
    seconds: float = 40.0
    movement: str = "lively"
    limb: str | None = None
    fps: float = 30.0
    size: tuple[int, int] = (320, 180)
    focal_px: float = 230.0
    readout_s: float = 0.016
    exposure_s: float = 0.010
    grain: float = 4.0
    bit_rate: int = 800_000
    gyro_hz: float = 100.0
    offset_s: float = 4.2
    skew_ppm: float = 60.0
    mount: tuple[float, float, float] = (1.2, -0.4, 2.0)

    @property
    def t_s(self) -> np.ndarray:
        """When each frame's first row begins to be exposed, s on the film's clock."""
        return np.arange(round(self.seconds * self.fps)) / self.fps

    def on_gyroscope_ns(self, t_ns: np.ndarray) -> np.ndarray:
        """Times of the film's clock on the gyroscope's."""
        return np.asarray(t_ns + round(self.offset_s * 1e9) + np.rint(t_ns * self.skew_ppm * 1e-6).astype(np.int64))


class Head:
    """Orientations over time: world <- camera, x right, y down, z forward."""

    def __init__(self, scene: Scene) -> None:
        rng = np.random.default_rng(scene.seed)
        self.t = np.arange(-2.0, scene.seconds + 2.0, 1 / FINE_HZ)
        self._angles = _angles(scene.movement, self.t, rng)

    def orientation(self, t_s: np.ndarray) -> Rotation:
        """World <- camera at (N,) times, s."""
        angles = [np.interp(t_s, self.t, angle) for angle in self._angles]
        return Rotation.from_euler("YXZ", np.column_stack(angles))

    def rate_rad_s(self, t_s: np.ndarray) -> np.ndarray:
        """(N, 3) angular velocity about the camera's axes."""
        step = 4 / FINE_HZ
        return (self.orientation(t_s - step / 2).inv() * self.orientation(t_s + step / 2)).as_rotvec() / step


def _angles(movement: str, t: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Yaw, pitch and roll at times, rad."""
    n = len(t)
    if movement == "still":
        return (np.zeros(n),) * 3
    if movement == "nodding":
        swing = np.sin(2 * np.pi * 1.1 * t)
        return 0.02 * swing, 0.2 * swing, 0.01 * swing
    if movement == "burst":
        bump = np.exp(-0.5 * ((t - t.mean()) / 0.15) ** 2)
        return 0.3 * bump, 0.1 * bump, 0.0 * bump
    strength = 0.15 if movement == "gentle" else 1.0
    awake = np.clip(0.7 + 1.5 * _wander(n, 0.15, rng), 0.1, 2.0)
    quick = [awake * (_wander(n, 1.6, rng) + 0.5 * _wander(n, 3.5, rng)) for _ in range(3)]
    slow = [_wander(n, 0.25, rng) for _ in range(3)]
    sizes = ((0.5, 0.10), (0.15, 0.07), (0.08, 0.05))
    yaw, pitch, roll = (strength * (a * s + b * q) for (a, b), s, q in zip(sizes, slow, quick, strict=True))
    return yaw, pitch, roll


def _wander(n: int, hz: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of unit variance below `hz`, smooth at its edge."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    spectrum *= np.exp(-0.5 * (np.fft.rfftfreq(n, 1 / FINE_HZ) / hz) ** 2)
    x = np.fft.irfft(spectrum, n)
    return np.asarray(x / x.std())


class Arm:
    """An arm that swings about the shoulder, with unequal pauses or without any."""

    def __init__(self, scene: Scene) -> None:
        rng = np.random.default_rng(scene.seed + 4)
        self.t = np.arange(-2.0, scene.seconds + 2.0, 1 / FINE_HZ)
        swing = 0.6 * np.sin(2 * np.pi * 1.0 * self.t)
        if scene.limb == "pattern":
            awake, at = np.zeros(len(self.t)), 0.5
            while at < scene.seconds:
                busy = rng.uniform(1.5, 5.0)
                awake[(self.t > at) & (self.t < at + busy)] = rng.uniform(0.6, 1.2)
                at += busy + rng.uniform(0.8, 4.0)
            kernel = np.hanning(round(0.4 * FINE_HZ))
            swing *= np.convolve(awake, kernel / kernel.sum(), "same")
        self.angle = swing

    def angle_rad(self, t_s: np.ndarray | float) -> np.ndarray:
        return np.asarray(np.interp(t_s, self.t, self.angle))

    def rate_rad_s(self, t_s: np.ndarray) -> np.ndarray:
        """(N, 3) about the arm's own axes: it swings about its z."""
        step = 4 / FINE_HZ
        rate = (self.angle_rad(t_s + step / 2) - self.angle_rad(t_s - step / 2)) / step
        return np.column_stack([np.zeros((len(t_s), 2)), rate])

    def draw(self, picture: np.ndarray, t_s: float) -> None:
        """On a (H, W) float32 picture, in place."""
        h, w = picture.shape
        angle = float(self.angle_rad(t_s))
        shoulder = np.array([0.5 * w, 0.2 * h])
        hand = shoulder + 0.6 * h * np.array([np.sin(angle), np.cos(angle)])
        elbow = (shoulder + hand) / 2
        for a, b, shade, width in ((shoulder, elbow, 60.0, 0.12), (elbow, hand, 200.0, 0.10)):
            ends = [tuple(int(v) for v in np.rint(16 * p)) for p in (a, b)]
            cv2.line(picture, ends[0], ends[1], shade, round(width * h), cv2.LINE_AA, 4)


def gyroscope(scene: Scene) -> Turning:
    """What the gyroscope on the camera, or on the arm, says, on the clock ``imu``."""
    rng = np.random.default_rng(scene.seed + 1)
    t_s = np.arange(-1.5, scene.seconds + 1.5, 1 / scene.gyro_hz) + rng.uniform(0, 1 / scene.gyro_hz)
    rate = Rotation.from_rotvec(scene.mount).apply((Arm if scene.limb else Head)(scene).rate_rad_s(t_s))
    rate += rng.normal(0, 0.02, 3) + rng.normal(0, 0.01, rate.shape)
    return Turning("imu", scene.on_gyroscope_ns(np.rint(t_s * 1e9).astype(np.int64)), rate)


def write_film(scene: Scene, path: Path) -> None:
    """Draw and compress the film: H.264, times of the first row from 0."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(scene.fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = *scene.size, "yuv420p"
        stream.bit_rate = scene.bit_rate
        stream.codec_context.time_base = Fraction(1, 90_000)
        stream.options = {"preset": "veryfast", "bf": "0", "threads": "1"}
        for k, picture in enumerate(pictures(scene)):
            frame = av.VideoFrame.from_ndarray(picture, format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = round(k * 90_000 / scene.fps), Fraction(1, 90_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def pictures(scene: Scene) -> Iterator[np.ndarray]:
    """(H, W) uint8, one a frame."""
    head, texture = Head(scene), panorama(scene.seed)
    rng = np.random.default_rng(scene.seed + 2)
    w, h = scene.size
    x, y = np.meshgrid((np.arange(w) - (w - 1) / 2) / scene.focal_px, (np.arange(h) - (h - 1) / 2) / scene.focal_px)
    rays = np.stack([x, y, np.ones_like(x)], axis=1).astype(np.float32)
    arm = Arm(scene) if scene.limb else None
    exposures = max(1, min(5, round(scene.exposure_s / 0.0025)))
    for t in scene.t_s:
        light = np.zeros((h, w), np.float32)
        for k in range(exposures):
            at = t + (k + 0.5) / exposures * scene.exposure_s
            seen = _drawn(head, texture, rays, at, scene.readout_s)
            if arm is not None:
                arm.draw(seen, at + scene.readout_s / 2)
            light += seen
        yield np.clip(light / exposures + rng.normal(0, scene.grain, (h, w)), 0, 255).astype(np.uint8)


def _drawn(head: Head, texture: np.ndarray, rays: np.ndarray, t_s: float, readout_s: float) -> np.ndarray:
    """One instant of each row; the first row at `t_s`."""
    h = len(rays)
    knots = np.linspace(0, 1, KNOTS)
    matrix = head.orientation(t_s + knots * readout_s).as_matrix().reshape(KNOTS, 9)
    share = np.arange(h) / h
    rows = np.column_stack([np.interp(share, knots, column) for column in matrix.T]).astype(np.float32)
    x, y, z = np.ascontiguousarray(np.moveaxis(rows.reshape(h, 3, 3) @ rays, 1, 0))
    across, angle = cv2.cartToPolar(z, x)
    height, width = texture.shape
    u = (angle / (2 * np.pi) * width).astype(np.float32)
    v = (y / across * width / (2 * np.pi) + height / 2).astype(np.float32)
    return cv2.remap(texture, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def panorama(seed: int) -> np.ndarray:
    """(640, 4096) float32: shelves, posters and grain, all round."""
    rng = np.random.default_rng(seed + 3)
    height, width = PANORAMA
    picture = np.full((height, width), 120.0, np.float32)
    for _ in range(900):
        x, y = rng.integers(0, width - 10), rng.integers(0, height - 10)
        w, h = rng.integers(8, 160), rng.integers(8, 120)
        picture[y : y + h, x : x + w] = rng.uniform(20, 235)
    fine = cv2.GaussianBlur(rng.normal(0, 60, (height, width)).astype(np.float32), (0, 0), 1.5)
    return cv2.GaussianBlur(picture + fine, (0, 0), 0.8)
