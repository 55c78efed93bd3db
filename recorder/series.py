"""The one in-memory time series, and sound, which is one too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Series:
    """Samples with their times.

    Attributes:
        t_ns: (N,) int64, when each sample was taken, ns on `clock`; not decreasing.
        x: (N, C) float32 in SI units (degC for temperature).
        fresh: (N,) bool, False where a value repeats an earlier one.
        channels: C names.
        clock: name of the clock.
    """

    t_ns: np.ndarray
    x: np.ndarray
    fresh: np.ndarray
    channels: tuple[str, ...]
    clock: str

    def __post_init__(self) -> None:
        n = len(self.t_ns)
        if self.x.shape != (n, len(self.channels)) or self.fresh.shape != (n,):
            raise ValueError(
                f"series of {n} times and {len(self.channels)} channels has values of shape {self.x.shape} "
                f"and {self.fresh.shape} freshness flags"
            )


@dataclass(frozen=True)
class Sound:
    """One microphone's samples on its device's clock.

    Sample n was taken at ``t0_ns + n * 10**9 / rate_hz``. `rate_hz` is the true rate on `clock`, which for a
    kit is estimated against CLOCK_MONOTONIC and for an imported file is the file's own word.

    Attributes:
        x: (N,) float32 in [-1, 1].
        rate_hz: samples per second of `clock`.
        t0_ns: time of sample 0, ns on `clock`.
        clock: name of the clock.
    """

    x: np.ndarray
    rate_hz: float
    t0_ns: int
    clock: str

    @property
    def duration_s(self) -> float:
        return len(self.x) / self.rate_hz

    def times_ns(self, index: np.ndarray) -> np.ndarray:
        """(N,) sample indices, fractions allowed, to (N,) int64 ns on `clock`."""
        return self.t0_ns + np.rint(np.asarray(index, dtype=np.float64) * (1e9 / self.rate_hz)).astype(np.int64)
