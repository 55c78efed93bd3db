"""Waveforms that say nothing one by one, added up along a line.

At ten decibels below the noise a window's highest peak is chance, but the true one is there too, a little raised. So
the windows' phase correlations are laid beside each other and *summed* along every line that both ends of the onsets'
line may be wrong by, as `sync.onsets` sums onsets: what is raised at the same place in each window stands out of the
sum. The same sums with every window shifted at random tell how high chance comes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from sync import phat
from sync.alignment import MAX_SKEW_PPM
from sync.onsets import Line
from sync.waveform import Wave

LENGTH, MAX_WINDOWS = 2**16, 60
REACH_S = 0.05
"""How far either end of the line may be off."""
STEP_S, WIDTH_S = 0.00025, 0.0003
FLOOR, CEILING = 1.5, 6.0
"""Standard deviations of a window's correlation below which nothing counts, and above which it counts no more."""
NULLS = 12
GROUPS, NEAR_S, MIN_STANDING = 8, 0.006, 4.0
MIN_SIGMA_NS = 0.5e6


@dataclass(frozen=True)
class Stacked:
    """The best line through all windows, and what groups of them say near it.

    Attributes:
        line: the line.
        false_alarm: how likely windows shifted at random sum up as high: a Gumbel tail, in [0, 1].
        standing: the sum in standard deviations of all sums.
        u_ns: (G,) float64, centres of the groups that say something, ns since the source's first sample.
        lag_ns: (G,) float64, their lags.
        sigma_ns: standard error of one group's lag.
    """

    line: Line
    false_alarm: float
    standing: float
    u_ns: np.ndarray
    lag_ns: np.ndarray
    sigma_ns: float


def stacked(source: Wave, target: Wave, line: Line) -> Stacked | None:
    """The line near `line` along which all windows agree best; None where there is room for two windows only."""
    start, stop = phat.common_ns(source, target, line)
    half_ns = 0.5e9 * LENGTH / target.rate_hz
    count = int(np.clip((stop - start) / half_ns - 1, 0, MAX_WINDOWS))
    if count < 3:
        return None
    u_ns = np.linspace(start + half_ns, stop - half_ns, count)
    r = phat.correlations(source, target, line, u_ns, LENGTH, REACH_S + NEAR_S)
    raised = ndimage.uniform_filter1d(np.clip(r - FLOOR, 0, CEILING), round(WIDTH_S * target.rate_hz), axis=1)
    grid = raised[:, :: round(STEP_S * target.rate_hz)]
    limits = _tilts(line, float(np.ptp(u_ns)))
    total, left, right, standing = _best(grid, limits)
    rng = np.random.default_rng(0)
    null = []
    for _ in range(NULLS):
        shifts = rng.integers(grid.shape[1], size=count)
        null.append(_best(np.stack([np.roll(g, s) for g, s in zip(grid, shifts, strict=True)]), limits)[0])
    spread = max(float(np.std(null)) * np.sqrt(6) / np.pi, 1e-3)
    false_alarm = -np.expm1(-np.exp(-(total - float(np.mean(null)) + 0.5772 * spread) / spread))
    step_ns = STEP_S * 1e9
    skew = line.skew + (right - left) * step_ns / float(np.ptp(u_ns))
    better = Line(float(u_ns[0]), float(line.lag(u_ns[0])) + left * step_ns, skew)
    return Stacked(better, float(false_alarm), standing, *_groups(raised, u_ns, line, better, target.rate_hz))


def _tilts(line: Line, span_ns: float) -> tuple[int, int]:
    """How many steps the right end may move against the left one, so that the drift stays a clock's."""
    limit = MAX_SKEW_PPM * 1e-6
    low, high = ((x - line.skew) * span_ns * 1e-9 / STEP_S for x in (-limit, limit))
    return int(np.floor(low)) - 1, int(np.ceil(high)) + 1


def _best(grid: np.ndarray, limits: tuple[int, int]) -> tuple[float, int, int, float]:
    """Highest sum over all lines, the steps by which it moves the ends, and its standing among all sums."""
    rows = np.arange(len(grid))
    where = rows / (len(grid) - 1)
    middle = grid.shape[1] // 2
    reach = round(REACH_S / STEP_S)
    flat = np.ascontiguousarray(grid).ravel()
    best = (-np.inf, 0, 0)
    mean = square = 0.0
    tried = 0
    for left in range(-reach, reach + 1):
        right = np.arange(max(left + limits[0], -reach), min(left + limits[1], reach) + 1)
        if not len(right):
            continue
        column = np.rint(middle + left + (right[:, None] - left) * where).astype(np.int64)
        total = flat[column + rows * grid.shape[1]].sum(axis=1)
        k = int(np.argmax(total))
        best = max(best, (float(total[k]), left, int(right[k])))
        mean += float(total.sum())
        square += float(np.square(total).sum())
        tried += len(total)
    mean /= tried
    deviation = np.sqrt(max(square / tried - mean**2, 1e-12))
    return *best, (best[0] - mean) / float(deviation)


def _groups(
    raised: np.ndarray, u_ns: np.ndarray, line: Line, better: Line, rate_hz: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Centres and lags of groups of neighbouring windows, summed along the better line; and their standard error."""
    near, middle = round(NEAR_S * rate_hz), raised.shape[1] // 2
    at = middle + np.rint((better.lag(u_ns) - line.lag(u_ns)) * 1e-9 * rate_hz).astype(int)
    at = np.clip(at, near, raised.shape[1] - near - 1)
    beside = np.array([row[k - near : k + near + 1] for row, k in zip(raised, at, strict=True)])
    centres, lags = [], []
    for group in np.array_split(np.arange(len(u_ns)), min(GROUPS, len(u_ns))):
        total = beside[group].sum(axis=0)
        k = int(np.argmax(total))
        # A group's own peak, where it has one; the line's, where chance would do.
        if total[k] < raised[group].sum(axis=0).mean() + MIN_STANDING * raised[group].sum(axis=0).std():
            k = near
        centre = float(u_ns[group].mean())
        centres.append(centre)
        lags.append(float(better.lag(centre)) + (k - near) * 1e9 / rate_hz)
    left = np.array(lags) - better.lag(np.array(centres))
    sigma_ns = max(1.4826 * float(np.median(np.abs(left))), float(np.std(left)), MIN_SIGMA_NS)
    return np.array(centres), np.array(lags), sigma_ns
