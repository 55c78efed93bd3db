"""Gaze from an eye tracker's scene camera to the camera on the head, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from sync.gaze import depth, plane
from sync.gaze.pairs import Frame, Moment, moments
from sync.gaze.rig import Rig
from sync.gaze.table import Gaze, Row

WIDTH = 960
"""Pictures are worked on at this width or their own, if that is smaller."""
MIN_MATCHES = 8
NEAR_PX = 175.0
"""At least one match must be this near to the gaze."""
MAX_SIGMA_PX = 30.0
"""An answer less sure than this is refused. These three are in pixels of a picture 960 wide."""
TRACKER_DEG = 0.5
"""What the eye tracker itself is wrong by."""


def carry(
    scene: Iterable[Frame],
    head: Iterable[Frame],
    gaze: Gaze,
    scene_size: tuple[int, int],
    head_size: tuple[int, int],
    rig: Rig | None = None,
    every: int = 1,
    tracker_deg: float = TRACKER_DEG,
    done: Callable[[float], None] = lambda _: None,
) -> Iterator[Row]:
    """Carry the gaze over to frames of the head camera.

    Args:
        scene: (t_ns, gray picture of at most `WIDTH`) of the scene camera, ascending, on the eye tracker's clock.
        head: the same of the head camera, times brought to the eye tracker's clock.
        gaze: on the eye tracker's clock, in pixels of the full scene picture.
        scene_size: (width, height) px of the full scene picture.
        head_size: the same of the head camera.
        rig: the rigid pair, for pictures as wide as those given; None where it is not known.
        every: answer for each `every`-th head frame; those between are followed too.
        tracker_deg: what the eye tracker is wrong by, one standard deviation in degrees; part of the ellipse.
        done: told 1 for every head frame.

    Yields:
        One row for every `every`-th head frame, `t_ns` as given.
    """
    for number, ((t_ns, image), moment) in enumerate(moments(scene, head, rig)):
        if number % every == 0:
            at = np.array([t_ns])
            point, doubt = gaze.at(at)[0], float(gaze.doubt_px(at)[0])
            yield _row(t_ns, image, moment, point, doubt, scene_size, head_size, rig, tracker_deg)
        done(1.0)


def _row(
    t_ns: int,
    image: np.ndarray,
    moment: Moment | None,
    point: np.ndarray,
    doubt_px: float,
    scene_size: tuple[int, int],
    head_size: tuple[int, int],
    rig: Rig | None,
    tracker_deg: float,
) -> Row:
    if not np.isfinite(point).all():
        return Row(t_ns, None, None, None, "missing")
    refused = Row(t_ns, None, None, None, "refused")
    if moment is None:
        return refused
    smaller = moment.scene.shape[1] / scene_size[0]
    found = _by_rig(rig, moment, rescaled(point, smaller)) if rig else _by_plane(moment, rescaled(point, smaller))
    if found is None:
        return refused
    scale = head_size[0] / image.shape[1]
    xy = rescaled(found[0], scale)
    # The tracker's own error and that of interpolating are round, and as large here as there.
    per_radian = rig.head.focal[0] if rig else image.shape[1] / 1.7
    own = np.hypot(np.radians(tracker_deg) * per_radian, doubt_px * smaller)
    covariance = (found[1] + own**2 * np.eye(2)) * scale**2
    size, axes = np.linalg.eigh(covariance)
    minor, major = np.sqrt(size)
    limit = np.hypot(MAX_SIGMA_PX * image.shape[1] / 960, own) * scale
    inside = (-0.5 <= xy[0] <= head_size[0] - 0.5) and (-0.5 <= xy[1] <= head_size[1] - 0.5)
    if not inside or not major <= limit:
        return refused
    angle = (np.degrees(np.arctan2(axes[1, 1], axes[0, 1])) + 90) % 180 - 90
    x, y, sigma, thin, way = (round(float(v), 2) for v in (*xy, major, minor, angle))
    return Row(t_ns, x, y, sigma, "ok" if rig else "homography", thin, way)


def _by_rig(rig: Rig, moment: Moment, point: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    px = moment.scene.shape[1] / 960
    distance = np.linalg.norm(moment.scene_xy - point, axis=1)
    if len(distance) < MIN_MATCHES or distance.min() > NEAR_PX * px:
        return None
    weight = 1 / (1 + (distance / (60 * px)) ** 2)
    shift = (weight @ (moment.drawn_xy - moment.scene_xy)) / weight.sum()
    spot = depth.place(rig, point, moment.scene_xy, moment.head_xy, (moment.scene, moment.head), shift)
    return None if spot is None else (spot.xy, spot.covariance)


def _by_plane(moment: Moment, point: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    return plane.transfer(moment.scene_xy, moment.head_xy, point, moment.scene.shape[1] / 960)


def rescaled(xy: np.ndarray, scale: float) -> np.ndarray:
    """Pixels of a picture as pixels of the same picture `scale` times as wide; pixel centres are whole numbers."""
    return (xy + 0.5) * scale - 0.5
