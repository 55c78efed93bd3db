"""A frame of the head camera with the frames of the scene camera around it.

The scene camera's frames are not those of the head camera: what is found in the nearest is followed to the one on the
other side, and taken between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from sync.gaze.features import followed
from sync.gaze.table import MAX_GAP_NS

Frame = tuple[int, np.ndarray]


@dataclass(frozen=True)
class Sight:
    """What both cameras see at the time of one head frame.

    Attributes:
        head: the head frame, (H, W) uint8.
        scene: the scene frame nearest in time, gray too.
        other: the scene frame on the other side of that time; None where there is none near.
        share: where that time is on the way from `scene` to `other`, 0 to 0.5.
    """

    head: np.ndarray
    scene: np.ndarray
    other: np.ndarray | None
    share: float

    def at_its_time(self, scene_xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where points (N, 2) float32 px of `scene` are at the head frame's time, and (N,) bool: could be followed."""
        if self.other is None or self.share == 0:
            return scene_xy, np.ones(len(scene_xy), bool)
        there, found = followed(self.scene, self.other, scene_xy)
        return scene_xy + np.float32(self.share) * (there - scene_xy), found


def sights(scene: Iterable[Frame], head: Iterable[Frame]) -> Iterator[tuple[int, Sight | None]]:
    """The time of every head frame and what is seen then; None where no scene frame is near in time.

    Args:
        scene: (t_ns, gray picture), ascending; at least those around every head frame.
        head: the same, times on the same clock.
    """
    frames = iter(scene)
    early: Frame | None = None
    late = next(frames, None)
    for t_ns, image in head:
        while late is not None and late[0] <= t_ns:
            early, late = late, next(frames, None)
        yield t_ns, _sight(t_ns, image, early, late)


def _sight(t_ns: int, image: np.ndarray, early: Frame | None, late: Frame | None) -> Sight | None:
    away = [(abs(f[0] - t_ns), f[1]) for f in (early, late) if f is not None]
    near = sorted((f for f in away if f[0] <= MAX_GAP_NS), key=lambda f: f[0])
    if not near:
        return None
    if len(near) == 1 or near[0][0] + near[1][0] > MAX_GAP_NS:
        return Sight(image, near[0][1], None, 0.0)
    return Sight(image, near[0][1], near[1][1], near[0][0] / (near[0][0] + near[1][0]))
