"""How fast a microphone really samples, measured against the kit's clock.

Consumer crystals are off by up to 100 ppm: trusting the nominal 48 kHz loses a millisecond in ten seconds.
Each block of sound comes with a stamp of its first sample that is never early but often late, by scheduling,
by buffers, and by a lot in a stream's first seconds. So only the earliest stamp of each second counts, and a
robust line goes through those.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firmware_host.clock import SECOND_NS

MIN_SECONDS = 5
RECENT = 60
"""Seconds of sound that tell where the line is now: over hours a crystal wanders by parts per million."""


@dataclass(frozen=True)
class RateFit:
    """Sample n was taken at ``t0_ns + n * 10**9 / rate_hz``; `residual_ns` is the median misfit of a second."""

    rate_hz: float
    t0_ns: int
    residual_ns: float
    seconds: int

    def time_ns(self, sample: int) -> int:
        """When `sample` was taken."""
        return self.t0_ns + round(sample * SECOND_NS / self.rate_hz)

    def sample_at(self, t_ns: int) -> int:
        """The sample taken at `t_ns`, the nearest."""
        return round((t_ns - self.t0_ns) * self.rate_hz / SECOND_NS)


class RateEstimator:
    """Keeps the earliest stamp of each second of sound; bounded by one pair a second."""

    def __init__(self, nominal_hz: int, warm_up_s: float = 0.0) -> None:
        """Stamps within `warm_up_s` of the start are ignored: a stream begins with a backlog."""
        self.nominal_hz = nominal_hz
        self._warm_up = round(warm_up_s * nominal_hz)
        self._skip = self._warm_up
        self._earliest: dict[int, tuple[int, int, int]] = {}
        self._origin_ns: int | None = None

    def add(self, first: int, t_ns: int) -> None:
        """Sample index `first` was stamped `t_ns`."""
        if self._origin_ns is None:
            self._origin_ns = t_ns
        if first < self._skip:
            return
        lateness = t_ns - self._origin_ns - first * SECOND_NS // self.nominal_hz
        second = first // self.nominal_hz
        if second not in self._earliest or lateness < self._earliest[second][0]:
            self._earliest[second] = (lateness, first, t_ns)

    def begin_again(self, first: int) -> None:
        """The device was opened anew at sample `first`: its stamps need to warm up again."""
        self._skip = first + self._warm_up

    def pairs(self) -> list[tuple[int, int]]:
        """(sample, t_ns) of the earliest stamp of each second, in order."""
        return [(first, t_ns) for _, (_, first, t_ns) in sorted(self._earliest.items())]

    def fit(self) -> RateFit | None:
        """The true rate, or None where there is less than MIN_SECONDS of sound to judge by."""
        return fit_rate(self.pairs(), self.nominal_hz)

    def recent(self) -> RateFit | None:
        """The line of the last minute; with less than MIN_SECONDS, the nominal rate through the earliest stamp.

        None before the first stamp.
        """
        pairs = self.pairs()[-RECENT:]
        if not pairs:
            return None
        period_ns = SECOND_NS / self.nominal_hz
        earliest_ns = min(t_ns - round(first * period_ns) for first, t_ns in pairs)
        return fit_rate(pairs, self.nominal_hz) or RateFit(self.nominal_hz, earliest_ns, 0.0, len(pairs))


def fit_rate(pairs: list[tuple[int, int]], nominal_hz: int) -> RateFit | None:
    """A line through (sample, t_ns) pairs by the median of pairwise slopes (Theil and Sen).

    Half of the pairs may be wrong by any amount before the answer is.
    """
    if len(pairs) < MIN_SECONDS:
        return None
    n = np.array([p[0] for p in pairs], np.float64)
    origin = pairs[0][1]
    late = np.array([t - origin - first * SECOND_NS / nominal_hz for first, t in pairs])
    i, j = np.triu_indices(len(n), k=1)
    if len(i) > 200_000:  # hours of sound: far pairs carry the information
        far = n[j] - n[i] > n[-1] / 2
        i, j = i[far], j[far]
    slope = float(np.median((late[j] - late[i]) / (n[j] - n[i])))
    intercept = float(np.median(late - slope * n))
    residual = float(np.median(np.abs(late - slope * n - intercept)))
    return RateFit(
        rate_hz=1e9 / (1e9 / nominal_hz + slope), t0_ns=origin + round(intercept), residual_ns=residual, seconds=len(n)
    )
