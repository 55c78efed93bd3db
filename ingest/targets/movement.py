"""What the sensors say a person did: how far each part of the body turned, and where the eyes were.

Movement (Ehsani et al., "What Can You Learn from Your Muscles?", 2021): between two moments a sixth of a second
apart an inertial sensor turns by one angle, whatever the axis. With unit quaternions q0 and q1 it is that of
``conj(q0) * q1 = (w, v)``:  2 * atan2(|v|, |w|).  The absolute value takes q and -q for the one rotation they
are; atan2 keeps small angles, which arccos(w) loses. A sensor strapped on differently is q * m with a constant
m, and a turned room is m * q; neither changes the angle. Angles fall into thirds by quantiles of the training
people: the lower third is "still" (0), the upper "moving" (1), the middle is given no label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

GROUPS = ("neck", "body", "llegu", "rlegu", "larmu", "rarmu")
"""The six body groups, in the order of every array that has them."""

MEMBERS = {
    "neck": ("neck",),
    "body": ("body",),
    "llegu": ("llegu", "llegd"),
    "rlegu": ("rlegu", "rlegd"),
    "larmu": ("larmu", "larmd"),
    "rarmu": ("rarmu", "rarmd"),
}
"""Sensors of each group: upper and lower leg, upper and lower arm."""

MIRRORED = (0, 1, 3, 2, 5, 4)
"""Index of each group's other side."""

STEP_NS = 1_000_000_000 // 6
MAX_GAP_NS = 250_000_000
"""Sensor samples further apart are not interpolated: at the default 20 Hz, five readings in a row are gone."""
GREY = -1


@dataclass(frozen=True)
class Thirds:
    """Movement thresholds of one group, degrees per step: at most `low` is still, above `high` is moving."""

    low: float
    high: float

    def label(self, degrees: np.ndarray) -> np.ndarray:
        """(N,) float to (N,) int8: 0 still, 1 moving, -1 grey or not measured (NaN)."""
        label = np.full(degrees.shape, GREY, np.int8)
        label[degrees <= self.low] = 0
        label[degrees > self.high] = 1
        return label


def rotation_degrees(q0: np.ndarray, q1: np.ndarray) -> np.ndarray:
    """Angle of the rotation from q0 to q1.

    Args:
        q0, q1: (..., 4) quaternions (w, x, y, z), of any length but 0; the sign of either does not matter.

    Returns:
        (...) float64 degrees in [0, 180]; NaN where a component is.
    """
    a, b = np.asarray(q0, np.float64), np.asarray(q1, np.float64)
    w = (a * b).sum(-1)
    v = a[..., :1] * b[..., 1:] - b[..., :1] * a[..., 1:] - np.cross(a[..., 1:], b[..., 1:])
    return np.degrees(2 * np.arctan2(np.linalg.norm(v, axis=-1), np.abs(w)))


def orientation_at(t_ns: np.ndarray, q: np.ndarray, at_ns: np.ndarray) -> np.ndarray:
    """Orientation at any time, along the shortest arc between the samples around it.

    Args:
        t_ns: (N,) int64 sample times, ascending.
        q: (N, 4) quaternions (w, x, y, z) near unit length.
        at_ns: (M,) int64 times on the same clock.

    Returns:
        (M, 4) float64 unit quaternions; NaN outside the samples, where those around are more than
        `MAX_GAP_NS` apart, or where one of them is no rotation (all zero, as a chip gives before it is ready).
    """
    out = np.full((len(at_ns), 4), np.nan)
    if len(t_ns) < 2:
        return out
    right = np.clip(np.searchsorted(t_ns, at_ns, side="right"), 1, len(t_ns) - 1)
    left = right - 1
    span = t_ns[right] - t_ns[left]
    length = np.linalg.norm(q.astype(np.float64), axis=1)
    good = (at_ns >= t_ns[left]) & (at_ns <= t_ns[right]) & (span > 0) & (span <= MAX_GAP_NS)
    good &= (length[left] > 0.5) & (length[right] > 0.5)
    left, right, span = left[good], right[good], span[good]
    a, b = q[left] / length[left, None], q[right] / length[right, None]
    f = ((at_ns[good] - t_ns[left]) / span)[:, None]
    out[good] = _slerp(a, b, f)
    return out


def _slerp(a: np.ndarray, b: np.ndarray, f: np.ndarray) -> np.ndarray:
    dot = (a * b).sum(1, keepdims=True)
    b = np.where(dot < 0, -b, b)
    theta = np.radians(rotation_degrees(a, b))[:, None] / 2
    near = theta < 1e-6  # the arc is a chord
    sine = np.where(near, 1.0, np.sin(theta))
    wa = np.where(near, 1 - f, np.sin((1 - f) * theta) / sine)
    wb = np.where(near, f, np.sin(f * theta) / sine)
    mixed = wa * a + wb * b
    return mixed / np.linalg.norm(mixed, axis=1, keepdims=True)


def movement(sensors: Mapping[str, tuple[np.ndarray, np.ndarray]], at_ns: np.ndarray) -> np.ndarray:
    """How far each body group turned in the sixth of a second before each time.

    A group of two sensors counts the larger of the two angles, and nothing where one of them is silent: the
    maximum of a part would be too small. A group whose second sensor the session never had uses the one.

    Args:
        sensors: sensor name (as in `MEMBERS`) -> (t_ns (N,) int64, quaternion (N, 4)), on the clock of `at_ns`.
        at_ns: (M,) int64.

    Returns:
        (M, 6) float32 degrees in [0, 180], columns as `GROUPS`; NaN where not measured.
    """
    out = np.full((len(at_ns), len(GROUPS)), np.nan, np.float32)
    for column, group in enumerate(GROUPS):
        angles = [
            rotation_degrees(orientation_at(t, q, at_ns - STEP_NS), orientation_at(t, q, at_ns))
            for t, q in (sensors[name] for name in MEMBERS[group] if name in sensors)
        ]
        if angles:
            out[:, column] = np.maximum.reduce(angles)
    return out


def fit_thirds(degrees: Sequence[np.ndarray] | np.ndarray) -> tuple[Thirds | None, ...]:
    """Thresholds of each group: quantiles 1/3 and 2/3 of the training people's movement.

    Args:
        degrees: (N, 6), NaN where not measured.

    Returns:
        six, None for a group that nobody in training wore.
    """
    out: list[Thirds | None] = []
    for column in np.asarray(degrees, np.float64).reshape(-1, len(GROUPS)).T:
        measured = column[np.isfinite(column)]
        if not len(measured):
            out.append(None)
            continue
        low, high = np.quantile(measured, [1 / 3, 2 / 3])
        out.append(Thirds(float(low), float(high)))
    return tuple(out)


def normalised_gaze(px: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Gaze in pixels, origin at the centre of the top-left pixel, to fractions of the frame.

    The half pixel puts the frame's edges at 0 and 1, so that a mirrored frame has 1 - x exactly.

    Args:
        px: (N, 2) (x, y) in pixels, NaN where missing.
        size: (width, height) of the frame in pixels.

    Returns:
        (N, 2) float32 (x, y) in [0, 1]; NaN where missing or outside the frame.
    """
    gaze = ((px + 0.5) / size).astype(np.float32)
    inside = ((gaze >= 0) & (gaze <= 1)).all(axis=1)  # False for NaN
    gaze[~inside] = np.nan
    return gaze
