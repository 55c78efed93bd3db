"""The page's one time: seconds since the first moment that any device recorded, on the reference clock."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from firmware_host.clock import SECOND_NS
from firmware_host.clockmap import ClockMap

TOLERANCE_S = 0.001
"""A line may miss the times it stands for by this, far less than any picture lasts."""


class Timeline:
    """Times of every device's clock as times of the page.

    A clock that was not aligned has no place on the reference clock; its own first moment is put at 0, and the page
    says so.
    """

    def __init__(self, maps: Mapping[str, ClockMap | None], begins_ns: Mapping[str, int]) -> None:
        """Build from the clocks.

        Args:
            maps: clock -> its map to the reference clock, None where it was not aligned.
            begins_ns: clock -> the first time of any of its streams.
        """
        self._maps, self._begins_ns = dict(maps), dict(begins_ns)
        aligned = [m.forward(begins_ns[c]) for c, m in maps.items() if m is not None]
        self._origin_ns = min(aligned, default=0)

    def aligned(self, clock: str) -> bool:
        """Whether the clock has a place on the reference clock."""
        return self._maps[clock] is not None

    def page_ns(self, clock: str, t_ns: np.ndarray) -> np.ndarray:
        """(N,) times of a clock as (N,) int64 ns of the page."""
        found = self._maps[clock]
        if found is None:
            return np.asarray(t_ns, np.int64) - self._begins_ns[clock]
        return found.forward(np.asarray(t_ns, np.int64)) - self._origin_ns

    def page_s(self, clock: str, t_ns: np.ndarray) -> np.ndarray:
        """The same in float64 seconds."""
        return self.page_ns(clock, t_ns) / SECOND_NS

    def knots(self, clock: str, t_ns: np.ndarray, element_s: np.ndarray) -> list[list[float]]:
        """What a player's time is at a time of the page: pairs between which it goes along a line.

        Args:
            t_ns: (N,) times of the device, ascending.
            element_s: (N,) float64, the player's time of the same moments.
        """
        page_s = self.page_s(clock, t_ns)
        keep = thinned(page_s, np.asarray(element_s, np.float64), TOLERANCE_S)
        return [[round(float(page_s[k]), 6), round(float(element_s[k]), 6)] for k in keep]


def thinned(x: np.ndarray, y: np.ndarray, tolerance: float) -> list[int]:
    """Indices of the points that are needed so that lines between them miss no other by more (Douglas and Peucker)."""
    if len(x) < 3:
        return list(range(len(x)))
    keep, todo = {0, len(x) - 1}, [(0, len(x) - 1)]
    while todo:
        first, last = todo.pop()
        if last - first < 2:
            continue
        line = np.interp(x[first : last + 1], x[[first, last]], y[[first, last]])
        miss = np.abs(y[first : last + 1] - line)
        worst = int(miss.argmax())
        if miss[worst] > tolerance and 0 < worst < last - first:
            keep.add(first + worst)
            todo += [(first, first + worst), (first + worst, last)]
    return sorted(keep)
