"""A body that moves where a camera sees it, in a mirror or across the room: how fast, by the picture and by an IMU.

A limb turns about a joint, so its speed in the picture rises and falls with its rate of turning, whatever the
direction. Each picture is laid over the one before as the camera turned meanwhile (a camera that is worn sees
everything move); what still differs is what moved, more of it the faster it went. That is one number a frame, and the
IMU's is the length of its rate. Dense optical flow, which was tried before, loses an arm that is a few pixels wide.

One number is less than three: it has no axes to tell two movements apart. A pattern that is repeated evenly fits at
every period, so start, stop and pause without a rhythm; what fits at several lags is refused. And most of a session is
no pattern: who walks about moves all limbs, and all that the camera sees. Where a body has IMUs enough, they tell when
one limb moved and the rest of it stood still (`alone`), and there the pattern is sought. A limb is no rigid pendulum,
so an answer is good to about a third of a frame at best, and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.ndimage import uniform_filter1d

from firmware_host.clock import SECOND_NS
from sync.alignment import Pairing
from sync.filmed import Filmed
from sync.motion.flow import WIDTH, flows, rotation_field, turn
from sync.motion.match import Rules, compare
from sync.motion.shutter import USUAL, USUAL_SIGMA
from sync.motion.turning import Late, Turning

CHANGE_WIDTH, SMOOTH_PX = 160, 1.0
FLOOR_GREY, OVER_MEDIAN = 4.0, 4.0
"""Less difference, in grey values of 8 bits, is grain and compression; and less than this many times the usual is what
the camera's own turn, and its exposure, left of the scene."""
REST_RAD_S, REST_SHARE = 0.15, 0.75
"""A body stands still where this share of its IMUs turn more slowly than that, in the mean over `SETTLED_S`."""
SETTLED_S, SHORTEST_S, STRETCHES = 1.0, 8.0, 3
"""How long a stretch must be to say anything, and how many of them are asked."""
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


def alone(limbs: Sequence[Moving]) -> list[Moving]:
    """When one limb moved and the rest of the body stood still, as before a mirror.

    Args:
        limbs: one for each IMU of a body, on one clock.

    Returns:
        At most `STRETCHES` stretches of the limb that moved most in them, the liveliest first; none where the body
        never stood still for `SHORTEST_S`, or has too few IMUs to tell.
    """
    still_ones = int(np.ceil(REST_SHARE * len(limbs)))
    if still_ones == len(limbs) or any(len(limb.t_ns) < 2 for limb in limbs):
        return []
    t_ns = limbs[0].t_ns
    speeds = np.stack([np.interp(t_ns, limb.t_ns, np.nan_to_num(limb.speed)) for limb in limbs])
    settled = max(1, round(SETTLED_S * SECOND_NS / float(np.median(np.diff(t_ns)))))
    rest = uniform_filter1d(np.sort(speeds, axis=0)[still_ones - 1], settled) < REST_RAD_S
    edges = np.flatnonzero(np.diff(np.concatenate([[0], rest.astype(int), [0]])))
    found = []
    for first, end in zip(edges[::2], edges[1::2], strict=True):
        begun_ns, over_ns = int(t_ns[first]), int(t_ns[end - 1])
        if over_ns - begun_ns >= SHORTEST_S * SECOND_NS:
            lively = np.sum(speeds[:, first:end] ** 2, axis=1)
            margin_ns = round(SETTLED_S * SECOND_NS / 2)  # the mean came to rest so much later than the body
            here = _between(limbs[int(lively.argmax())], begun_ns - margin_ns, over_ns + margin_ns)
            found.append((float(lively.max()), here))
    return [limb for _, limb in sorted(found, key=lambda f: -f[0])[:STRETCHES]]


def _between(moving: Moving, begun_ns: int, over_ns: int) -> Moving:
    here = (moving.t_ns >= begun_ns) & (moving.t_ns <= over_ns)
    return replace(moving, t_ns=moving.t_ns[here], speed=moving.speed[here])


def seen(filmed: Filmed) -> Moving:
    """How fast things moved in a film beside the camera's own turning: the mean of what its pictures differ by."""
    t_ns = filmed.t_ns
    speed = np.full(max(len(t_ns) - 1, 0), np.nan)
    steps = np.diff(t_ns)
    for k, flow in zip(range(len(speed)), flows(filmed.pictures(WIDTH)), strict=False):
        turned = np.nan_to_num(turn(flow.was, flow.now, flow.after.shape[:2], filmed.focal * WIDTH)[:3])
        speed[k] = _changed(flow.before, flow.after, turned, filmed.focal) / (steps[k] * 1e-9)
    to_middle_ns, sigma_ns = filmed.exposed()
    if filmed.first_row and len(steps):
        to_middle_ns += USUAL * filmed.frame_ns / 2
        sigma_ns = float(np.hypot(sigma_ns, USUAL_SIGMA * filmed.frame_ns / 2))
    late: Late = ((f"shutter of {filmed.clock}'s camera", sigma_ns),) if sigma_ns else ()
    middles = t_ns[:-1] + steps // 2 + round(to_middle_ns) if len(t_ns) else t_ns
    return Moving(filmed.clock, middles, speed, round(filmed.frame_ns) if len(steps) else 0, late)


def _changed(before: np.ndarray, after: np.ndarray, turned: np.ndarray, focal: float) -> float:
    """Mean difference, grey values, of two pictures (H, W) uint8 between which the camera turned by a vector, rad."""
    size = (CHANGE_WIDTH, round(CHANGE_WIDTH * before.shape[0] / before.shape[1]))
    was, now = (
        cv2.GaussianBlur(cv2.resize(p, size, interpolation=cv2.INTER_AREA).astype(np.float32), (0, 0), SMOOTH_PX)
        for p in (before, after)
    )
    own = rotation_field(turned, (size[1], size[0]), focal * CHANGE_WIDTH)
    x, y = np.meshgrid(np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32))
    laid = cv2.remap(now, x + own[..., 0], y + own[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    left = np.abs(laid - was)
    return float(np.mean(np.where(left > max(FLOOR_GREY, OVER_MEDIAN * float(np.median(left))), left, 0.0)))
