"""An eye tracker's own errors: noise, a slow drift, and times when it loses the eye though it is open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recorder.world.person import GRID_HZ, wander
from recorder.world.plan import WorldPlan

DRIFT_S = 3.0
LOST_S = (0.04, 0.5)
NOISE_HZ = 1000


@dataclass(frozen=True)
class TrackerFlaws:
    """Of the eye tracker.

    Attributes:
        noise_deg: each sample is wrong by this in each direction, one standard deviation,
        drift_deg: and by this that changes within seconds, as the glasses slip.
        losses_a_minute: how often it loses the open eye.
    """

    noise_deg: float = 0.47
    drift_deg: float = 0.17
    losses_a_minute: float = 4.0


class Tracker:
    """What one tracker does in one session; the same for the same plan."""

    def __init__(self, plan: WorldPlan, flaws: TrackerFlaws) -> None:
        random = plan.rng("tracker")
        seconds = int(plan.duration_s) + 2
        white = flaws.noise_deg * random.standard_normal((seconds * NOISE_HZ, 2))
        slow = wander(random, seconds * int(GRID_HZ), 2, DRIFT_S, flaws.drift_deg)
        self._error_deg = white + np.repeat(slow, NOISE_HZ // int(GRID_HZ), axis=0)
        self._gaps = np.zeros((0, 2))
        if flaws.losses_a_minute:
            self._gaps = gaps(random, plan.duration_s, 60.0 / flaws.losses_a_minute, LOST_S)

    def error_deg(self, t_ns: np.ndarray) -> np.ndarray:
        """(N, 2) how wrong it is at these times, degrees; white above 1 kHz."""
        return self._error_deg[np.clip(t_ns // 1_000_000, 0, len(self._error_deg) - 1)]

    def sees(self, t: np.ndarray) -> np.ndarray:
        """(N,) bool: an open eye would be found at times (N,) seconds."""
        return ~within(self._gaps, t)


def gaps(random: np.random.Generator, until: float, every_s: float, lasts: tuple[float, float]) -> np.ndarray:
    """(K, 2) begin and end of what comes about once in `every_s` seconds."""
    count = int(2 * until / every_s) + 4
    begins = np.cumsum(random.exponential(0.8 * every_s, count) + 0.2 * every_s)
    return np.column_stack([begins, begins + random.uniform(*lasts, count)])


def within(spans: np.ndarray, t: np.ndarray) -> np.ndarray:
    """(N,) bool: a time is in one of the spans (K, 2)."""
    return np.asarray(((t[:, None] >= spans[:, 0]) & (t[:, None] < spans[:, 1])).any(axis=1))
