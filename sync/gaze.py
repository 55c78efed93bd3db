"""Gaze from an eye tracker's scene camera to the camera on the head, by the plain way of the muscles paper.

SIFT features (Lowe 2004) are found in both pictures, matched by brute force with the ratio test, and a homography
is fitted by RANSAC (in its form that needs no sharp threshold, MAGSAC++, Barath 2020); it carries the gaze over.
A homography is exact for far or flat scenes. For near ones the distance between the two cameras shows as parallax,
which one plane cannot follow: 7 cm at 0.55 m is 110 px at a focal length of 895 px. So each row says how sure it is:
``ok`` where matches around the gaze confirm the map, ``homography`` where only matches elsewhere do, and
``refused`` where too few agree at all.

The eye tracker answers on its own clock, between the frames of the other camera. Frames are paired by the aligned
clocks, and the gaze is interpolated to the frame's time where its neighbours are near enough; where it is missing
it stays missing.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from firmware_host.errors import SessionError
from recorder.durable import replacing

VERDICTS = ("ok", "homography", "refused", "missing")
COLUMNS = ("t_s", "x_px", "y_px", "sigma_px", "verdict")
WIDTH = 640
"""Pictures are worked on at this width or their own, if that is smaller; thresholds in pixels are at this width."""
FEATURES = 1000
RATIO = 0.75
RANSAC_PX = 3.0
MIN_INLIERS = 15
MIN_SHARE = 0.25
NEAR_PX = 120.0
"""Inliers this near the gaze say that the homography holds there."""
MIN_NEAR = 6
MAX_GAP_NS = 100_000_000
"""Gaze samples further apart than this are not interpolated: a blink lasts longer."""
MAX_SIGMA_PX = 25.0
MAX_PARALLAX_PX = 60.0
TRACKER_PX = 4.0
"""What the eye tracker itself is wrong by: about half a degree."""


@dataclass(frozen=True)
class Gaze:
    """Gaze of an eye tracker.

    Attributes:
        t_ns: (N,) int64 on the eye tracker's clock, ascending.
        xy_px: (N, 2) float64, pixels of the scene camera, origin at the centre of its top-left pixel; NaN
            where it is missing.
    """

    t_ns: np.ndarray
    xy_px: np.ndarray

    def at(self, t_ns: np.ndarray) -> np.ndarray:
        """Gaze at other times: (M, 2) float64, NaN where a neighbour is missing or too far away."""
        if len(self.t_ns) == 0:
            return np.full((len(t_ns), 2), np.nan)
        last = len(self.t_ns) - 1
        after = np.minimum(np.searchsorted(self.t_ns, t_ns), last)
        before = np.maximum(after - 1, 0)
        gap = self.t_ns[after] - self.t_ns[before]
        share = (t_ns - self.t_ns[before]) / np.maximum(gap, 1)
        out = self.xy_px[before] + share[:, None] * (self.xy_px[after] - self.xy_px[before])
        out[(gap > MAX_GAP_NS) | (share < 0) | (share > 1)] = np.nan
        exact = self.t_ns[after] == t_ns
        out[exact] = self.xy_px[after][exact]
        return out


@dataclass(frozen=True)
class Row:
    """Gaze at one frame of the other camera; pixels of that camera, None where there is no answer."""

    t_ns: int
    x_px: float | None
    y_px: float | None
    sigma_px: float | None
    verdict: str


def read_gaze(path: Path) -> Gaze:
    """Read a gaze table: CSV with the columns ``t_s, x_px, y_px``; an empty cell is a missing gaze.

    Raises:
        SessionError: no such file, no such columns, or a cell that is no number.
    """
    if not path.is_file():
        raise SessionError(f"{path} does not exist; give the eye tracker's gaze table")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"t_s", "x_px", "y_px"} <= set(rows[0]):
        raise SessionError(f"{path} has no rows with the columns t_s, x_px, y_px")
    try:
        t_ns = np.array([_nanoseconds(r["t_s"]) for r in rows], np.int64)
        xy = np.array([[float(r[k] or "nan") for k in ("x_px", "y_px")] for r in rows])
    except (TypeError, ValueError, ArithmeticError) as error:
        raise SessionError(f"{path} has a cell that is not a number ({error})") from error
    order = np.argsort(t_ns, kind="stable")
    return Gaze(t_ns[order], xy[order])


def _nanoseconds(text: str) -> int:
    """Decimal seconds to whole nanoseconds, without a float between."""
    return int((Decimal(text) * 10**9).to_integral_value())


def carry(
    scene: Iterable[tuple[int, np.ndarray]],
    reference: Iterable[tuple[int, np.ndarray]],
    gaze: Gaze,
    scene_size: tuple[int, int],
    reference_size: tuple[int, int],
    threads: int = 2,
    done: Callable[[float], None] = lambda _: None,
) -> list[Row]:
    """Carry the gaze over to frames of the reference camera.

    Args:
        scene: (t_ns, gray image of at most `WIDTH`) of the scene camera, ascending, `t_ns` on the eye's clock.
        reference: the same of the frames to answer for, their times already brought to the eye's clock.
        gaze: on the eye's clock, in pixels of the full scene picture.
        scene_size: (width, height) in pixels of the full scene picture.
        reference_size: the same of the reference camera.
        threads: pictures worked on at once; OpenCV releases the interpreter's lock.
        done: told 1 for every frame that is answered.

    Returns:
        One row per reference frame, `t_ns` as given.
    """
    pairs = _nearest(scene, reference)
    with ThreadPoolExecutor(threads) as pool:
        rows = []
        waiting: list[Any] = []
        for t_ns, image, scene_image in pairs:
            point = gaze.at(np.array([t_ns]))[0]
            args = (t_ns, image, scene_image, point, scene_size, reference_size)
            waiting.append(pool.submit(_row, *args))
            if len(waiting) > 4 * threads:
                rows.append(waiting.pop(0).result())
                done(1.0)
        for future in waiting:
            rows.append(future.result())
            done(1.0)
    return rows


def _nearest(
    scene: Iterable[tuple[int, np.ndarray]], reference: Iterable[tuple[int, np.ndarray]]
) -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
    """Each reference frame with the scene frame nearest in time; None if none is within `MAX_GAP_NS`."""
    frames = iter(scene)
    before = after = next(frames, None)
    for t_ns, image in reference:
        while after is not None and after[0] < t_ns:
            before, after = after, next(frames, None)
        near = min((f for f in (before, after) if f is not None), key=lambda f: abs(f[0] - t_ns), default=None)
        close = near is not None and abs(near[0] - t_ns) <= MAX_GAP_NS
        yield t_ns, image, near[1] if near is not None and close else None


def _row(
    t_ns: int,
    image: np.ndarray,
    scene: np.ndarray | None,
    point: np.ndarray,
    scene_size: tuple[int, int],
    reference_size: tuple[int, int],
) -> Row:
    if not np.isfinite(point).all():
        return Row(t_ns, None, None, None, "missing")
    refused = Row(t_ns, None, None, None, "refused")
    if scene is None:
        return refused
    scene_xy, image_xy = match_features(scene, image)
    if len(scene_xy) < MIN_INLIERS:
        return refused
    found = transfer(
        _rescaled(scene_xy, WIDTH / scene.shape[1]),
        _rescaled(image_xy, WIDTH / image.shape[1]),
        _rescaled(point, WIDTH / scene_size[0]),
    )
    if found is None:
        return refused
    scale = reference_size[0] / WIDTH
    xy, sigma, near = _rescaled(found[0], scale), found[1] * scale, found[2]
    inside = (-0.5 <= xy[0] <= reference_size[0] - 0.5) and (-0.5 <= xy[1] <= reference_size[1] - 0.5)
    if not inside or sigma > MAX_SIGMA_PX * scale:
        return refused
    verdict = "ok" if near >= MIN_NEAR else "homography"
    return Row(t_ns, round(float(xy[0]), 2), round(float(xy[1]), 2), round(float(sigma), 2), verdict)


def _rescaled(xy: np.ndarray, scale: float) -> np.ndarray:
    """Pixels of a picture as pixels of the same picture `scale` times as wide; pixel centres are whole numbers."""
    return (xy + 0.5) * scale - 0.5


def match_features(scene: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matching points of two gray pictures: (N, 2) float32 each; N is 0 where there is nothing to match."""
    sift = cv2.SIFT.create(nfeatures=FEATURES, contrastThreshold=0.02)
    found = [sift.detectAndCompute(x, None) for x in (scene, image)]
    if any(d is None or len(d) < 2 for _, d in found):
        return np.empty((0, 2), np.float32), np.empty((0, 2), np.float32)
    near = cv2.BFMatcher(cv2.NORM_L2).knnMatch(found[0][1], found[1][1], k=2)
    good = [m[0] for m in near if len(m) == 2 and m[0].distance < RATIO * m[1].distance]
    return (
        np.array([found[0][0][m.queryIdx].pt for m in good], np.float32).reshape(-1, 2),
        np.array([found[1][0][m.trainIdx].pt for m in good], np.float32).reshape(-1, 2),
    )


def transfer(scene_xy: np.ndarray, image_xy: np.ndarray, point: np.ndarray) -> tuple[np.ndarray, float, int] | None:
    """Carry one point by the homography of matching points. All pixels are those of pictures `WIDTH` wide.

    Args:
        scene_xy: (N, 2) float.
        image_xy: (N, 2) float, the same points in the other picture.
        point: (2,) in the first picture.

    Returns:
        (2,) in the second picture, its sigma in pixels (semi-major axis) and the inliers near the point; None
        where too few agree, or where the homography folds the picture over.
    """
    h, mask = cv2.findHomography(scene_xy, image_xy, cv2.USAC_MAGSAC, RANSAC_PX, maxIters=2000, confidence=0.995)
    if h is None:
        return None
    inlier = mask.ravel().astype(bool)
    if inlier.sum() < MIN_INLIERS or inlier.mean() < MIN_SHARE or not _sane(h, point):
        return None
    xy = _apply(h, point[None])[0]
    near = np.linalg.norm(scene_xy[inlier] - point, axis=1) < NEAR_PX
    return xy, _sigma_px(h, scene_xy, image_xy, point), int(near.sum())


def _apply(h: np.ndarray, xy: np.ndarray) -> np.ndarray:
    out = np.column_stack([xy, np.ones(len(xy))]) @ h.T
    return out[:, :2] / out[:, 2:]


def _sane(h: np.ndarray, point: np.ndarray) -> bool:
    """The map keeps orientation and changes scale by less than four around the point."""
    around = point + np.array([[-8.0, -8.0], [8.0, -8.0], [8.0, 8.0], [-8.0, 8.0]])
    depth = np.column_stack([around, np.ones(4)]) @ h[2]
    if np.any(depth <= 0) == np.any(depth > 0):
        return False
    q = _apply(h, around)
    area = 0.5 * np.sum(q[:, 0] * np.roll(q[:, 1], -1) - np.roll(q[:, 0], -1) * q[:, 1]) / 256
    return bool(1 / 16 < area < 16)


def _sigma_px(h: np.ndarray, scene_xy: np.ndarray, image_xy: np.ndarray, point: np.ndarray) -> float:
    """Error of the carried point: the tracker's own, and how badly the homography fits around it.

    All matches count, those that RANSAC left out too: near things off the common plane are what is wrong with a
    homography. Only what no parallax explains is a wrong match.
    """
    left = np.linalg.norm(_apply(h, scene_xy) - image_xy, axis=1)
    distance = np.linalg.norm(scene_xy - point, axis=1)
    weight = np.exp(-0.5 * (distance / NEAR_PX) ** 2) * (left < MAX_PARALLAX_PX) + 1e-9
    misfit = np.sqrt(np.sum(weight * np.minimum(left, MAX_PARALLAX_PX) ** 2) / np.sum(weight))
    nearest = np.sort(distance[left < RANSAC_PX])[:MIN_NEAR][-1]
    return float(np.hypot(TRACKER_PX, misfit * (1 + nearest / NEAR_PX)))


def read_rows(path: Path) -> list[Row]:
    """The inverse of `write_rows`.

    Raises:
        SessionError: no such table.
    """
    if not path.is_file():
        raise SessionError(f"{path} does not exist; run `syncctl align` on its session")
    with path.open(newline="") as file:
        return [_read_row(r) for r in csv.DictReader(file)]


def _read_row(cells: dict[str, str]) -> Row:
    x, y, sigma = (float(cells[k]) if cells[k] else None for k in COLUMNS[1:4])
    return Row(_nanoseconds(cells["t_s"]), x, y, sigma, cells["verdict"])


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write the table, whole or not at all: times to the nanosecond, empty cells where there is no answer."""
    with replacing(path) as scratch, scratch.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(COLUMNS)
        for r in rows:
            numbers = ("" if v is None else v for v in (r.x_px, r.y_px, r.sigma_px))
            out.writerow([f"{Decimal(r.t_ns).scaleb(-9):.9f}", *numbers, r.verdict])
