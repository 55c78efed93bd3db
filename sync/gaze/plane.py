"""Gaze by one homography, as the muscles paper does: exact for far or flat scenes, off by parallax for near ones."""

from __future__ import annotations

import cv2
import numpy as np

from sync.gaze.features import detect, matched
from sync.gaze.lens import rescaled, unit_px
from sync.gaze.pairs import Sight

ENOUGH = 480
"""Pictures are halved until they are no wider: parallax, not pixels, is what a homography is wrong by."""
FEATURES = 800
RANSAC_PX = 3.0
MIN_INLIERS = 15
MIN_SHARE = 0.25
NEAR_PX = 180.0
MIN_NEAR = 6
MAX_PARALLAX_PX = 90.0


def place(sight: Sight, point: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Carry one gaze point (2,) px of the scene picture over by all that both pictures show; see `transfer`."""
    scene, head, halvings = sight.scene, sight.head, 0
    while scene.shape[1] > ENOUGH and head.shape[1] > ENOUGH:
        scene, head = (cv2.resize(x, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for x in (scene, head))
        halvings += 1
    a, b = detect(scene, FEATURES), detect(head, FEATURES)
    i, j = matched(a, b)
    scale = 2.0**halvings
    scene_xy, found = sight.at_its_time(rescaled(a.xy[i], scale).astype(np.float32))
    head_xy = rescaled(b.xy[j], scale)
    return transfer(scene_xy[found], head_xy[found], point, unit_px(sight.scene.shape[1]))


def transfer(
    scene_xy: np.ndarray, head_xy: np.ndarray, point: np.ndarray, px: float = 1.0
) -> tuple[np.ndarray, np.ndarray] | None:
    """Carry one point by the homography of matching points.

    Args:
        scene_xy: (N, 2) px.
        head_xy: (N, 2) px, the same points in the other picture.
        point: (2,) in the first picture.
        px: `sync.gaze.lens.unit_px` of the pictures.

    Returns:
        (2,) in the second picture and its (2, 2) covariance in px^2; None where too few agree, or where the
        homography folds the picture over.
    """
    if len(scene_xy) < MIN_INLIERS:
        return None
    h, mask = cv2.findHomography(
        scene_xy.astype(np.float64), head_xy.astype(np.float64), cv2.USAC_MAGSAC, RANSAC_PX * px,
        maxIters=1000, confidence=0.995,
    )  # fmt: skip
    if h is None:
        return None
    inlier = mask.ravel().astype(bool)
    if inlier.sum() < MIN_INLIERS or inlier.mean() < MIN_SHARE or not _sane(h, point):
        return None
    xy = _apply(h, point[None])[0]
    return xy, _covariance(h, scene_xy, head_xy, point, px)


def _apply(h: np.ndarray, xy: np.ndarray) -> np.ndarray:
    out = np.column_stack([xy, np.ones(len(xy))]) @ h.T
    return out[:, :2] / out[:, 2:]


def _sane(h: np.ndarray, point: np.ndarray) -> bool:
    """The map keeps orientation and changes area by less than sixteen around the point."""
    around = point + np.array([[-8.0, -8.0], [8.0, -8.0], [8.0, 8.0], [-8.0, 8.0]])
    depth = np.column_stack([around, np.ones(4)]) @ h[2]
    if np.any(depth <= 0) == np.any(depth > 0):
        return False
    q = _apply(h, around)
    area = 0.5 * np.sum(q[:, 0] * np.roll(q[:, 1], -1) - np.roll(q[:, 0], -1) * q[:, 1]) / 256
    return bool(1 / 16 < area < 16)


def _covariance(h: np.ndarray, scene_xy: np.ndarray, head_xy: np.ndarray, point: np.ndarray, px: float) -> np.ndarray:
    """How badly the homography fits around the point, (2, 2) px^2.

    All matches count, those that RANSAC left out too: near things off the common plane are what is wrong with a
    homography. Only what no parallax explains is a wrong match.
    """
    left = head_xy - _apply(h, scene_xy)
    size = np.linalg.norm(left, axis=1)
    distance = np.linalg.norm(scene_xy - point, axis=1) / px
    weight = np.exp(-0.5 * (distance / NEAR_PX) ** 2) * (size < MAX_PARALLAX_PX * px) + 1e-9
    spread = (left * weight[:, None]).T @ left / weight.sum()
    nearest = np.sort(distance[size < RANSAC_PX * px])[:MIN_NEAR][-1]
    return (spread + 0.5 * px**2 * np.eye(2)) * (1 + nearest / NEAR_PX) ** 2
