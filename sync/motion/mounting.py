"""How one sensor is fixed to the other, and what it therefore must have felt."""

from __future__ import annotations

import numpy as np

from firmware_host.clockmap import ClockMap
from sync.motion.turning import Movement, mean_over

ROUNDS = 4
RIDGE = 1e-3
"""Share of the mean power that keeps axes about which nothing turned from being fitted to noise."""


def mounting(seen: np.ndarray, by: np.ndarray) -> np.ndarray:
    """What turns the rates of one sensor into those of another, by least squares that forget what does not fit.

    Args:
        seen, by: (N, C) float64 at the same times, NaN where not known.

    Returns:
        (C, C), with ``seen = by @ M.T``: of turnings a rotation, but for a camera's focal length and some parallax.
    """
    known = np.isfinite(seen).all(axis=1) & np.isfinite(by).all(axis=1)
    if not known.any():
        return np.zeros((seen.shape[1], seen.shape[1]))
    a, b = seen[known] - seen[known].mean(axis=0), by[known] - by[known].mean(axis=0)
    channels = a.shape[1]
    weight, solution = np.ones((len(a), 1)), np.zeros((channels, channels))
    for _ in range(ROUNDS):
        normal = (b * weight).T @ b
        ridge = RIDGE * np.trace(normal) / channels + 1e-12
        solution = np.linalg.solve(normal + ridge * np.eye(channels), (b * weight).T @ a)
        left = np.linalg.norm(a - b @ solution, axis=1, keepdims=True)
        weight = 1 / (1 + (left / (3 * np.median(left) + 1e-9)) ** 2)
    return np.asarray(solution.T)


class Prediction:
    """What one sensor should have seen by another's word: its samples along a line of times, as mounted."""

    def __init__(self, seen: Movement, by: Movement, line: ClockMap) -> None:
        """`line` leads from the clock of `seen` to that of `by`."""
        self._by, self._width_ns = by, seen.width_ns - by.width_ns
        self._t_ns = line.forward(seen.t_ns)
        self.mounting = mounting(seen.x, self._at(0.0))

    def __call__(self, shift_ns: float) -> np.ndarray:
        """(N, C) at the times of `seen`, moved by `shift_ns`; NaN where `by` does not know."""
        return self._at(shift_ns) @ self.mounting.T

    def _at(self, shift_ns: float) -> np.ndarray:
        return mean_over(self._by.t_ns, self._by.x, self._t_ns + round(shift_ns), max(self._width_ns, 0))
