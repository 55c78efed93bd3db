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


Part = tuple[int, int, int, int]
"""Of a picture, pixels: its first column and row, its width and height."""


@dataclass(frozen=True)
class Net:
    """Which places of a straight picture are seen where, at V corners of cells. All (V, 2) float32.

    Attributes:
        places: in the picture, -1 to 1 from left to right and downwards.
        begun, ended: in the straight picture when the exposure begins and ends, 0 to 1 from the left and from below;
            the way between is straight.
        moments: how many, evenly spread over the exposure, the picture is the mean of.
        cells: (C, 4) uint32 the corners of each cell.
    """

    places: np.ndarray
    begun: np.ndarray
    ended: np.ndarray
    moments: int
    cells: np.ndarray

    def part_with(self, part: Part, size: tuple[int, int]) -> Part:
        """The part of the picture that shows a part of the straight picture, which is as large; whole cells."""
        x, y, width, height = part
        low = (np.array([x, size[1] - y - height]) - 1) / size  # a pixel aside: its neighbour is mixed in
        high = (np.array([x + width, size[1] - y]) + 1) / size
        shows = np.zeros(len(self.cells), bool)
        for at in (self.begun[self.cells], self.ended[self.cells]):
            shows |= ((at.max(axis=1) > low) & (at.min(axis=1) < high)).all(axis=1)
        if not shows.any():
            return 0, 0, 0, 0
        corners = (self.places[self.cells[shows]].reshape(-1, 2) + 1) / 2 * size
        first, last = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int)
        first, last = first.clip(0, size), last.clip(0, size)
        return int(first[0]), int(first[1]), int(last[0] - first[0]), int(last[1] - first[1])


class Optics:
    """Where a picture's points are in the straight picture that is drawn for it."""

    def __init__(self, lens: Lens, size: tuple[int, int], focal: float) -> None:
        """For pictures of `size` (width, height) with a focal length of `focal` pixels."""
        self.size, width, height = size, *size
        self._focal = focal
        self._middle = (np.array(size) - 1) / 2
        self._lens = lens
        cell = next((px for px in CELLS_PX if self._off_px(px) < EXACT_PX), CELLS_PX[-1])
        self._corners = self._grid(cell)  # (R, C, 2) px
        self._rays = self._looked(self._corners)
        edge = np.abs(self._rays[..., :2]).reshape(-1, 2).max(axis=0) / [width / 2 / focal, height / 2 / focal]
        self.bends = lens != PINHOLE
        self.drawn_focal = focal / float(max(1.0, edge.max()) * MARGIN) if self.bends else focal
        """Of the straight picture, which is as large, pixels."""
        rows, columns = self._corners.shape[:2]
        first = (np.arange(columns - 1) + columns * np.arange(rows - 1)[:, None]).reshape(-1, 1)
        self._cells = (first + [0, columns, columns + 1, 1]).astype(np.uint32)
        self._places = ((self._corners + 0.5) / size * 2 - 1).reshape(-1, 2).astype(np.float32)
        (at,) = self._sources(np.zeros((1, rows, 3)))
        self._resting = Net(self._places, at, at, 1, self._cells)

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

    def net(self, spin: np.ndarray, shutter: Shutter) -> Net:
        """How the straight picture is seen by a camera that turns.

        Args:
            spin: (3,) how fast the camera turns, rad/s, in its own frame.
            shutter: of the camera.
        """
        if not spin.any() or shutter == INSTANT:
            return self._resting
        row_s = shutter.rolling_s * ((self._corners[:, 0, 1] + 0.5) / self.size[1] - 0.5)
        blur_px = float(np.linalg.norm(spin)) * shutter.exposure_s * self._focal
        moments = int(np.clip(np.ceil(blur_px / BLUR_PX), 1, MOST_MOMENTS))
        ends = np.array([-0.5, 0.5]) * shutter.exposure_s
        begun, ended = self._sources((row_s + ends[:, None])[..., None] * spin)
        return Net(self._places, begun, ended, moments, self._cells)

    def _sources(self, turned: np.ndarray) -> np.ndarray:
        """(K, V, 2) float32 places in the straight picture when the camera had turned by (K, R, 3) rad at each row."""
        turns = Rotation.from_rotvec(turned.reshape(-1, 3)).as_matrix().reshape(*turned.shape, 3)
        seen = self._rays @ np.swapaxes(turns, -1, -2)
        share = (seen[..., :2] / seen[..., 2:] * self.drawn_focal + self._middle + 0.5) / self.size
        return np.asarray((share * [1, -1] + [0, 1]).reshape(len(turned), -1, 2), np.float32)

    def bend(self, straight: np.ndarray) -> np.ndarray:
        """A straight picture (H, W) of names or depths through the lens: the nearest pixel, none mixed."""
        width, height = self.size
        px = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
        at = self._looked(px)[..., :2] * self.drawn_focal + self._middle
        x, y = (np.rint(at[..., k]).astype(int).clip(0, self.size[k] - 1) for k in (0, 1))
        return np.asarray(straight[y, x])
