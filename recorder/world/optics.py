"""What a camera's lens and shutter do to a picture: bent lines, lines of different times, and blur.

A lens bends as Brown's polynomial says (Brown 1966; the same coefficients as OpenCV's). A rolling shutter takes one
line after the other, an exposure lasts. For both a picture is drawn once, at the time of its middle line's middle of
exposure, and each of its points is looked up where the camera, turning as fast as it does at that time, had it: exact
for a camera that turns before a room that rests. What moves by itself, and the camera's own way, are left out: at 1 m/s
and 2 m they are 2 px of 320 in 17 ms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

CELL_PX = 8
"""The map is exact at the corners of such squares and straight between: within 0.03 px."""
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

    @property
    def folds_at(self) -> float:
        """Tangent of the angle from which on the symmetric part would put farther points nearer; inf if never."""
        roots = np.roots([5 * self.k2, 3 * self.k1, 1.0]) if self.k2 else np.array([-1 / (3 * self.k1 or -np.inf)])
        real = roots[np.isreal(roots)].real
        positive = real[real > 0]
        return float(np.sqrt(positive.min())) if len(positive) else float("inf")


PINHOLE = Lens()


@dataclass(frozen=True)
class Shutter:
    """How long a picture takes: `rolling_s` from its first line to its last, `exposure_s` each line."""

    rolling_s: float = 0.0
    exposure_s: float = 0.0


INSTANT = Shutter()


class Optics:
    """Where a picture's points are in the straight picture that is drawn for it."""

    def __init__(self, lens: Lens, size: tuple[int, int], focal: float) -> None:
        """For pictures of `size` (width, height) with a focal length of `focal` pixels."""
        self.size, width, height = size, *size
        self._focal = focal
        self._middle = (np.array(size) - 1) / 2
        self._lens = lens
        x, y = (np.linspace(-0.5, n - 0.5, 1 + -(-n // CELL_PX)) for n in size)
        self.corners = np.stack(np.meshgrid(x, y), axis=-1)  # (R, C, 2) px
        self._rays = self._looked(self.corners)
        edge = np.abs(self._rays[..., :2]).reshape(-1, 2).max(axis=0) / [width / 2 / focal, height / 2 / focal]
        self.bends = lens != PINHOLE
        self.drawn_focal = focal / float(max(1.0, edge.max()) * MARGIN) if self.bends else focal
        """Of the straight picture, which is as large, pixels."""
        self._resting = [self._source(np.zeros((len(self.corners), 3)))]

    def _looked(self, px: np.ndarray) -> np.ndarray:
        flat = self._lens.straight((px - self._middle) / self._focal)
        return np.concatenate([flat, np.ones((*flat.shape[:-1], 1))], axis=-1)

    def sources(self, spin: np.ndarray, shutter: Shutter) -> list[np.ndarray]:
        """(R, C, 2) px of the straight picture for each corner, once for each moment of the exposure.

        Args:
            spin: (3,) how fast the camera turns, rad/s, in its own frame.
            shutter: of the camera.
        """
        if not spin.any():
            return self._resting
        row_s = shutter.rolling_s * ((self.corners[:, 0, 1] + 0.5) / self.size[1] - 0.5)
        blur_px = float(np.linalg.norm(spin)) * shutter.exposure_s * self._focal
        count = int(np.clip(np.ceil(blur_px / BLUR_PX), 1, MOST_MOMENTS))
        within = shutter.exposure_s * ((np.arange(count) + 0.5) / count - 0.5)
        return [self._source(np.outer(row_s + s, spin)) for s in within]

    def _source(self, turned: np.ndarray) -> np.ndarray:
        """The same when the camera has turned by (R, 3) rad while each row was seen."""
        seen = np.einsum("rij,rcj->rci", Rotation.from_rotvec(turned).as_matrix(), self._rays)
        return np.asarray(seen[..., :2] / seen[..., 2:] * self.drawn_focal + self._middle)

    def bend(self, straight: np.ndarray) -> np.ndarray:
        """A straight picture (H, W) of names or depths through the lens: the nearest pixel, none mixed."""
        width, height = self.size
        px = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
        at = self._looked(px)[..., :2] * self.drawn_focal + self._middle
        x, y = (np.rint(at[..., k]).astype(int).clip(0, self.size[k] - 1) for k in (0, 1))
        return np.asarray(straight[y, x])
