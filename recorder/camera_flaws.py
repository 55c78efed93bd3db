"""What a simulated camera makes of what its lens shows it: bright or dark, noisy, and as its encoder takes it.

OpenCV does the arithmetic, since every picture of every session passes here: it takes a tenth of numpy's time.
"""

from __future__ import annotations

import cv2
import numpy as np

GRAIN_MARGIN = 64
MEAN_GREY, SPEED = 0.42, 0.2
"""What automatic exposure aims at, of full scale, and how much of what is missing it makes up for with each picture."""


class Grain:
    """A camera's noise: one pattern, laid anew at random on every picture, which nobody can tell from new noise."""

    def __init__(self, shape: tuple[int, ...], sigma: float, random: np.random.Generator) -> None:
        self._random, self._shape = random, shape
        larger = (shape[0] + GRAIN_MARGIN, shape[1] + GRAIN_MARGIN, *shape[2:])
        drawn = random.standard_normal(larger, np.float32) * np.float32(sigma) if sigma else np.zeros(0)
        # Lighter and darker apart: bytes are added a good deal faster than numbers with a sign.
        self._lighter, self._darker = (np.rint(d).clip(0, 255).astype(np.uint8) for d in (drawn, -drawn))

    def on(self, picture: np.ndarray) -> np.ndarray:
        """The picture, uint8, with noise."""
        if not self._lighter.size:
            return picture
        down, right = self._random.integers(0, GRAIN_MARGIN, 2)
        lighter, darker = (
            pattern[down : down + self._shape[0], right : right + self._shape[1]]
            for pattern in (self._lighter, self._darker)
        )
        return np.asarray(cv2.subtract(cv2.add(picture, lighter), darker))


class AutoExposure:
    """Brightens and darkens pictures as a camera does: by what it saw before, and never at once."""

    def __init__(self, most_stops: float) -> None:
        self._most, self._stops = most_stops, None if most_stops else 0.0

    def on(self, picture: np.ndarray) -> np.ndarray:
        """The picture, uint8, as bright as the camera would have made it."""
        if not self._most:
            return picture
        mean = max(sum(cv2.mean(picture[::4])[:3]) / 3 / 255, 1e-3)
        wanted = float(np.clip(np.log2(MEAN_GREY / mean), -self._most, self._most))
        self._stops = wanted if self._stops is None else self._stops + SPEED * (wanted - self._stops)
        return np.asarray(cv2.convertScaleAbs(picture, alpha=2**self._stops))


def yuv420(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB to (H * 3 / 2, W) uint8 planar YUV 4:2:0 of BT.601, as encoders take it."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420))
