"""The fine search: generalised cross-correlation with phase transform, window by window.

Dividing the cross-spectrum by its magnitude leaves only phase, so that a peak is as wide as the bandwidth allows
whatever was said or played (Knapp and Carter 1976). A drift of 100 ppm smears it by 0.4 ms over four seconds,
so each window of the source is first resampled along the line known so far. The search around that line is narrow,
for the onsets found it to a few milliseconds: among a thousand lags a lower peak can be believed than among many.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import fft, ndimage, signal

from sync.onsets import Line
from sync.waveform import WORK_HZ, Wave, noise_level, peak

BAND_HZ = (150.0, 7000.0)
MIN_STANDING = 6.0
"""Standard deviations above the window's own background; noise alone reaches 4 in a search of a thousand lags."""
MAX_RUNNER_UP = 0.8
REACH_S = 0.07
"""How far from the line a peak is sought: the onsets' error, and the paths of a large room."""
STEP_BLOCK = 160
"""Samples whose products are added up before a step is sought: 10 ms."""
NEAR_S = 0.001
"""Peaks nearer than this are the same peak's side lobes or early reflections."""
FIELDS = ("u_ns", "lag_ns", "standing", "runner_up", "height")


@dataclass(frozen=True)
class Windows:
    """What each window said.

    Attributes:
        u_ns: (N,) float64, centres, ns since the source's first sample.
        lag_ns: (N,) float64, what to add to get the target's time since its first sample.
        standing: (N,) float64, the peak in standard deviations of the correlation around it.
        runner_up: (N,) float64, second-highest peak over the highest.
        height: (N,) float64, the peak as a share of a perfect copy's, in [0, 1].
        length: samples of a window at the working rate.
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
        for name in FIELDS:
            fields[name] = getattr(self, name).copy()
            fields[name][index] = getattr(other, name)[rows]
        return Windows(**fields, length=self.length)

    def without(self, rows: np.ndarray) -> Windows:
        """A copy that lacks some rows, (N,) bool."""
        return Windows(**{name: getattr(self, name)[~rows] for name in FIELDS}, length=self.length)

    def joined(self, other: Windows) -> Windows:
        """The rows of both, by time."""
        order = np.argsort(np.concatenate([self.u_ns, other.u_ns]), kind="stable")
        both = {name: np.concatenate([getattr(self, name), getattr(other, name)])[order] for name in FIELDS}
        return Windows(**both, length=self.length)

    @property
    def spoke(self) -> np.ndarray:
        """(N,) bool, True where the window itself was heard, and its lag was not told by something else."""
        return self.height > 0

    def told(self, line: Line) -> Windows:
        """The same windows, on a line that something else is sure of."""
        return replace(
            self,
            lag_ns=line.lag(self.u_ns),
            standing=np.full(len(self.u_ns), MIN_STANDING),
            runner_up=np.zeros(len(self.u_ns)),
            height=np.zeros(len(self.u_ns)),
        )


def common_ns(source: Wave, target: Wave, line: Line) -> tuple[float, float]:
    """First and last time that both sounds hold under `line`, ns since the source's first sample."""
    last = line.source_time(np.array([0.0, 1e9 * target.duration_s]))
    return max(0.0, float(last[0])), min(1e9 * source.duration_s, float(last[1]))


def windows(source: Wave, target: Wave, line: Line, u_ns: np.ndarray, length: int) -> Windows:
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


def correlations(source: Wave, target: Wave, line: Line, u_ns: np.ndarray, length: int, reach_s: float) -> np.ndarray:
    """(N, 2K + 1) of the windows around `u_ns`: lags of -K to K samples against the line, in standard deviations."""
    taper, band = _shapes(length, target.rate_hz)
    reach = min(round(reach_s * target.rate_hz), length // 4 - 1)
    rows = []
    for u in u_ns:
        first = round((u + float(line.lag(u))) * 1e-9 * target.rate_hz) - length // 2
        r = _correlation(source, target, line, first, taper, band)
        rows.append(r[length // 4 - reach : length // 4 + reach + 1] / (noise_level(r) + 1e-12))
    return np.array(rows)


def peak_shape(source: Wave, target: Wave, line: Line, u_ns: float, length: int) -> tuple[np.ndarray, np.ndarray]:
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
    source: Wave, target: Wave, line: Line, u_ns: float, taper: np.ndarray, band: np.ndarray
) -> tuple[float, float, float, float]:
    length = len(taper)
    expected_ns = float(line.lag(u_ns))
    first = round((u_ns + expected_ns) * 1e-9 * target.rate_hz) - length // 2
    r = _correlation(source, target, line, first, taper, band)
    middle, reach = len(r) // 2, min(round(REACH_S * target.rate_hz), len(r) // 2)
    inside = r[middle - reach : middle + reach]
    k = int(np.argmax(inside))
    if inside[k] <= 0:
        return expected_ns, 0.0, 1.0, 0.0
    near = round(NEAR_S * target.rate_hz)
    # A shifted window shares less with the other: without this, a machine's next period looks lower than it is.
    overlap = 1 - np.abs(np.arange(-reach, reach)) / length
    rest = np.concatenate([(inside / overlap)[: max(k - near, 0)], (inside / overlap)[k + near :]])
    runner_up = float(rest.max(initial=0.0) * overlap[k] / inside[k])
    lag_ns = expected_ns + (peak(r, middle - reach + k) - middle) * (1e9 / target.rate_hz)
    return lag_ns, inside[k] / (noise_level(r) + 1e-12), runner_up, float(inside[k])


def _correlation(source: Wave, target: Wave, line: Line, first: int, taper: np.ndarray, band: np.ndarray) -> np.ndarray:
    """(length / 2,) for lags of -length / 4 samples and up against the line; target samples from `first` on."""
    length = len(taper)
    x, y = _warped(source, target, line, first, length), target.cut(first, length)
    cross = fft.rfft(y * taper) * np.conj(fft.rfft(x * taper))
    size = np.abs(cross)
    r = fft.irfft(cross * band / (size + 1e-7 * size.max() + 1e-30), length)
    return np.roll(r, length // 2)[length // 4 : 3 * length // 4]


def step_at(source: Wave, target: Wave, lines: tuple[Line, Line], u_ns: tuple[float, float]) -> float:
    """The source time at which one line stops to explain the target and the other begins, ns.

    Both sounds are whitened, the source along either line, and multiplied: a product has a positive mean where its line
    holds. The step is where the first line's products before it and the second's after it add up to most.

    Args:
        u_ns: source times between which the step lies.
    """
    first = round((u_ns[0] + float(lines[0].lag(u_ns[0]))) * 1e-9 * target.rate_hz)
    last = round((u_ns[1] + float(lines[1].lag(u_ns[1]))) * 1e-9 * target.rate_hz)
    length = max(last - first, 2 * STEP_BLOCK)
    y = _white(target.cut(first, length))
    gain = []
    for line in lines:
        product = y * _white(_warped(source, target, line, first, length))
        gain.append(product[: length // STEP_BLOCK * STEP_BLOCK].reshape(-1, STEP_BLOCK).sum(axis=1))
    total = np.concatenate([[0.0], np.cumsum(gain[0] - gain[1])])
    v_ns = (first + int(np.argmax(total)) * STEP_BLOCK) * (1e9 / target.rate_hz)
    return float(np.clip(lines[0].source_time(np.array([v_ns]))[0], *u_ns))


def _white(x: np.ndarray) -> np.ndarray:
    """Flat over `BAND_HZ`, and even in time: half a second of speech counts as much as another."""
    size = fft.next_fast_len(len(x), real=True)
    spectrum = fft.rfft(x, size)
    hz = fft.rfftfreq(size, 1 / WORK_HZ)
    smooth = ndimage.uniform_filter1d(np.abs(spectrum), max(round(50 * size / WORK_HZ), 1))
    band = (hz > BAND_HZ[0]) & (hz < BAND_HZ[1])
    white = fft.irfft(spectrum * band / (smooth + 1e-7 * smooth.max() + 1e-30), size)[: len(x)]
    level = np.sqrt(ndimage.uniform_filter1d(np.square(white), WORK_HZ // 4))
    return np.asarray(white / (level + 0.1 * level.mean() + 1e-30))


def _warped(source: Wave, target: Wave, line: Line, first: int, length: int) -> np.ndarray:
    """What the source heard at the times of `length` target samples from `first` on, if `line` holds.

    Cubic interpolation of samples at twice the working rate.
    """
    v_ns = (first + np.arange(length)) * (1e9 / target.rate_hz)
    at = line.source_time(v_ns) * (2e-9 * source.rate_hz)
    begin = int(np.floor(at[0])) // 2 - 2
    x = source.cut(begin, int(at[-1]) // 2 - begin + 4, 2)
    at -= 2 * begin
    k = at.astype(np.int64)
    d = (at - k).astype(np.float32)
    before, here, after, beyond = x[k - 1], x[k], x[k + 1], x[k + 2]
    a = (beyond - before) / 6 + (here - after) / 2
    b = (before + after) / 2 - here
    c = after - before / 3 - here / 2 - beyond / 6
    return ((a * d + b) * d + c) * d + here
