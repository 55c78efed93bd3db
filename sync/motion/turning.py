"""How something turned, whoever noticed it: a gyroscope, an orientation that was differentiated, or a camera.

A gyroscope answers with the rate at one moment; a camera with the mean rate from one frame to the next. So every rate
says how long it is the mean over, and before two of them are compared the shorter is averaged over the longer
(`mean_over`), by the difference of its integral. That keeps the comparison free of lag at any frame rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.spatial.transform import Rotation

LONGEST_GAP = 5.0
"""Samples further apart than this many usual intervals have a hole between them, which is not interpolated."""


Late = tuple[tuple[str, float], ...]
"""Errors that all times of one sensor share: name and standard deviation in ns of how much later a time is noted than
it was (age of a sample in its chip, unknown exposure of a camera)."""


class Movement(Protocol):
    """What can be compared: samples of one body on one clock, a `Turning` or a `sync.motion.mirror.Moving`."""

    @property
    def clock(self) -> str:
        """Name of the clock of `t_ns`."""

    @property
    def t_ns(self) -> np.ndarray:
        """(N,) int64, ascending."""

    @property
    def x(self) -> np.ndarray:
        """(N, C) float64, NaN where not known."""

    @property
    def width_ns(self) -> int:
        """What each sample is the mean over."""

    @property
    def late(self) -> Late:
        """Errors that all its times share."""


@dataclass(frozen=True)
class Turning:
    """Angular velocity of one rigid body.

    Attributes:
        clock: name of the clock of `t_ns`.
        t_ns: (N,) int64, the middle of what each rate is the mean over, ns, ascending.
        rate_rad_s: (N, 3) float64, right-handed about the body's own axes; NaN where it is not known.
        width_ns: what each rate is the mean over, ns; 0 for a gyroscope.
        late: errors that all its times share.
        shear_rad_s: (N, 3) float64, of a camera: by how much the bottom row turned faster than the top row, for rows
            are read one after the other. None for anything else.
        first_row: of a camera: whether `t_ns` are of the first row of its pictures, and not of the middle one.
    """

    clock: str
    t_ns: np.ndarray
    rate_rad_s: np.ndarray
    width_ns: int = 0
    late: Late = ()
    shear_rad_s: np.ndarray | None = None
    first_row: bool = False

    def __post_init__(self) -> None:
        n = len(self.t_ns)
        if self.rate_rad_s.shape != (n, 3):
            raise ValueError(f"turning of {n} times has rates of shape {self.rate_rad_s.shape}")

    @property
    def x(self) -> np.ndarray:
        """The rates."""
        return self.rate_rad_s


def every_ns(t_ns: np.ndarray) -> float:
    """The usual time between two samples, ns; infinite where there are not two."""
    return float(np.median(np.diff(t_ns))) if len(t_ns) > 1 else float("inf")


def coarseness(movement: Movement) -> float:
    """What a sensor cannot tell apart in time, ns."""
    return max(every_ns(movement.t_ns), float(movement.width_ns))


def mean_over(t_ns: np.ndarray, x: np.ndarray, asked_ns: np.ndarray, width_ns: float) -> np.ndarray:
    """The mean of a sampled signal, taken as straight between its samples, over intervals around other times.

    Args:
        t_ns: (N,) int64, ascending. x: (N, C) float64, NaN where it is not known.
        asked_ns: (M,), middles of the intervals. width_ns: their length; 0 gives the value there.

    Returns:
        (M, C) float64, NaN for what reaches beyond the samples or into a hole.
    """
    known = np.flatnonzero(np.isfinite(x).all(axis=1))
    if len(known) < 2:
        return np.full((len(asked_ns), x.shape[1]), np.nan)
    at = (t_ns[known] - t_ns[0]).astype(np.float64)
    x, asked, half = x[known], np.asarray(asked_ns - t_ns[0], np.float64), width_ns / 2
    if half:
        mean = (_integral(at, x, asked + half) - _integral(at, x, asked - half)) / (2 * half)
    else:
        mean = np.column_stack([np.interp(asked, at, column) for column in x.T])
    before = np.searchsorted(at, asked - half, "right") - 1
    after = np.searchsorted(at, asked + half)
    inside = (before >= 0) & (after < len(at))
    holes = np.concatenate([[0], np.cumsum(np.diff(at) > LONGEST_GAP * np.median(np.diff(t_ns)))])
    mean[~inside] = np.nan
    mean[inside & (holes[after.clip(max=len(at) - 1)] != holes[before.clip(0)])] = np.nan
    return mean


def _integral(at: np.ndarray, x: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Integral of a piecewise linear signal from its first sample to each time asked: (M, C)."""
    steps = np.diff(at)[:, None] * (x[1:] + x[:-1]) / 2
    whole = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(steps, axis=0)])
    k = np.clip(np.searchsorted(at, asked, "right") - 1, 0, len(at) - 2)
    into = asked - at[k]
    slope = (x[k + 1] - x[k]) / (at[k + 1] - at[k])[:, None]
    return np.asarray(whole[k] + x[k] * into[:, None] + slope * into[:, None] ** 2 / 2)


def from_orientation(clock: str, t_ns: np.ndarray, wxyz: np.ndarray, late: Late = ()) -> Turning:
    """The turning of a body whose orientation is known: world <- body, as the BNO055's fusion gives it.

    Args:
        t_ns: (N,) int64, ascending.
        wxyz: (N, 4) float, quaternions of any length but 0; rows that are not finite or 0 are left out.
        late: as of `Turning`.

    Returns:
        N - 1 rates at most, each the mean over the time between two orientations, about the body's axes.
    """
    good = np.isfinite(wxyz).all(axis=1) & (np.abs(wxyz).max(axis=1, initial=0.0) > 0)
    t_ns, wxyz = t_ns[good], wxyz[good]
    if len(t_ns) < 2:
        return Turning(clock, np.zeros(0, np.int64), np.zeros((0, 3)), 0, late)
    turned = Rotation.from_quat(wxyz, scalar_first=True)
    steps = np.diff(t_ns)
    rate = (turned[:-1].inv() * turned[1:]).as_rotvec() / (np.maximum(steps, 1) * 1e-9)[:, None]
    usual = float(np.median(steps))
    rate[steps > LONGEST_GAP * usual] = np.nan
    return Turning(clock, t_ns[:-1] + steps // 2, rate, round(usual), late)
