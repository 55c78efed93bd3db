"""How a camera turned, from its pictures.

Corners are followed from each frame to the next (Lucas and Kanade 1981, in a pyramid). A turning camera moves every
one of them by its direction alone, a travelling one by its distance too, and a hand that moves in front of it as it
likes. So the turn is what the most corners agree on: a consensus of pairs of them, then least squares with weights
that forget what does not fit. Far away, which is where most corners are, only the turn is left.

A rolling shutter reads the last row up to a frame's time after the first, so while the turning grows the bottom rows
turn faster than the top ones. That difference is fitted beside the turn and given as `shear_rad_s`: against a
gyroscope's acceleration it tells the read-out time, and with it which moment a frame's stamp belongs to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from sync.filmed import Filmed
from sync.motion.blur import Smear
from sync.motion.turning import Turning

WIDTH = 320
CORNERS = 160
MIN_CORNERS = 24
"""Fewer that agree say nothing; a bare wall has none."""
MIN_SHARE = 0.3
QUALITY, APART_PX, WINDOW_PX = 0.005, 9, 15
RENEW_BELOW = 0.6
"""Corners are sought anew when this share of them is left."""
PAIRS = 48
LOOSE_PX, TIGHT_PX = 1.5, 0.4
"""What agrees with a pair's turn, and the scale of the weights at the end."""
ROUNDS = 6
DROPPED = 2.5
"""After a gap of more than this many frame times the frames are too far apart to follow anything."""


def camera_turning(filmed: Filmed) -> Turning:
    """The turning of a camera about its own axes: x to the right of the picture, y down, z forward.

    Returns:
        One rate a frame after the first, at the middle between the two frames; NaN where too few corners agree.
        The focal length need not be right: too long a one makes rates about x and y too small, all by the same.
    """
    t_ns = filmed.t_ns
    rates = np.full((max(len(t_ns) - 1, 0), 6), np.nan)
    steps = np.diff(t_ns)
    smear = Smear() if filmed.exposure_matters else None
    # Where there are more pictures than times, what has no time is left out.
    for k, flow in zip(range(len(rates)), flows(filmed.pictures(WIDTH)), strict=False):
        if steps[k] <= DROPPED * filmed.frame_ns:
            rates[k] = turn(flow.was, flow.now, flow.after.shape[:2], filmed.focal * WIDTH) / (steps[k] * 1e-9)
            if smear is not None and len(flow.was) >= MIN_CORNERS:
                smear.add(flow.before, np.median(flow.now - flow.was, axis=0) * (filmed.frame_ns / steps[k]))
    to_middle_ns, sigma_ns = filmed.exposed(None if smear is None else smear.share())
    late = ((f"exposure of {filmed.clock}'s camera", sigma_ns),) if sigma_ns else ()
    middles = t_ns[:-1] + steps // 2 + round(to_middle_ns) if len(t_ns) else t_ns
    width_ns = round(filmed.frame_ns) if len(steps) else 0
    return Turning(filmed.clock, middles, rates[:, :3], width_ns, late, rates[:, 3:], filmed.first_row)


@dataclass(frozen=True)
class Flow:
    """Where corners were in one picture and are in the next.

    Attributes:
        before, after: (H, W) uint8.
        was, now: (N, 2) float32 pixels, x right and y down from the middle of the top-left pixel.
    """

    before: np.ndarray
    after: np.ndarray
    was: np.ndarray
    now: np.ndarray


def flows(pictures: Iterator[np.ndarray]) -> Iterator[Flow]:
    """One flow for each picture after the first."""
    before: np.ndarray | None = None
    corners, sought = np.empty((0, 2), np.float32), 1
    for picture in pictures:
        if before is None:
            before = picture
            continue
        if len(corners) < RENEW_BELOW * sought or len(corners) < MIN_CORNERS:
            corners = _corners(before)
            sought = max(len(corners), 1)
        was, now = _followed(before, picture, corners)
        yield Flow(before, picture, was, now)
        before, corners = picture, now


def _corners(picture: np.ndarray) -> np.ndarray:
    found = cv2.goodFeaturesToTrack(picture, CORNERS, QUALITY, APART_PX)
    return np.empty((0, 2), np.float32) if found is None else found.reshape(-1, 2)


def _followed(before: np.ndarray, after: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Those corners that are found in the next picture, inside it."""
    if not len(corners):
        return corners, corners
    window = (WINDOW_PX, WINDOW_PX)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, np.empty(0), winSize=window, maxLevel=3)
    h, w = before.shape
    good = (found[:, 0] == 1) & (moved >= 2).all(axis=1) & (moved < [w - 3, h - 3]).all(axis=1)
    return corners[good], moved[good]


def turn(was: np.ndarray, now: np.ndarray, size: tuple[int, int], focal_px: float) -> np.ndarray:
    """The turn that most of the flow agrees on.

    Args:
        was, now: (N, 2) pixels in one picture and in the next. size: its (H, W).

    Returns:
        (6,) float64: rotation vector of the camera in rad, and its change from the first row to the last; NaN where
        too few corners agree.
    """
    if len(was) < MIN_CORNERS:
        return np.full(6, np.nan)
    moved = (now - was).astype(np.float64).ravel()
    model = _model((was + now) / 2, size, focal_px)
    turned = _consensus(model, moved)
    if turned is None:
        return np.full(6, np.nan)
    rows = ((was + now)[:, 1] / 2 / size[0] - 0.5).repeat(2)
    model = np.column_stack([model, model * rows[:, None]])
    solution = np.concatenate([turned, np.zeros(3)])
    ridge = np.diag([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]) * 1e-3 * focal_px**2
    scale = LOOSE_PX
    for _ in range(ROUNDS):
        scale = max(scale * 0.7, TIGHT_PX)
        error = (moved - model @ solution).reshape(-1, 2)
        weight = (1 / (1 + np.sum(error**2, axis=1) / scale**2) ** 2).repeat(2)
        weighed = model * weight[:, None]
        solution = np.linalg.solve(weighed.T @ model + ridge, weighed.T @ moved)
    return np.asarray(solution)


def rotation_field(turned: np.ndarray, size: tuple[int, int], focal_px: float) -> np.ndarray:
    """(H, W, 2) float32 pixels: how every point of a far scene moves when the camera turns by a rotation vector."""
    x, y = np.meshgrid(np.arange(size[1]), np.arange(size[0]))
    at = np.column_stack([x.ravel(), y.ravel()]).astype(np.float64)
    return np.asarray((_model(at, size, focal_px) @ turned).reshape(*size, 2), np.float32)


def _model(at: np.ndarray, size: tuple[int, int], focal_px: float) -> np.ndarray:
    """(2 N, 3): how corners move, in pixels, when the camera turns by one radian (Longuet-Higgins and Prazdny 1980)."""
    x, y = ((at - [(size[1] - 1) / 2, (size[0] - 1) / 2]) / focal_px).T
    across = np.column_stack([x * y, -(1 + x * x), y])
    down = np.column_stack([1 + y * y, -x * y, -x])
    return np.asarray(np.stack([across, down], axis=1).reshape(-1, 3) * focal_px)


def _consensus(model: np.ndarray, moved: np.ndarray) -> np.ndarray | None:
    """The turn of that pair of corners with which the most others agree; None if too few do."""
    n = len(moved) // 2
    pairs = np.random.default_rng(n).integers(0, n, (PAIRS, 2))
    index = np.stack([2 * pairs, 2 * pairs + 1], axis=2).reshape(PAIRS, 4)
    chosen, wanted = model[index], moved[index]
    normal = chosen.transpose(0, 2, 1) @ chosen + 1e-6 * np.eye(3)
    turns = np.linalg.solve(normal, chosen.transpose(0, 2, 1) @ wanted[:, :, None])[:, :, 0]
    turns = np.vstack([turns, np.linalg.lstsq(model, moved, rcond=None)[0]])
    error = (moved - turns @ model.T).reshape(len(turns), n, 2)
    fits = np.sum(error**2, axis=2) < LOOSE_PX**2
    best = int(np.argmax(fits.sum(axis=1)))
    if fits[best].sum() < max(MIN_CORNERS, MIN_SHARE * n):
        return None
    near = fits[best].repeat(2)
    return np.asarray(np.linalg.lstsq(model[near], moved[near], rcond=None)[0])
