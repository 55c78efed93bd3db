"""Clock offsets of the Lab Streaming Layer: from each source's clock to the recorder's, piece by piece.

Every few seconds the recorder asks each source for its time; the answer is an offset: add it to a source's time to
get the recorder's. One answer is off by the network's unrest (a tenth of a millisecond on one machine, milliseconds
over wireless), so a line is laid through them. Where the source was started again its clock begins anew; there one
line ends and the next begins, and a sample belongs to the side whose clock its time is near. Nothing is smoothed but
the offsets: evenly spaced times made up by a reader hide lost samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RESET_S = 1.0
"""An offset that jumps by more, or a source's clock that goes back, says that the clock began anew."""
FEWEST = 3
"""Fewer answers than this give an offset and no drift."""
MAX_SKEW = 500e-6
HUBER = 1.5
ROUNDS = 20


@dataclass(frozen=True)
class Stretch:
    """One line: ``recorder = t + offset_s + (t - at_s) * skew`` for source times near ``[from_s, to_s]``.

    Attributes:
        residual_s: robust standard deviation of the answers about the line.
    """

    from_s: float
    to_s: float
    at_s: float
    offset_s: float
    skew: float
    residual_s: float
    answers: int

    def recorder(self, t_s: np.ndarray) -> np.ndarray:
        """Source times to recorder times, s."""
        return t_s + self.offset_s + (t_s - self.at_s) * self.skew


def stretches(t_s: np.ndarray, offset_s: np.ndarray) -> list[Stretch]:
    """Lines through (N,) answers in the order they came: source time and offset."""
    good = np.isfinite(t_s) & np.isfinite(offset_s)
    t_s, offset_s = t_s[good], offset_s[good]
    if not len(t_s):
        return []
    jumps = (np.abs(np.diff(offset_s)) > RESET_S) | (np.diff(t_s) < 0)
    parts = np.split(np.arange(len(t_s)), np.flatnonzero(jumps) + 1)
    return [_stretch(t_s[p], offset_s[p]) for p in parts]


def applied(t_s: np.ndarray, seen: np.ndarray, lines: list[Stretch], begins: list[int]) -> np.ndarray:
    """Recorder times of (N,) source times.

    Args:
        seen: (N,) int, how many answers the recorder had of this source when it wrote each sample.
        begins: number of the first answer of each of `lines`.
    """
    if not lines:
        return t_s.copy()
    current = np.clip(np.searchsorted(begins, np.maximum(seen - 1, 0), side="right") - 1, 0, len(lines) - 1)
    following = np.minimum(current + 1, len(lines) - 1)
    away = np.array([np.maximum(np.maximum(s.from_s - t_s, t_s - s.to_s), 0.0) for s in lines])
    index = np.arange(len(t_s))
    chosen = np.where(away[following, index] < away[current, index], following, current)
    out = np.empty_like(t_s)
    for k, line in enumerate(lines):
        out[chosen == k] = line.recorder(t_s[chosen == k])
    return out


def _stretch(t_s: np.ndarray, offset_s: np.ndarray) -> Stretch:
    """A line by iteratively reweighted least squares (Huber); a constant where there is too little for a drift."""
    at = float(t_s[len(t_s) // 2])
    middle = float(np.median(offset_s))
    u, y = t_s - at, offset_s - middle
    level, skew = 0.0, 0.0
    if len(t_s) >= FEWEST and np.ptp(u) > 0:
        weight = np.ones(len(u))
        for _ in range(ROUNDS):
            mean_u, mean_y = np.average(u, weights=weight), np.average(y, weights=weight)
            spread = np.average((u - mean_u) ** 2, weights=weight)
            skew = float(np.average((u - mean_u) * (y - mean_y), weights=weight) / max(spread, 1e-12))
            level = float(mean_y - skew * mean_u)
            left = y - level - skew * u
            scale = max(1.4826 * float(np.median(np.abs(left))), 1e-6)
            weight = HUBER / np.maximum(np.abs(left) / scale, HUBER)
        if abs(skew) > MAX_SKEW:
            level, skew = 0.0, 0.0
    residual = 1.4826 * float(np.median(np.abs(y - level - skew * u)))
    return Stretch(float(t_s[0]), float(t_s[-1]), at, middle + level, skew, residual, len(t_s))
