"""A body that moves where a camera sees it, in a mirror or across the room: how fast, by the picture and by an IMU.

A limb turns about a joint, so its speed in the picture rises and falls with its rate of turning, whatever the
direction. What moves in the picture is found by dense optical flow after the camera's own turn is taken from it (a
camera that is worn sees everything move), and its speed is one number a frame. The IMU's is the length of its rate.

One number is less than three: it has no axes to tell two movements apart. A pattern that is repeated evenly fits at
every period, so start, stop and pause without a rhythm; what fits at several lags is refused. A limb is no rigid
pendulum and the rest of the body moves too, so an answer is good to about a third of a frame at best, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sync.alignment import Pairing
from sync.motion.filmed import Filmed
from sync.motion.flow import WIDTH, flows, rotation_field, turn
from sync.motion.match import Rules, compare
from sync.motion.shutter import USUAL, USUAL_SIGMA
from sync.motion.turning import Late, Turning

DENSE_WIDTH = 160
FLOOR_PX, OVER_MEDIAN = 0.15, 5.0
"""Flow of fewer pixels a frame is noise and compression, and of less than this many times the usual what the camera's
own turn left of the scene."""
PATTERN = Rules("pattern", 0.05, 0.5, "move a limb in a pattern with pauses of unequal length", shared_ns=8_000_000.0)
"""A limb's speed in the picture is not exactly its rate of turning: a quarter of a frame either way."""


@dataclass(frozen=True)
class Moving:
    """How fast something moved, in no particular unit.

    Attributes:
        clock: name of the clock of `t_ns`.
        t_ns: (N,) int64, the middle of what each speed is the mean over, ns, ascending.
        speed: (N,) float64, 0 and more, larger where it moved faster; NaN where it is not known.
        width_ns: what each speed is the mean over.
        late: errors that all its times share.
    """

    clock: str
    t_ns: np.ndarray
    speed: np.ndarray
    width_ns: int = 0
    late: Late = ()

    @property
    def x(self) -> np.ndarray:
        """(N, 1), roots of the speeds in units of their usual size, so that no single jerk outweighs all."""
        usual = float(np.sqrt(np.nanmean(self.speed**2))) if np.isfinite(self.speed).any() else 0.0
        return np.asarray(np.sqrt(self.speed / max(usual, 1e-12)))[:, None]


def match_pattern(source: Moving, target: Moving) -> Pairing:
    """Compare how fast a limb moved by its IMU and by a camera that saw it, or by two cameras.

    Returns:
        One match a window, by time, of method ``pattern``.

    Raises:
        EvidenceError: one of them shows no movement, they do not fit, or they fit at several lags.
    """
    return compare(source, target, PATTERN)


def felt(turning: Turning) -> Moving:
    """How fast an IMU turned, whatever way: the length of its rate without its bias."""
    rate = turning.rate_rad_s - np.nanmedian(turning.rate_rad_s, axis=0)
    return Moving(turning.clock, turning.t_ns, np.linalg.norm(rate, axis=1), turning.width_ns, turning.late)


def seen(filmed: Filmed) -> Moving:
    """How fast things moved in a film beside the camera's own turning: root mean square of what is left of the flow."""
    t_ns = filmed.t_ns
    speed = np.full(max(len(t_ns) - 1, 0), np.nan)
    steps = np.diff(t_ns)
    dense = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    for k, flow in zip(range(len(speed)), flows(filmed.pictures(WIDTH)), strict=False):
        size = flow.after.shape[:2]
        turned = np.nan_to_num(turn(flow.was, flow.now, size, filmed.focal * WIDTH)[:3])
        small = (DENSE_WIDTH, round(DENSE_WIDTH * size[0] / size[1]))
        before, after = (cv2.resize(p, small, interpolation=cv2.INTER_AREA) for p in (flow.before, flow.after))
        moved = dense.calc(before, after, np.zeros((*after.shape, 2), np.float32))
        left = np.linalg.norm(moved - rotation_field(turned, moved.shape[:2], filmed.focal * DENSE_WIDTH), axis=2)
        floor = max(FLOOR_PX, OVER_MEDIAN * float(np.median(left)))
        speed[k] = np.sqrt(np.mean(np.where(left > floor, left, 0.0) ** 2)) / (steps[k] * 1e-9)
    to_middle_ns, sigma_ns = filmed.exposed()
    if filmed.first_row and len(steps):
        to_middle_ns += USUAL * filmed.frame_ns / 2
        sigma_ns = float(np.hypot(sigma_ns, USUAL_SIGMA * filmed.frame_ns / 2))
    late: Late = ((f"shutter of {filmed.clock}'s camera", sigma_ns),) if sigma_ns else ()
    middles = t_ns[:-1] + steps // 2 + round(to_middle_ns) if len(t_ns) else t_ns
    return Moving(filmed.clock, middles, speed, round(filmed.frame_ns) if len(steps) else 0, late)
