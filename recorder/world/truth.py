"""What is true about a moment: boxes in each picture, and the relations between person and things."""

from __future__ import annotations

import numpy as np

from recorder.world.optics import PINHOLE
from recorder.world.plan import Box, CameraModel
from recorder.world.shapes import Shape

NEAR = 0.03


def surface_points(shapes: tuple[Shape, ...]) -> np.ndarray:
    """(P, 3) the outermost points of some shapes, enough to bound them within about a pixel."""
    from scipy.spatial import ConvexHull

    turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    height = np.linspace(-1, 1, 15)[:, None]
    ring = np.sqrt(1 - height**2)
    ball = np.stack(np.broadcast_arrays(ring * np.cos(turn), ring * np.sin(turn), height + 0 * turn), axis=-1).reshape(
        -1, 3
    )
    corners = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
    clouds = []
    for shape in shapes:
        if shape.kind == "box":
            cloud = corners * shape.size
        elif shape.kind == "ellipsoid":
            cloud = ball * shape.size
        else:
            radius, half = shape.size
            end = np.sign(ball[:, 2:]) * [0, 0, half]
            cloud = ball * radius + end
            if shape.kind == "cylinder":
                rim = np.column_stack([np.cos(turn), np.sin(turn)]) * radius
                cloud = np.concatenate([np.column_stack([rim, np.full(len(turn), z)]) for z in (-half, half)])
        clouds.append(shape.turn.apply(cloud) + shape.pos)
    cloud = np.concatenate(clouds)
    return np.asarray(cloud[ConvexHull(cloud).vertices])


def pinhole(model: CameraModel, seen: np.ndarray) -> np.ndarray:
    """(..., 2) px of points (..., 3) in the camera's frame (x right, y down, z forward), by its lens; NaN behind it."""
    depth = np.where(seen[..., 2:] > NEAR, seen[..., 2:], np.nan)
    flat = seen[..., :2] / depth
    bent = flat if model.lens == PINHOLE else model.lens.bent(flat)
    return bent * [model.fx, model.fy] + [model.cx, model.cy]


def bounds(name: str, kind: str, model: CameraModel, px: np.ndarray) -> list[Box | None]:
    """The N boxes of projected points (N, P, 2), NaN behind the camera; None where nothing is in the frame."""
    known = np.isfinite(px[..., :1])
    # A pixel covers half a unit on each side of its centre.
    edge = [model.width - 0.5, model.height - 0.5]
    low = np.clip(np.where(known, px, np.inf).min(axis=1), -0.5, edge)
    high = np.clip(np.where(known, px, -np.inf).max(axis=1), -0.5, edge)
    rows = np.concatenate([low, high], axis=1).tolist()
    return [Box(name, kind, *row) if ok else None for row, ok in zip(rows, (high - low >= 1).all(axis=1), strict=True)]
