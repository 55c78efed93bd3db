"""How a camera bends rays: from pixels to directions and back.

Two models, both OpenCV's, so that what `syncctl calibrate` stores means the same to other tools: ``brown`` (the
polynomial of Brown 1966 on the tangent of the angle; k1, k2, p1, p2, k3) and ``fisheye`` (the polynomial of Kannala
and Brandt 2006 on the angle itself; k1 to k4), which also serves for wide lenses and, with k1 = 1/3, k2 = 2/15, is a
pinhole to the fifth order.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import cv2
import numpy as np

from firmware_host.errors import SessionError

WIDTH = 960
"""Pictures are worked on at this width or their own, if that is smaller; thresholds are told for it."""
WIDEST = 1.4
"""No ray further than this from the axis is believed, radians."""


@dataclass(frozen=True)
class Lens:
    """A camera's intrinsics. Pixels have their origin at the centre of the top-left pixel.

    Attributes:
        size: (width, height) of the pictures they are for, px.
        model: ``brown`` or ``fisheye``.
        focal: (fx, fy), px.
        middle: (cx, cy), the principal point, px.
        bend: the coefficients of the model, in OpenCV's order.
    """

    size: tuple[int, int]
    model: str
    focal: tuple[float, float]
    middle: tuple[float, float]
    bend: tuple[float, ...]

    def rays(self, px: np.ndarray) -> np.ndarray:
        """(N, 2) pixels to (N, 3) unit directions, x right, y down, z forward."""
        flat = (np.asarray(px, np.float64).reshape(-1, 2) - self.middle) / self.focal
        if self.model == "brown":
            straight = cv2.undistortPoints(flat[:, None], np.eye(3), np.array(self._five))[:, 0] if len(flat) else flat
            out = np.column_stack([straight, np.ones(len(flat))])
        else:
            bent = np.linalg.norm(flat, axis=1)
            angle = self._unbent(bent)
            out = np.column_stack([flat * (np.sin(angle) / np.maximum(bent, 1e-12))[:, None], np.cos(angle)])
        return out / np.linalg.norm(out, axis=1, keepdims=True)

    def pixels(self, rays: np.ndarray) -> np.ndarray:
        """(..., 3) directions of any length to (..., 2) pixels; NaN behind the camera."""
        x, y, z = np.moveaxis(np.asarray(rays, np.float64), -1, 0)
        across = np.hypot(x, y)
        angle = np.arctan2(across, z)
        with np.errstate(all="ignore"):
            if self.model == "brown":
                flat = np.stack([x / z, y / z], axis=-1)
                k1, k2, p1, p2, k3 = self._five
                r2 = np.sum(flat**2, axis=-1, keepdims=True)
                xy = np.prod(flat, axis=-1, keepdims=True)
                tilt = 2 * xy * [p1, p2] + (r2 + 2 * flat**2) * [p2, p1]
                bent = flat * (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) + tilt
            else:
                scale = np.where(across > 1e-9, self._bent(angle) / np.maximum(across, 1e-12), 1 / np.maximum(z, 1e-12))
                bent = np.stack([x * scale, y * scale], axis=-1)
            out = bent * self.focal + self.middle
        out[angle > WIDEST] = np.nan
        return out

    def scaled(self, width: int) -> Lens:
        """The same lens for pictures of another width and the same aspect."""
        s = width / self.size[0]
        size = (width, round(self.size[1] * s))
        middle = ((self.middle[0] + 0.5) * s - 0.5, (self.middle[1] + 0.5) * s - 0.5)
        return replace(self, size=size, focal=(self.focal[0] * s, self.focal[1] * s), middle=middle)

    @property
    def _five(self) -> tuple[float, ...]:
        return (*self.bend, 0.0, 0.0, 0.0, 0.0, 0.0)[:5]

    def _bent(self, angle: np.ndarray) -> np.ndarray:
        k = (*self.bend, 0.0, 0.0, 0.0, 0.0)[:4]
        a2 = angle * angle
        return angle * (1 + a2 * (k[0] + a2 * (k[1] + a2 * (k[2] + a2 * k[3]))))

    def _unbent(self, bent: np.ndarray) -> np.ndarray:
        """The inverse of `_bent`, by Newton's steps; the polynomial rises where lenses are real."""
        k = (*self.bend, 0.0, 0.0, 0.0, 0.0)[:4]
        angle = np.minimum(bent, WIDEST)
        for _ in range(6):
            a2 = angle * angle
            slope = 1 + a2 * (3 * k[0] + a2 * (5 * k[1] + a2 * (7 * k[2] + a2 * 9 * k[3])))
            angle = np.clip(angle - (self._bent(angle) - bent) / np.maximum(slope, 0.1), 0.0, WIDEST)
        return angle

    def to_json(self) -> dict[str, Any]:
        """What a manifest keeps."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any], where: str) -> Lens:
        """The inverse of `to_json`; other keys are left alone.

        Raises:
            SessionError: something is missing or is no lens; `where` says whose.
        """
        try:
            lens = cls(
                (int(value["size"][0]), int(value["size"][1])),
                str(value["model"]),
                (float(value["focal"][0]), float(value["focal"][1])),
                (float(value["middle"][0]), float(value["middle"][1])),
                tuple(float(k) for k in value["bend"]),
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise SessionError(f"{where} has damaged intrinsics ({error}); run `syncctl calibrate` again") from error
        numbers = (*lens.focal, *lens.middle, *lens.bend)
        most = {"brown": 5, "fisheye": 4}.get(lens.model, -1)
        if len(lens.bend) > most or not np.isfinite(numbers).all() or min(*lens.focal, *lens.size) <= 0:
            raise SessionError(f"{where} has intrinsics that are no lens; run `syncctl calibrate` again")
        return lens


def unit_px(width: int) -> float:
    """What a pixel of a picture `WIDTH` wide is in one of another width; noise does not shrink below half of it."""
    return max(width / WIDTH, 0.5)


def rescaled(xy: np.ndarray, scale: float) -> np.ndarray:
    """Pixels of a picture as pixels of the same picture `scale` times as wide; pixel centres are whole numbers."""
    return (xy + 0.5) * scale - 0.5


def assumed(size: tuple[int, int]) -> Lens:
    """A lens nobody knows: 85 degrees wide, somewhat bent."""
    focal = size[0] / 2 / 0.85
    return Lens(size, "fisheye", (focal, focal), ((size[0] - 1) / 2, (size[1] - 1) / 2), (0.2, 0.05))
