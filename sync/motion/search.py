"""Where two movements fit: every lag is tried, without knowing how one sensor is mounted on the other.

Two sensors on one body see the same rotation in different axes. At each lag one is regressed on the other with free
coefficients, which is all that mounting and focal length can do, and the share R2 that this explains is the measure.
It is counted as -log(1 - R2), which adds up over the minutes that are searched, and tells nearly all from much. An hour
is searched by the minutes in which most happened; a clock that runs fast moves their peaks apart by what a crystal
allows.

Bodies move in habits, so a peak alone proves little. It must stand above the other lags (a rhythm has many peaks) and
above what the same minutes give when they run backwards, which have the same speeds and spectrum but never happened.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from firmware_host.clockmap import ClockMap
from sync.alignment import MAX_SKEW_PPM

CHUNK_S = 60.0
CHUNKS = 12
SLOWEST_S = 3.0
"""What changes more slowly is left out: a gyroscope's bias, and a camera's confusion of turning with walking."""
MIN_OVERLAP = 0.5
"""Share of a chunk that must lie on the other recording."""
APART_S = 0.5
"""A peak nearer than this to the best is its flank."""
REACH_S = 0.1
LEAST_ENERGY = 0.03
"""Share of the usual energy: where less happens, little is explained by chance."""
MOST_EXPLAINED = 0.98
"""More than this of the energy is never claimed: no camera is so good."""
RIDGE = 3e-3
"""Share of the mean energy below which an axis is noise."""


@dataclass(frozen=True)
class Grid:
    """A signal at even times.

    Attributes:
        clock: name of its clock.
        t0_ns: time of the first row. step_ns: from one to the next.
        x: (N, C) float64 without its slow part; 0 where it is not known.
        known: (N,) bool.
    """

    clock: str
    t0_ns: int
    step_ns: int
    x: np.ndarray
    known: np.ndarray

    @property
    def energy(self) -> np.ndarray:
        """(N,) float64, sum of squares over the channels."""
        return np.asarray(np.sum(self.x**2, axis=1))


@dataclass(frozen=True)
class Found:
    """The lag that fits best.

    Attributes:
        guess: times of one recording on the other's clock, right within about a sample.
        height: how well it fits: mean over the chunks of -log(1 - R2), nats, at most 3.9.
        runner_up: the same of the best other lag.
        backwards: the same of the best lag of what never happened.
        chunks: how many were searched.
    """

    guess: ClockMap
    height: float
    runner_up: float
    backwards: float
    chunks: int

    @property
    def doubt(self) -> float:
        """The best wrong answer over the best answer, in [0, inf)."""
        return max(self.runner_up, self.backwards) / max(self.height, 1e-12)


def gridded(clock: str, t0_ns: int, step_ns: int, x: np.ndarray) -> Grid:
    """Take the slow part from a signal at even times: (N, C) float64, NaN where it is not known."""
    known = np.isfinite(x).all(axis=1)
    filled = np.where(known[:, None], x, 0.0)
    length = max(3, round(SLOWEST_S * 1e9 / step_ns))
    share = np.maximum(uniform_filter1d(known.astype(float), length, mode="constant"), 1e-9)
    slow = uniform_filter1d(filled, length, axis=0, mode="constant") / share[:, None]
    return Grid(clock, t0_ns, step_ns, np.where(known[:, None], x - slow, 0.0), known)


def search(a: Grid, b: Grid) -> Found:
    """Try every lag of `a` against `b`; the guess leads from a's clock to b's."""
    chunk = min(round(CHUNK_S * 1e9 / a.step_ns), len(a.x))
    starts = _busiest(a, chunk)
    reach = round((REACH_S + MAX_SKEW_PPM * 1e-6 * len(a.x) * a.step_ns * 1e-9) * 1e9 / a.step_ns)
    curves = np.stack([_curve(a, b, s, chunk) for s in starts])
    total = _total(curves, reach)
    best = int(np.argmax(total))
    far = np.abs(np.arange(len(total)) - best) > reach + round(APART_S * 1e9 / a.step_ns)
    backwards = np.stack([_curve(_reversed(a, s, chunk), b, s, chunk) for s in starts])
    return Found(
        _line(a, b, curves, starts, chunk, best, reach),
        float(total[best]),
        float(total[far].max(initial=0.0)),
        float(_total(backwards, reach).max()),
        len(starts),
    )


def _busiest(a: Grid, chunk: int) -> list[int]:
    """Where the chunks in which most happens begin, by time."""
    starts = np.arange(0, len(a.x) - chunk + 1, chunk)
    sums = np.add.reduceat(a.energy, starts) if len(starts) > 1 else np.array([a.energy.sum()])
    return sorted(starts[np.argsort(sums)[::-1][:CHUNKS]].tolist())


def _reversed(a: Grid, start: int, chunk: int) -> Grid:
    x, known = a.x.copy(), a.known.copy()
    x[start : start + chunk] = x[start : start + chunk][::-1]
    known[start : start + chunk] = known[start : start + chunk][::-1]
    return Grid(a.clock, a.t0_ns, a.step_ns, x, known)


def _curve(a: Grid, b: Grid, start: int, chunk: int) -> np.ndarray:
    """What one chunk explains of b at every lag: (Na + Nb - 1,) nats; index k is a lag of k - (Na - 1) rows."""
    x, known = _whitened(a.x[start : start + chunk]), a.known[start : start + chunk].astype(float)
    n = fft.next_fast_len(chunk + len(b.x), real=True)
    one = np.conj(fft.rfft(np.column_stack([x, known]), n, axis=0))
    two = fft.rfft(np.column_stack([b.x, b.energy, b.known.astype(float)]), n, axis=0)
    explained = np.zeros(n)
    for i in range(x.shape[1]):
        for j in range(x.shape[1]):
            explained += fft.irfft(one[:, i] * two[:, j], n) ** 2
    energy = fft.irfft(one[:, -1] * two[:, -2], n)
    common = fft.irfft(one[:, -1] * two[:, -1], n)
    least = LEAST_ENERGY * b.energy.mean() * chunk
    share = np.where(common > MIN_OVERLAP * chunk, explained / np.maximum(energy, max(least, 1e-30)), 0.0)
    curve = np.zeros(len(a.x) + len(b.x) - 1)
    lags = np.arange(-(chunk - 1), len(b.x))
    # a negative lag counts from the end, as FFTs have it
    curve[lags - start + len(a.x) - 1] = -np.log1p(-np.clip(share[lags], 0.0, MOST_EXPLAINED))
    return curve


def _whitened(x: np.ndarray) -> np.ndarray:
    """Mixed so that the channels are uncorrelated and of unit energy; (N, C) to (N, C)."""
    covariance = x.T @ x
    covariance += (RIDGE * np.trace(covariance) / len(covariance) + 1e-30) * np.eye(len(covariance))
    value, vector = np.linalg.eigh(covariance)
    return np.asarray(x @ vector / np.sqrt(value))


def _total(curves: np.ndarray, reach: int) -> np.ndarray:
    return np.asarray(maximum_filter1d(curves, 2 * reach + 1, axis=1).mean(axis=0))


def _line(a: Grid, b: Grid, curves: np.ndarray, starts: list[int], chunk: int, best: int, reach: int) -> ClockMap:
    """The line that most chunks' peaks lie on, of the lines through one of them or two."""
    low = max(best - reach, 0)
    near = curves[:, low : best + reach + 1]
    lag = low + near.argmax(axis=1) - (len(a.x) - 1.0)
    height = near.max(axis=1)
    middle = np.array(starts) + chunk / 2
    lines = []
    for i in range(len(lag)):
        for j in range(len(lag)):
            skew = (lag[j] - lag[i]) / (middle[j] - middle[i]) if i != j else 0.0
            if abs(skew) <= MAX_SKEW_PPM * 1e-6:
                left = np.abs(lag - lag[i] - skew * (middle - middle[i]))
                lines.append((float(np.sum(height * (left < 2.0) * (2.0 - left))), i, skew))
    _, i, skew = max(lines)
    origin_ns = a.t0_ns + round(middle[i] * a.step_ns)
    target_ns = b.t0_ns + round((middle[i] + lag[i]) * b.step_ns)
    return ClockMap.affine(a.clock, b.clock, origin_ns=origin_ns, target_ns=target_ns, skew_ppm=1e6 * skew)
