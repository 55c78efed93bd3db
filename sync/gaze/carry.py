"""Gaze from an eye tracker's scene camera to the camera on the head, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from sync.gaze import depth, plane
from sync.gaze.lens import WIDTH, rescaled, unit_px
from sync.gaze.pairs import Frame, Sight, sights
from sync.gaze.rig import Rig
from sync.gaze.stereo import Stereo
from sync.gaze.table import Gaze, Row

MIN_MATCHES = 8
NEAR_PX = 175.0
"""At least one match must be this near to the gaze."""
MAX_SIGMA_PX = 25.0
"""An answer less sure than this is refused. These three are in pixels of a picture `WIDTH` wide."""
TRACKER_DEG = 0.8
"""What the eye tracker itself is wrong by: worn ones promise 0.6 to 1 degree."""


def carry(
    scene: Iterable[Frame],
    head: Iterable[Frame],
    gaze: Gaze,
    scene_size: tuple[int, int],
    head_size: tuple[int, int],
    rig: Rig | None = None,
    tracker_deg: float = TRACKER_DEG,
    done: Callable[[float], None] = lambda _: None,
) -> Iterator[Row]:
    """Carry the gaze over to frames of the head camera.

    Args:
        scene: (t_ns, gray picture of at most `WIDTH`) of the scene camera, ascending, on the eye tracker's clock; at
            least the frames around each of `head`.
        head: the frames to answer for, times brought to the eye tracker's clock.
        gaze: on the eye tracker's clock, in pixels of the full scene picture.
        scene_size: (width, height) px of the full scene picture.
        head_size: the same of the head camera.
        rig: the rigid pair, for pictures as wide as those given; None where it is not known.
        tracker_deg: what the eye tracker is wrong by, one standard deviation in degrees; part of the ellipse.
        done: told 1 for every head frame.

    Yields:
        One row for every head frame, `t_ns` as given.
    """
    carrier = _Carrier(scene_size, head_size, rig, tracker_deg)
    for t_ns, sight in sights(scene, head):
        at = np.array([t_ns])
        yield carrier.row(t_ns, sight, gaze.at(at)[0], float(gaze.doubt_px(at)[0]))
        done(1.0)


class _Carrier:
    """Carries one gaze point after the other; remembers the last answer."""

    def __init__(
        self, scene_size: tuple[int, int], head_size: tuple[int, int], rig: Rig | None, tracker_deg: float
    ) -> None:
        self._scene_width, self._head_size = scene_size[0], head_size
        self._rig, self._tracker = rig, np.radians(tracker_deg)
        self._stereo = Stereo(rig) if rig else None
        self._last: depth.Spot | None = None

    def row(self, t_ns: int, sight: Sight | None, point: np.ndarray, doubt_px: float) -> Row:
        """The answer for one frame; `point` and `doubt_px` in pixels of the full scene picture."""
        if not np.isfinite(point).all():
            self._last = None
            return Row(t_ns, None, None, None, "missing")
        found = None
        if sight is not None:
            smaller = sight.scene.shape[1] / self._scene_width
            small = rescaled(point, smaller)
            found = self._by_rig(self._stereo, sight, small) if self._stereo else plane.place(sight, small)
        if sight is None or found is None:
            return Row(t_ns, None, None, None, "refused")
        return self._told(t_ns, *found, sight.head.shape[1], doubt_px * smaller)

    def _told(self, t_ns: int, xy: np.ndarray, covariance: np.ndarray, width: int, doubt_px: float) -> Row:
        """A row in pixels of the full head picture from an answer in one that is `width` wide."""
        # The tracker's own error and that of interpolating are round, and as large here as there.
        per_radian = self._rig.head.focal[0] if self._rig else width / 1.7
        own = float(np.hypot(self._tracker * per_radian, doubt_px))
        scale = self._head_size[0] / width
        size, axes = np.linalg.eigh((covariance + own**2 * np.eye(2)) * scale**2)
        minor, major = np.sqrt(size)
        xy = rescaled(xy, scale)
        inside = (xy >= -0.5).all() and (xy <= np.array(self._head_size) - 0.5).all()
        if not inside or not major <= np.hypot(MAX_SIGMA_PX * width / WIDTH, own) * scale:
            return Row(t_ns, None, None, None, "refused")
        angle = (np.degrees(np.arctan2(axes[1, 1], axes[0, 1])) + 90) % 180 - 90
        x, y, sigma, thin, way = (round(float(v), 2) for v in (*xy, major, minor, angle))
        return Row(t_ns, x, y, sigma, "ok" if self._rig else "homography", thin, way)

    def _by_rig(self, stereo: Stereo, sight: Sight, point: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        drawn_xy, head_xy = stereo.matches(sight.scene, sight.head, point)
        scene_xy, found = sight.at_its_time(drawn_xy)
        good = found & stereo.rig.agree(scene_xy, head_xy)
        drawn_xy, scene_xy, head_xy = drawn_xy[good], scene_xy[good], head_xy[good]
        px = unit_px(sight.scene.shape[1])
        distance = np.linalg.norm(scene_xy - point, axis=1)
        if len(distance) < MIN_MATCHES or distance.min() > NEAR_PX * px:
            return None
        weight = 1 / (1 + (distance / (60 * px)) ** 2)
        shift = (weight @ (drawn_xy - scene_xy)) / weight.sum()
        self._last = depth.place(stereo.rig, point, scene_xy, head_xy, (sight.scene, sight.head), shift, self._last)
        return None if self._last is None else (self._last.xy, self._last.covariance)
