"""The fine search: generalised cross-correlation with phase transform, window by window.

Dividing the cross-spectrum by its magnitude leaves only phase, so that a peak is as wide as the bandwidth allows
whatever was said or played (Knapp and Carter 1976). A drift of 100 ppm smears it by 0.4 ms over four seconds,
so each window of the source is first resampled along the line known so far. The search is wide on purpose:
a window in which samples were lost shows its peak elsewhere, instead of showing none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage, signal

from recorder.series import Sound
from sync.onsets import Line
from sync.waveform import noise_level, peak

BAND_HZ = (150.0, 7000.0)
MIN_STANDING = 8.0
"""Standard deviations above the window's own background; noise alone reaches 5 in a search of 30,000 lags."""
MAX_RUNNER_UP = 0.75
NEAR_S = 0.001
"""Peaks nearer than this are the same peak's side lobes or early reflections."""


@dataclass(frozen=True)
class Windows:
    """What each window said.

    Attributes:
        u_ns: (N,) float64, centres, ns since the source's first sample.
        lag_ns: (N,) float64, what to add to get the target's time since its first sample.
        standing: (N,) float64, the peak in standard deviations of the correlation around it.
        runner_up: (N,) float64, second-highest peak over the highest.
        height: (N,) float64, the peak as a share of a perfect copy's, in [0, 1].
        length: samples of a window at the working rate; peaks are sought within a quarter of it.
    """

    u_ns: np.ndarray
    lag_ns: np.ndarray
    standing: np.ndarray
    runner_up: np.ndarray
    height: np.ndarray
    length: int

    @property
    def clear(self) -> np.ndarray:
        """(N,) bool, True where one peak stands out."""
        return (self.standing >= MIN_STANDING) & (self.runner_up <= MAX_RUNNER_UP)

    def with_rows(self, index: np.ndarray, other: Windows, rows: np.ndarray) -> Windows:
        """A copy in which the rows at `index` are `other`'s `rows`."""
        fields = {}
        for name in ("u_ns", "lag_ns", "standing", "runner_up", "height"):
            fields[name] = getattr(self, name).copy()
            fields[name][index] = getattr(other, name)[rows]
        return Windows(**fields, length=self.length)


def common_ns(source: Sound, target: Sound, line: Line) -> tuple[float, float]:
    """First and last time that both sounds hold under `line`, ns since the source's first sample."""
    last = line.source_time(np.array([0.0, 1e9 * target.duration_s]))
    return max(0.0, float(last[0])), min(1e9 * source.duration_s, float(last[1]))


def windows(source: Sound, target: Sound, line: Line, u_ns: np.ndarray, length: int) -> Windows:
    """Correlate one window of `length` target samples around each of `u_ns`.

    Args:
        source: at the working rate.
        target: at the working rate.
        line: the line known so far.
        u_ns: (N,) centres inside the common time.
        length: a power of two.
    """
    taper, band = _shapes(length, target.rate_hz)
    full = 2 * band.sum() / length
    rows = [_window(source, target, line, u, taper, band) for u in u_ns]
    lag, standing, runner_up, height = np.array(rows).reshape(-1, 4).T
    return Windows(np.asarray(u_ns), lag, standing, runner_up, np.clip(height / full, 0, 1), length)


def peak_shape(source: Sound, target: Sound, line: Line, u_ns: float, length: int) -> tuple[np.ndarray, np.ndarray]:
    """One window's correlation, for a picture: lags against the line in ns, and its height in [-1, 1]."""
    taper, band = _shapes(length, target.rate_hz)
    first = round((u_ns + float(line.lag(u_ns))) * 1e-9 * target.rate_hz) - length // 2
    r = _correlation(source, target, line, first, taper, band) * (length / (2 * band.sum()))
    return (np.arange(len(r)) - length // 4) * (1e9 / target.rate_hz), r


def _shapes(length: int, rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Taper of a window and the frequencies that count."""
    hz = fft.rfftfreq(length, 1 / rate_hz)
    band = ((hz > BAND_HZ[0]) & (hz < BAND_HZ[1])).astype(np.float32)
    return signal.windows.tukey(length, 0.2).astype(np.float32), band


def _window(
    source: Sound, target: Sound, line: Line, u_ns: float, taper: np.ndarray, band: np.ndarray
) -> tuple[float, float, float, float]:
    length = len(taper)
    expected_ns = float(line.lag(u_ns))
    first = round((u_ns + expected_ns) * 1e-9 * target.rate_hz) - length // 2
    r = _correlation(source, target, line, first, taper, band)
    k = int(np.argmax(r))
    if r[k] <= 0:
        return expected_ns, 0.0, 1.0, 0.0
    near = round(NEAR_S * target.rate_hz)
    # A shifted window shares less with the other: without this, a machine's next period looks lower than it is.
    overlap = 1 - np.abs(np.arange(len(r)) - len(r) / 2) / length
    rest = np.concatenate([(r / overlap)[: max(k - near, 0)], (r / overlap)[k + near :]])
    lag_ns = expected_ns + (peak(r, k) - length // 4) * (1e9 / target.rate_hz)
    return lag_ns, r[k] / (noise_level(r) + 1e-12), float(rest.max() * overlap[k] / r[k]), float(r[k])


def _correlation(
    source: Sound, target: Sound, line: Line, first: int, taper: np.ndarray, band: np.ndarray
) -> np.ndarray:
    """(length / 2,) for lags of -length / 4 samples and up against the line; target samples from `first` on."""
    length = len(taper)
    v_ns = (first + np.arange(length)) * (1e9 / target.rate_hz)
    x = _at(source.x, line.source_time(v_ns) * (1e-9 * source.rate_hz))
    cross = fft.rfft(_cut(target.x, first, length) * taper) * np.conj(fft.rfft(x * taper))
    size = np.abs(cross)
    r = fft.irfft(cross * band / (size + 1e-7 * size.max() + 1e-30), length)
    return np.roll(r, length // 2)[length // 4 : 3 * length // 4]


def _cut(x: np.ndarray, first: int, length: int) -> np.ndarray:
    """`length` samples from `first` on, zeros where there are none."""
    out = np.zeros(length, np.float32)
    low, high = max(first, 0), min(first + length, len(x))
    if high > low:
        out[low - first : high - first] = x[low:high]
    return out


def _at(x: np.ndarray, position: np.ndarray) -> np.ndarray:
    """`x` at fractional positions, cubic spline, zeros outside."""
    first = int(np.floor(position[0])) - 8
    piece = _cut(x, first, int(np.ceil(position[-1])) - first + 16)
    return ndimage.map_coordinates(piece, [position - first], order=3, mode="constant")
