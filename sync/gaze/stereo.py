"""What is near the gaze, found in the head camera along the lines of the rigid pair.

The head picture is drawn as the scene camera would see it if all were far: what is near is then displaced, along a
known line and the further the nearer it is, and nothing else has changed. Corners around the gaze are looked for there
from several places of their lines (Lucas, Kanade 1981), in pictures whose brightness and contrast are evened out.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from sync.gaze.features import WINDOW
from sync.gaze.lens import unit_px
from sync.gaze.rig import NEAREST, Rig

AROUND_PX = 175.0
"""Corners are looked for within this square around the gaze, px of a picture `WIDTH` wide."""
CORNERS = 90
APART_PX = 9.0
WEAKEST = 0.004
"""A corner is one where the picture changes at least this much of what it does at the strongest, in both ways."""
STEP_PX = 55.0
"""A corner is looked for from places of its line so far from each other at most; `PYRAMID` halvings reach further."""
NEAR = 0.85
"""The nearest of them is for this share of `NEAREST`."""
PYRAMID = 3
ROUNDS, EXACT_PX = 12, 0.03
EVEN_PX = 15
"""Brightness and contrast are evened out over this many pixels."""
NOISE_GREY = 4.0
"""Contrast below this is not raised."""
WORST = 22.0
"""Mean difference of the evened pictures beyond which two places are not alike."""
CLEAR = 0.85
"""A place is clear where the next best one is worse by this ratio."""
COARSE = 4
"""The map from picture to picture is made for each so many pixels, and between them it is even."""
BEYOND = 0.2
"""So much of its width the far picture goes on beyond the scene picture's edges."""


class Stereo:
    """Finds corners of scene pictures in head pictures of one rig."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self._pad = round(BEYOND * rig.scene.size[0] / COARSE) * COARSE
        width, height = ((n + 2 * self._pad + COARSE - 1) // COARSE for n in rig.scene.size)
        x, y = ((np.arange(n) + 0.5) * COARSE - 0.5 - self._pad for n in (width, height))
        at = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        there = np.nan_to_num(rig.seen(at, np.zeros(len(at))), nan=-1e4).astype(np.float32)
        fine = cv2.resize(there.reshape(height, width, 2), None, fx=COARSE, fy=COARSE)
        self._maps = cv2.convertMaps(fine, np.empty(0), cv2.CV_16SC2)

    def matches(self, scene: np.ndarray, head: np.ndarray, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Corners (N, 2) px of the scene picture around `point` (2,) px, and where (N, 2) the head picture has them."""
        corners = self._corners(scene, point)
        if len(corners) == 0:
            return corners, corners
        starts = self._starts(corners)
        low = np.floor(starts.min(axis=(0, 1)) - 2 * WINDOW).astype(int)
        high = np.ceil(starts.max(axis=(0, 1)) + 2 * WINDOW).astype(int)
        limit = np.array(self._maps[0].shape[1::-1]) - self._pad
        low, high = np.maximum(low, -self._pad), np.minimum(high, limit)
        here, there = _evened(self._scene(scene, low, high)), _evened(self._flat(head, low, high))
        found, good = _sought(here, there, corners - low.astype(np.float32), starts - low.astype(np.float32))
        flat = found + low.astype(np.float32)
        head_xy = self.rig.head.pixels(self.rig.scene.rays(flat) @ self.rig.turn.T)
        size = np.array(head.shape[::-1]) - 1
        good &= ((head_xy >= 0) & (head_xy <= size)).all(axis=1)
        return corners[good], head_xy[good].astype(np.float32)

    def _corners(self, scene: np.ndarray, point: np.ndarray) -> np.ndarray:
        px = unit_px(scene.shape[1])
        half = AROUND_PX * px
        low = np.maximum(np.floor(point - half), 0).astype(int)
        high = np.minimum(np.ceil(point + half) + 1, scene.shape[::-1]).astype(int)
        if (high - low < WINDOW).any():
            return np.empty((0, 2), np.float32)
        part = scene[low[1] : high[1], low[0] : high[0]]
        found = cv2.goodFeaturesToTrack(part, CORNERS, WEAKEST, APART_PX * px)
        return np.empty((0, 2), np.float32) if found is None else found[:, 0] + low.astype(np.float32)

    def _starts(self, corners: np.ndarray) -> np.ndarray:
        """(S, N, 2) px of the far picture in which corners are seen at inverse depths that can be."""
        rig = self.rig
        rays, way = rig.scene.rays(corners), rig.way @ rig.turn
        count = 1 + math.ceil(NEAR * NEAREST * rig.scene.focal[0] / STEP_PX)
        places = [rig.scene.pixels(rays + q * way) for q in NEAR * NEAREST * np.linspace(0, 1, count) ** 1.3]
        return np.where(np.isfinite(places), places, corners).astype(np.float32)

    def _scene(self, scene: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """A part of the scene picture; beyond its edge the edge goes on."""
        size = np.array(scene.shape[::-1])
        x0, y0 = np.clip(low, 0, size - 1)
        x1, y1 = np.clip(high, 1, size)
        part = scene[y0:y1, x0:x1]
        return cv2.copyMakeBorder(part, y0 - low[1], high[1] - y1, x0 - low[0], high[0] - x1, cv2.BORDER_REPLICATE)

    def _flat(self, head: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        (x0, y0), (x1, y1) = low + self._pad, high + self._pad
        near, rest = (m[y0:y1, x0:x1] for m in self._maps)
        return cv2.remap(head, near, rest, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _evened(image: np.ndarray) -> np.ndarray:
    """The picture with the mean and contrast of its surroundings taken off, (H, W) uint8 around 128."""
    x = image.astype(np.float32)
    mean = cv2.blur(x, (EVEN_PX, EVEN_PX))
    power = cv2.blur(x * x, (EVEN_PX, EVEN_PX)) - mean * mean
    return np.clip(128 + 45 * (x - mean) / (np.sqrt(np.maximum(power, 0)) + NOISE_GREY), 0, 255).astype(np.uint8)


def _sought(
    here: np.ndarray, there: np.ndarray, corners: np.ndarray, starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where corners (N, 2) of one picture are in the other, from several starts (S, N, 2); (N,) bool: clearly so."""
    count = len(corners)
    tiled = np.ascontiguousarray(np.tile(corners, (len(starts), 1)))
    stop = cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ROUNDS, EXACT_PX
    found, ok, wrong = cv2.calcOpticalFlowPyrLK(
        here, there, tiled, starts.reshape(-1, 2).copy(), winSize=(WINDOW, WINDOW), maxLevel=PYRAMID,
        criteria=stop, flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )  # fmt: skip
    found = found.reshape(-1, count, 2)
    wrong = np.where(ok.reshape(-1, count) > 0, wrong.reshape(-1, count), np.inf)
    best = np.argmin(wrong, axis=0)
    rows = np.arange(count)
    least, place = wrong[best, rows], found[best, rows]
    other = np.where(np.linalg.norm(found - place, axis=2) > 3.0, wrong, np.inf).min(axis=0)
    return place, (least < WORST) & (least < CLEAR * other)
