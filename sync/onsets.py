"""The coarse search: which line of (time, lag) could two recordings share?

Waveforms of distant microphones differ; the moments at which something begins do not. Each recording becomes
a picture of onsets (log energy in bands, minus its recent mean). Chunks of one picture are correlated with the whole
of the other, and the correlations are *summed* along every line whose slope a clock can have: evidence too weak to name
a lag in any one chunk adds up, where votes would be lost. What the same chunks reach when they are shifted at random is
the distribution of false alarms, measured on the pair itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage, signal

from sync.alignment import MAX_SKEW_PPM
from sync.waveform import Wave, noise_level

FRAME_HZ, SLOW_HZ = 100.0, 50.0
LONG_S = 900.0
"""From this length on 50 frames a second are enough."""
MAX_LAGS = 200_000
"""Longer searches are done on averaged frames first."""
BANDS = 16
LOW_HZ, HIGH_HZ = 120.0, 3_600.0
CRUDE_HZ = 8_000
WINDOW_S = 0.032
PER_BLOCK = 256
MEMORY_S = 0.5
CHUNK_S, MAX_CHUNKS = 10.0, 32
CLIP = 12.0
"""One chunk counts for no more standard deviations than this: a single bang is no recording."""
NULLS = 24
DISTINCT_NS = 60e6
FOLLOW_S, FOLLOW_REACH_S, MAX_FOLLOWED, FINE = 20.0, 0.4, 40, 5
RESOLVED_NS = 10e6
"""A recording so short that no drift moves its ends by this against each other is taken to have none, for now."""
ENDS_NS = 120e6
"""How far the first search may miss at either end of the common time."""
STAY_S = 0.02
LOST_S, LONGEST_LOCAL_S = 6.0, 60.0
"""How much a recorder may lose at once and still be followed."""
TOLERANCE_NS = 30e6


@dataclass(frozen=True)
class Line:
    """Offset of the target against the source, in ns relative to the starts of both sounds.

    ``v = u + offset_ns + skew * (u - at_ns)`` maps the time `u` since the source's first sample to the time `v`
    since the target's.
    """

    at_ns: float
    offset_ns: float
    skew: float

    def lag(self, u_ns: np.ndarray | float) -> np.ndarray:
        """What to add to `u_ns`: float64 ns."""
        return self.offset_ns + self.skew * (np.asarray(u_ns) - self.at_ns)

    def source_time(self, v_ns: np.ndarray) -> np.ndarray:
        """The inverse of ``u + lag(u)``."""
        d = np.asarray(v_ns) - self.at_ns - self.offset_ns
        return self.at_ns + d / (1.0 + self.skew)

    def shifted(self, by_ns: float) -> Line:
        """The same drift, another offset."""
        return Line(self.at_ns, self.offset_ns + by_ns, self.skew)


@dataclass(frozen=True)
class Picture:
    """Onsets of one recording: (frames, BANDS) float32, `hz` frames a second of the recording's clock."""

    x: np.ndarray
    hz: float


@dataclass(frozen=True)
class Candidate:
    """A line, and how far the sum along it stands out, in standard deviations of all sums."""

    line: Line
    standing: float


@dataclass(frozen=True)
class Search:
    """What the coarse search found.

    Attributes:
        candidates: best first, more than `DISTINCT_NS` apart.
        null: (NULLS,) float64, the best standing when the chunks are shifted at random.
    """

    candidates: tuple[Candidate, ...]
    null: np.ndarray

    @property
    def false_alarm(self) -> float:
        """How likely unrelated chunks of these very recordings reach the best standing: a Gumbel tail, in [0, 1]."""
        spread = max(float(np.std(self.null)) * np.sqrt(6) / np.pi, 0.1)
        mode = float(np.mean(self.null)) - 0.5772 * spread
        return float(-np.expm1(-np.exp(-(self.candidates[0].standing - mode) / spread)))


@dataclass(frozen=True)
class Followed:
    """Chunk by chunk along a line: (N,) centres `u_ns`, `lag_ns`, and `standing` in standard deviations."""

    u_ns: np.ndarray
    lag_ns: np.ndarray
    standing: np.ndarray


def picture(sound: Wave, hz: float) -> Picture:
    """Onsets in `BANDS` bands: log energy above its mean of the last half second, zero mean.

    The change to about 8 kHz is a plain mean of neighbours: what it folds back is the same for both recordings.
    """
    step = max(round(sound.native_hz / CRUDE_HZ), 1)
    rate = sound.native_hz / step
    size, hop = round(WINDOW_S * rate), rate / hz
    count = max(int((sound.native_length // step - size) / hop), 1)
    taper = signal.windows.hann(size, sym=False).astype(np.float32)
    bins = np.arange(size // 2 + 1) * (rate / size)
    edges = np.geomspace(LOW_HZ, HIGH_HZ, BANDS + 1)
    member = ((bins[:, None] >= edges[:-1]) & (bins[:, None] < edges[1:])).astype(np.float32)
    power = np.empty((count, BANDS), np.float32)
    for start in range(0, count, PER_BLOCK):
        index = np.rint(np.arange(start, min(start + PER_BLOCK, count)) * hop).astype(int)
        piece = sound.raw(int(index[0]) * step, (int(index[-1] - index[0]) + size) * step)
        crude = piece.reshape(-1, step) @ np.full(step, 1 / step, np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(crude, size)[index - index[0]] * taper
        spectrum = fft.rfft(frames, axis=1)
        power[start : start + len(index)] = (spectrum.real**2 + spectrum.imag**2) @ member
    power += 1e-3 * np.median(power, axis=0) + 1e-10
    np.log(power, out=power)
    memory = max(round(MEMORY_S * hz), 2)
    for k in range(BANDS):
        recent = ndimage.uniform_filter1d(power[:, k], memory, origin=memory // 2 - 1)
        band = np.clip(power[:, k] - recent, 0.0, None)
        power[:, k] = band - band.mean()
    return Picture(power, hz)


def pictures(source: Wave, target: Wave) -> tuple[Picture, Picture]:
    """Both at the same number of frames a second."""
    hz = SLOW_HZ if source.duration_s > LONG_S else FRAME_HZ
    return picture(source, hz), picture(target, hz)


def search(a: Picture, b: Picture, limit: int = 4) -> Search:
    """The lines along which the onsets of `a`, the shorter, agree best with those of `b`."""
    thin = -(-(len(a.x) + len(b.x)) // MAX_LAGS)
    hz = a.hz / thin
    x, y = (_thinned(p.x, thin) for p in (a, b))
    count = int(np.clip(len(x) / hz / CHUNK_S, 2, MAX_CHUNKS))
    starts = np.linspace(0, len(x), count + 1).astype(int)
    scores = chunk_scores(x, y, starts)
    middle = len(x) / 2
    away = (starts[:-1] + starts[1:]) / 2 - middle
    reach = MAX_SKEW_PPM * 1e-6 * np.abs(away).max()
    slopes = np.linspace(-1, 1, 2 * int(np.ceil(reach)) + 1) * MAX_SKEW_PPM * 1e-6
    best, which = _along(scores, np.rint(slopes[:, None] * away).astype(int))
    level = noise_level(best - np.median(best)) + 1e-12
    centre = float(np.median(best))
    null = _null(scores, len(slopes), level, centre)
    found: list[Candidate] = []
    rest = best.copy()
    apart = max(round(DISTINCT_NS * 1e-9 * hz), 2)
    for _ in range(limit):
        k = int(np.argmax(rest))
        lag = (k - len(x) + 1 + _parabola(best, k)) / hz
        line = Line(middle / hz * 1e9, lag * 1e9, float(slopes[which[k]]))
        found.append(Candidate(line, float((best[k] - centre) / level)))
        rest[max(k - apart, 0) : k + apart + 1] = -np.inf
    return Search(tuple(found), null)


def _thinned(x: np.ndarray, by: int) -> np.ndarray:
    """Means of `by` frames in a row."""
    whole = len(x) // by * by
    return x[:whole].reshape(-1, by, x.shape[1]).mean(axis=1) if by > 1 else x


def chunk_scores(x: np.ndarray, y: np.ndarray, starts: np.ndarray, clip: float = CLIP) -> np.ndarray:
    """(chunks, lags) float32 standard deviations; column k is a lag of ``k - len(x) + 1`` frames of the target.

    Each correlation is divided by the energy that the chunk saw there: a loud stretch is no better than another.
    """
    longest = int(np.diff(starts).max())
    size = fft.next_fast_len(len(y) + longest, real=True)
    spectra = [fft.rfft(y[:, k], size) for k in range(y.shape[1])]
    energy = np.concatenate([[0.0], np.cumsum(np.square(y).sum(axis=1), dtype=np.float64)])
    out = np.zeros((len(starts) - 1, len(x) + len(y) - 1), np.float32)
    for row, start, stop in zip(out, starts[:-1], starts[1:], strict=True):
        length = stop - start
        product = sum(s * np.conj(fft.rfft(x[start:stop, k], size)) for k, s in enumerate(spectra))
        r = np.roll(fft.irfft(product, size), length - 1)[: len(y) + length - 1]
        begin = np.arange(len(r)) - length + 1
        seen = energy[np.clip(begin + length, 0, len(y))] - energy[np.clip(begin, 0, len(y))]
        r = r / np.sqrt(np.maximum(seen, 0.25 * np.median(seen) + 1e-9))
        r -= np.median(r)
        first = len(x) - stop
        row[first : first + len(r)] = np.clip(r / (noise_level(r) + 1e-12), -clip, clip)
    return out


def _along(scores: np.ndarray, shifts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each lag the best sum over the slopes, over the square root of the chunks, and the number of that slope."""
    lags = scores.shape[1]
    best, which = np.full(lags, -np.inf, np.float32), np.zeros(lags, np.int16)
    for number, row in enumerate(shifts):
        total = np.zeros(lags, np.float32)
        for score, shift in zip(scores, row, strict=True):
            low, high = max(shift, 0), lags + min(shift, 0)
            total[low - shift : high - shift] += score[low:high]
        better = total > best
        best[better] = total[better]
        which[better] = number
    return best / np.float32(np.sqrt(len(scores))), which


def _null(scores: np.ndarray, slopes: int, level: float, centre: float) -> np.ndarray:
    """Best standings of chunks that were shifted at random against each other: (NULLS,).

    One shuffle tries one slope; that the real search tries many is made good by the spread of the maxima.
    """
    rng = np.random.default_rng(0)
    found = []
    for _ in range(NULLS):
        total = np.zeros(scores.shape[1], np.float32)
        for score in scores:
            shift = int(rng.integers(len(total)))
            total[shift:] += score[: len(total) - shift]
            total[:shift] += score[len(total) - shift :]
        found.append((float(total.max()) / np.sqrt(len(scores)) - centre) / level)
    spread = float(np.std(found)) * np.sqrt(6) / np.pi
    return np.array(found) + spread * np.log(slopes)


def refined(a: Picture, b: Picture, line: Line) -> tuple[Line, Followed]:
    """A line to a few milliseconds: the sum of local correlations, over all small changes of its two ends.

    Returns:
        The line, and what each chunk says by itself within `TOLERANCE_NS` of it.
    """
    u_ns, length = _chunks(a, b, line)
    reach = round(FOLLOW_REACH_S * a.hz)
    r = np.array([_local(a, b, line, u, length, reach) for u in u_ns])
    r /= np.maximum([noise_level(row) for row in r], r.max(axis=1) / CLIP)[:, None] + 1e-12
    fine = ndimage.zoom(r, (1, FINE), order=3, grid_mode=False)
    step_ns = 2 * reach / (fine.shape[1] - 1) / a.hz * 1e9
    middle = fine.shape[1] // 2
    half = round(ENDS_NS / step_ns)
    span = max(float(np.ptp(u_ns)), 1.0)
    where = (u_ns - u_ns[0]) / span
    best = (-np.inf, 0, 0)
    for left in range(-half, half + 1, 2):
        rights = np.arange(-half, half + 1, 2)
        if span * MAX_SKEW_PPM * 1e-6 > RESOLVED_NS:
            rights = rights[np.abs(line.skew + (rights - left) * step_ns / span) <= MAX_SKEW_PPM * 1e-6 + 1e-9]
        else:
            rights = np.array([left])
        if len(rights):
            columns = middle + np.rint(left + (rights[:, None] - left) * where).astype(int)
            total = fine[np.arange(len(u_ns)), columns].sum(axis=1)
            k = int(np.argmax(total))
            best = max(best, (float(total[k]), left, int(rights[k])))
    _, left, right = best
    skew = line.skew + (right - left) * step_ns / span
    better = Line(float(u_ns[0]), float(line.lag(u_ns[0])) + left * step_ns, float(skew))
    centre = middle + np.rint(left + (right - left) * where).astype(int)
    near = round(TOLERANCE_NS / step_ns)
    lags, standing = [], []
    for row, c, u in zip(fine, centre, u_ns, strict=True):
        low = max(int(c) - near, 0)
        k = low + int(np.argmax(row[low : int(c) + near + 1]))
        lags.append(float(line.lag(u)) + (k + _parabola(row, k) - middle) * step_ns)
        standing.append(float(row[k]))
    return better, Followed(u_ns, np.array(lags), np.array(standing))


@dataclass(frozen=True)
class Elsewhere:
    """Where a stretch fits better than on its line: by `shift_ns`; both standings in standard deviations."""

    shift_ns: float
    standing: float
    stay: float


def elsewhere(a: Picture, b: Picture, line: Line, u_ns: tuple[float, float]) -> Elsewhere:
    """Look for another offset between two times of the source, within `LOST_S` of the line."""
    length = min((u_ns[1] - u_ns[0]) * 1e-9, LONGEST_LOCAL_S)
    reach = round(LOST_S * a.hz)
    r = _local(a, b, line, sum(u_ns) / 2, length, reach)
    k = int(np.argmax(r))
    level = noise_level(r) + 1e-12
    near = round(STAY_S * a.hz)
    stay = float(r[reach - near : reach + near + 1].max())
    return Elsewhere((k - reach + _parabola(r, k)) / a.hz * 1e9, float(r[k] / level), stay / level)


def alike(a: Picture, b: Picture, line: Line, u_ns: tuple[float, float]) -> float:
    """Cosine between the onsets of both from one time of the source to another, at their best within `STAY_S`."""
    near = round(STAY_S * a.hz)
    first, count = round(u_ns[0] * 1e-9 * a.hz), round((u_ns[1] - u_ns[0]) * 1e-9 * a.hz)
    base = round(float(line.lag(sum(u_ns) / 2)) * 1e-9 * a.hz)
    x = _rows(a.x, first, count)
    others = [_rows(b.x, first + base + k, count) for k in range(-near, near + 1)]
    return max(float(np.vdot(x, y) / (np.linalg.norm(x) * np.linalg.norm(y) + 1e-12)) for y in others)


def step_at(a: Picture, b: Picture, lines: tuple[Line, Line], u_ns: tuple[float, float]) -> float:
    """The source time at which one line stops to explain the target's onsets and the other begins, ns.

    It is where the first line's products before it and the second's after it add up to most.
    """
    first, last = (round(u * 1e-9 * a.hz) for u in u_ns)
    x = _rows(a.x, first, last - first)
    gain = []
    for line in lines:
        lag = float(line.lag(sum(u_ns) / 2)) * 1e-9 * a.hz
        low = int(np.floor(lag))
        y = _rows(b.x, first + low, last - first + 1)
        gain.append(np.sum(x * ((1 - lag + low) * y[:-1] + (lag - low) * y[1:]), axis=1))
    total = np.concatenate([[0.0], np.cumsum(gain[0] - gain[1])])
    return (first + int(np.argmax(total))) / a.hz * 1e9


def _chunks(a: Picture, b: Picture, line: Line) -> tuple[np.ndarray, float]:
    """Centres of chunks over the common time, ns, and their length in seconds."""
    ends = line.source_time(np.array([0.0, len(b.x) / b.hz * 1e9]))
    low, high = max(0.0, ends[0]), min(len(a.x) / a.hz * 1e9, ends[1])
    common = max((high - low) * 1e-9, 1.0)
    length = float(np.clip(common / 6, 2.0, FOLLOW_S))
    count = int(np.clip(common / length, 1, MAX_FOLLOWED))
    half = min(length / 2, common / 2) * 1e9
    return np.linspace(low + half, max(high - half, low + half), count), length


def _local(a: Picture, b: Picture, line: Line, u_ns: float, length_s: float, reach: int) -> np.ndarray:
    """(2 * reach + 1,) correlation of the chunk around `u_ns` at lags of -reach frames and up against the line."""
    length = max(round(length_s * a.hz), 2)
    first = round(u_ns * 1e-9 * a.hz - length / 2)
    lag = float(line.lag(u_ns)) * 1e-9 * a.hz
    base = round(lag)
    chunk = _rows(a.x, first, length)
    other = _rows(b.x, first + base - reach - 1, length + 2 * reach + 2)
    size = fft.next_fast_len(len(other), real=True)
    product = np.sum(fft.rfft(other, size, axis=0) * np.conj(fft.rfft(chunk, size, axis=0)), axis=1)
    r = fft.irfft(product, size)[: 2 * reach + 3]
    energy = np.concatenate([[0.0], np.cumsum(np.square(other).sum(axis=1), dtype=np.float64)])
    seen = energy[length:] - energy[:-length]
    r = r / np.sqrt(np.maximum(seen, 0.25 * np.median(seen) + 1e-9))
    at = np.arange(1, 2 * reach + 2) + (lag - base)
    r = np.interp(at, np.arange(len(r)), r)
    return r - np.median(r)


def _rows(x: np.ndarray, first: int, count: int) -> np.ndarray:
    """`count` rows from `first` on, zeros where there are none."""
    out = np.zeros((count, x.shape[1]), np.float32)
    low, high = max(first, 0), min(first + count, len(x))
    if high > low:
        out[low - first : high - first] = x[low:high]
    return out


def _parabola(r: np.ndarray, k: int) -> float:
    if k == 0 or k == len(r) - 1 or not np.isfinite(r[k - 1 : k + 2]).all():
        return 0.0
    bend = r[k - 1] - 2 * r[k] + r[k + 1]
    return float(np.clip(0.5 * (r[k - 1] - r[k + 1]) / bend, -0.5, 0.5)) if bend < 0 else 0.0
