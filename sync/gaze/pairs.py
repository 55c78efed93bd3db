"""Matches of the two cameras, kept alive from frame to frame.

Features are matched anew on key frames; in between each camera follows its own points. The scene camera's frames are
not those of the head camera: its points are followed from the frame before to the frame after, and are taken between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from sync.gaze.features import detect, followed, matched
from sync.gaze.lens import unit_px
from sync.gaze.rig import Rig
from sync.gaze.table import MAX_GAP_NS

Frame = tuple[int, np.ndarray]
KEY_EVERY = 12
KEY_SOONEST = 4
TOO_FEW = 0.5
"""Where fewer than this share of the key frame's matches is left, there is a key frame again."""
BAND_PX = 8.0


@dataclass(frozen=True)
class Moment:
    """What both cameras see at the time of one head frame.

    Attributes:
        t_ns: its time.
        scene_xy: (N, 2) px, points of the scene camera at that time.
        head_xy: (N, 2) px, the same points in the head frame.
        scene: the scene camera's picture nearest in time.
        drawn_xy: (N, 2) px, where the points are in that picture.
        head: the head frame.
    """

    t_ns: int
    scene_xy: np.ndarray
    head_xy: np.ndarray
    scene: np.ndarray
    drawn_xy: np.ndarray
    head: np.ndarray


def moments(scene: Iterable[Frame], head: Iterable[Frame], rig: Rig | None) -> Iterator[tuple[Frame, Moment | None]]:
    """Every head frame with its moment; None where no scene frame is near in time.

    Args:
        scene: (t_ns, gray picture), ascending.
        head: the same, times on the same clock.
        rig: allows wrong matches to be left out; None where it is not known.
    """
    live = _Live(rig)
    frames = iter(scene)
    early: Frame | None = None
    late = next(frames, None)
    for t_ns, image in head:
        while late is not None and late[0] <= t_ns:
            after = next(frames, None)
            live.scene_goes_on(late, after)
            early, late = late, after
        live.head_goes_on(image)
        yield (t_ns, image), live.moment(t_ns, early, late)


class _Live:
    """Matches that are being followed."""

    def __init__(self, rig: Rig | None) -> None:
        self._rig = rig
        self._early = self._late = self._head_xy = np.empty((0, 2), np.float32)
        self._head: np.ndarray | None = None
        self._age = KEY_EVERY
        self._at_key = 0

    def scene_goes_on(self, now: Frame, after: Frame | None) -> None:
        """The frame after becomes the frame before, and points are followed to the next one."""
        self._early = self._late
        if after is None or after[0] - now[0] > MAX_GAP_NS:
            self._late = self._early
            return
        self._late, found = followed(now[1], after[1], self._early)
        self._keep(found)

    def head_goes_on(self, image: np.ndarray) -> None:
        if self._head is not None and len(self._head_xy):
            self._head_xy, found = followed(self._head, image, self._head_xy)
            self._keep(found)
        self._head = image
        self._age += 1

    def _keep(self, found: np.ndarray) -> None:
        self._early, self._late, self._head_xy = self._early[found], self._late[found], self._head_xy[found]

    def moment(self, t_ns: int, early: Frame | None, late: Frame | None) -> Moment | None:
        """What is known at a time between two scene frames."""
        near = [f for f in (early, late) if f is not None and abs(f[0] - t_ns) <= MAX_GAP_NS]
        if not near or self._head is None:
            self._age = KEY_EVERY
            return None
        both = early is not None and late is not None and len(near) == 2 and late[0] - early[0] <= MAX_GAP_NS
        share = (t_ns - early[0]) / (late[0] - early[0]) if both and early and late else float(near[0] is late)
        nearest, other = (late, early) if share > 0.5 else (early, late)
        assert nearest is not None
        if self._age >= KEY_EVERY or (self._age >= KEY_SOONEST and len(self._head_xy) < TOO_FEW * self._at_key):
            self._renew(nearest[1], other[1] if both and other else None, share > 0.5)
        if self._rig is not None:
            self._keep(self._rig.agree(self._between(share), self._head_xy))
        drawn = self._late if share > 0.5 else self._early
        return Moment(t_ns, self._between(share), self._head_xy, nearest[1], drawn, self._head)

    def _between(self, share: float) -> np.ndarray:
        return self._early + np.float32(share) * (self._late - self._early)

    def _renew(self, nearest: np.ndarray, other: np.ndarray | None, late: bool) -> None:
        """Match the nearest scene frame and the head frame anew."""
        assert self._head is not None
        a, b = detect(nearest), detect(self._head)
        allowed = None
        if self._rig is not None and len(a.xy) and len(b.xy):
            allowed = self._rig.allowed(a.xy, b.xy, BAND_PX * unit_px(nearest.shape[1]))
        i, j = matched(a, b, allowed)
        here, self._head_xy = a.xy[i], b.xy[j]
        there, found = (here, np.ones(len(here), bool)) if other is None else followed(nearest, other, here)
        self._early, self._late = (there, here) if late else (here, there)
        self._keep(found)
        self._age, self._at_key = 0, len(self._head_xy)
