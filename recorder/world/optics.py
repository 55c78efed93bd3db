"""What a camera's lens and shutter do to a picture: bent lines, lines of different times, and blur.

A lens bends as Brown's polynomial says (Brown 1966; the same coefficients as OpenCV's). A rolling shutter takes one
line after the other, an exposure lasts. For both a picture is drawn once, at the time of its middle line's middle of
exposure, and each of its points is looked up where the camera, turning as fast as it does at that time, had it: exact
for a camera that turns before a room that rests. What moves by itself, and the camera's own way, are left out: at 1 m/s
and 2 m they are 2 px of 320 in 17 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial.transform import Rotation

CELLS_PX = (32, 16, 8)
"""The map is exact at the corners of such squares and straight between,"""
EXACT_PX = 0.03
"""and the squares are as large as leaves it within this, but at least as large as the last."""
BLUR_PX = 1.0
"""An exposure is the mean of moments that are this far apart in the picture at most."""
MOST_MOMENTS = 8
FARTHEST = 3.0
"""Tangent of the angle from the axis beyond which a lens bends no further: no camera here sees that far."""
MARGIN = 1.03
"""A picture is drawn so much wider than its lens needs, for what turns into it."""


@dataclass(frozen=True)
class Lens:
    """Brown's coefficients: k1 and k2 are symmetric, p1 and p2 of glass that is off the axis. All 0 is a pinhole."""

    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0

    def bent(self, flat: np.ndarray) -> np.ndarray:
        """(..., 2) where the lens puts points (..., 2), both as tangents of the angles from the axis."""
        x, y = np.moveaxis(flat, -1, 0)
        with np.errstate(invalid="ignore"):
            r2 = np.minimum(x * x + y * y, FARTHEST**2)
            drawn = flat * (1 + r2 * (self.k1 + r2 * self.k2))[..., None]
            near = (x * x + y * y < FARTHEST**2)[..., None]
        aside = np.stack([2 * self.p1 * x * y + self.p2 * (r2 + 2 * x * x)], axis=-1)
        down = np.stack([self.p1 * (r2 + 2 * y * y) + 2 * self.p2 * x * y], axis=-1)
        return np.asarray(drawn + np.where(near, np.concatenate([aside, down], axis=-1), 0.0))

    def straight(self, bent: np.ndarray) -> np.ndarray:
        """(..., 2) the way back, by steps that each leave a tenth of what is missing or less."""
        flat = bent
        for _ in range(25):
            flat = flat + (bent - self.bent(flat))
        return flat


PINHOLE = Lens()


@dataclass(frozen=True)
class Shutter:
    """How long a picture takes: `rolling_s` from its first line to its last, `exposure_s` each line."""

    rolling_s: float = 0.0
    exposure_s: float = 0.0


INSTANT = Shutter()


@dataclass(frozen=True)
class Look:
    """Where a turning camera looks in a straight picture, at the corners of cells: (R, C, 2) px, from left and below.

    Attributes:
        begun, ended: when the exposure begins and ends; the way between is straight.
        moments: how many, evenly spread over the exposure, the picture is the mean of.
    """

    begun: np.ndarray
    ended: np.ndarray
    moments: int

    @property
    def shares(self) -> list[float]:
        """Of the exposure, when its moments are."""
        return [(k + 0.5) / self.moments for k in range(self.moments)]

    def at(self, share: float) -> np.ndarray:
        """(R, C, 2) float32 px at a share of the exposure."""
        return self.begun + np.float32(share) * (self.ended - self.begun)


class Optics:
    """A camera's: from the straight picture that is drawn for it to the one that it takes."""

    def __init__(self, lens: Lens, size: tuple[int, int], focal: float) -> None:
        """For pictures of `size` (width, height) with a focal length of `focal` pixels."""
        import cv2

        self._cv2 = cv2
        self.size, width, height = size, *size
        self._focal = focal
        self._middle = (np.array(size) - 1) / 2
        self._lens = lens
        cell = next((px for px in CELLS_PX if self._off_px(px) < EXACT_PX), CELLS_PX[-1])
        corners = self._grid(cell)  # (R, C, 2) px
        self._row_share = (corners[:, 0, 1] + 0.5) / height - 0.5
        self._rays = self._looked(corners)
        edge = np.abs(self._rays[..., :2]).reshape(-1, 2).max(axis=0) / [width / 2 / focal, height / 2 / focal]
        self.bends = lens != PINHOLE
        self.drawn_focal = focal / float(max(1.0, edge.max()) * MARGIN) if self.bends else focal
        """Of the straight picture, which is as large, pixels."""
        self._across, self._down = _between(width, corners.shape[1]).T, _between(height, corners.shape[0])
        (resting,) = self._sources(np.zeros((1, len(corners), 3)))
        self._resting = self._each_pixel(resting)

    def _grid(self, cell_px: float) -> np.ndarray:
        x, y = (np.linspace(-0.5, n - 0.5, 1 + int(-(-n // cell_px))) for n in self.size)
        return np.stack(np.meshgrid(x, y), axis=-1)

    def _off_px(self, cell_px: float) -> float:
        """How far the map between the corners of cells is from the lens at most, which is in their middles."""
        there = self._looked(self._grid(cell_px / 2))[..., :2]
        rows, columns = (n // 2 * 2 + 1 for n in (there.shape[0] - 1, there.shape[1] - 1))
        there = there[:rows, :columns]
        between = (there[:-2:2, :-2:2] + there[2::2, :-2:2] + there[:-2:2, 2::2] + there[2::2, 2::2]) / 4
        return float(np.abs(there[1::2, 1::2] - between).max(initial=0.0) * self._focal)

    def _looked(self, px: np.ndarray) -> np.ndarray:
        flat = self._lens.straight((px - self._middle) / self._focal)
        return np.concatenate([flat, np.ones((*flat.shape[:-1], 1))], axis=-1)

    def seen(self, straight: np.ndarray, look: Look | None = None) -> np.ndarray:
        """(H, W, 3) uint8 what a camera takes.

        Args:
            straight: (H, W, 4) uint8 what is drawn for it, as GL gives it: the lowest row first.
            look: how it turns meanwhile; None where it rests.
        """
        if look is None:
            return self._upright(self._remapped(straight, self._resting) if self.bends else straight[::-1])
        moments = [self._remapped(straight, self._each_pixel(look.at(share))) for share in look.shares]
        if len(moments) == 1:
            return self._upright(moments[0])
        total = np.zeros(straight.shape, np.uint16)
        for moment in moments:
            total += moment
        return self._upright(self._cv2.convertScaleAbs(total, alpha=1 / len(moments)))

    def looks(self, spin: np.ndarray, shutter: Shutter) -> list[Look | None]:
        """How a camera that turns by (N, 3) rad/s, in its own frame, looks at each of N straight pictures."""
        ends = np.array([[-0.5], [0.5]]) * shutter.exposure_s
        row_s = shutter.rolling_s * self._row_share + ends  # (2, R)
        sources = self._sources((row_s[..., None] * spin[:, None, None]).reshape(-1, row_s.shape[1], 3))
        blur_px = np.linalg.norm(spin, axis=1) * shutter.exposure_s * self._focal
        moments = np.clip(np.ceil(blur_px / BLUR_PX), 1, MOST_MOMENTS).astype(int)
        return [
            Look(begun, ended, count) if turn.any() else None
            for begun, ended, count, turn in zip(sources[::2], sources[1::2], moments.tolist(), spin, strict=True)
        ]

    def _upright(self, picture: np.ndarray) -> np.ndarray:
        """Without the fourth channel."""
        return np.asarray(self._cv2.cvtColor(np.ascontiguousarray(picture), self._cv2.COLOR_RGBA2RGB))

    def _remapped(self, straight: np.ndarray, at: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        cv2 = self._cv2
        return np.asarray(cv2.remap(straight, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))

    def _each_pixel(self, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Two (H, W) float32 of what is (R, C, 2) at the corners of cells, straight between them."""
        x, y = (self._down @ corners[..., k] @ self._across for k in (0, 1))
        return x, y

    def _sources(self, turned: np.ndarray) -> np.ndarray:
        """(K, R, C, 2) float32 px in the straight picture, from the left and from below, where corners of cells look.

        The camera had turned by (K, R, 3) rad at each row of them.
        """
        turns = Rotation.from_rotvec(turned.reshape(-1, 3)).as_matrix().reshape(*turned.shape, 3)
        looked = self._rays @ np.swapaxes(turns, -1, -2)
        at = looked[..., :2] / looked[..., 2:] * self.drawn_focal + self._middle
        at[..., 1] = self.size[1] - 1 - at[..., 1]
        return np.asarray(at, np.float32)

    @cached_property
    def _nearest(self) -> tuple[np.ndarray, np.ndarray]:
        """Two (H, W) int the column and the row of the straight picture's pixel that each pixel shows."""
        width, height = self.size
        px = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
        at = self._looked(px)[..., :2] * self.drawn_focal + self._middle
        x, y = (np.rint(at[..., k]).astype(int).clip(0, self.size[k] - 1) for k in (0, 1))
        return x, y

    def bend(self, straight: np.ndarray) -> np.ndarray:
        """A straight picture (H, W) of names or depths through the lens: the nearest pixel, none mixed."""
        x, y = self._nearest
        return np.asarray(straight[y, x])


def _between(pixels: int, corners: int) -> np.ndarray:
    """(pixels, corners) float32 how much of each corner is in each pixel's middle; corners are spread evenly."""
    at = (np.arange(pixels) + 0.5) / pixels * (corners - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(at[:, None] - np.arange(corners))), np.float32)
