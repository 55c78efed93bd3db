"""The coarse search: which line of (time, lag) could two recordings share?

Waveforms of distant microphones differ; the moments at which something begins do not. Each recording becomes
a picture of onsets (log energy in bands, minus its recent mean, 100 times a second). Chunks of one picture are
correlated with the whole of the other, each names its best few lags, and the lags vote for lines whose slope
a clock can have. Chunks that lie outside the common time vote at random, and lose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage, signal

from recorder.series import Sound
from sync.alignment import MAX_SKEW_PPM
from sync.waveform import noise_level

FRAME_HZ = 100
BANDS = 20
LOW_HZ, HIGH_HZ = 120.0, 7000.0
WINDOW = 512
PER_BLOCK = 4096
MAX_CHUNKS = 24
PEAKS = 4
TOLERANCE_NS = 30e6
DISTINCT_NS = 60e6


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


@dataclass(frozen=True)
class Candidate:
    """A line with its votes.

    Attributes:
        line: offset and drift.
        u_ns: (N,) centres of the chunks that agree, ns since the source's first sample.
        lag_ns: (N,) what each of them says.
        standing: (N,) how far each stands out, in standard deviations.
        inside: chunks whose centre lies in the common time.
    """

    line: Line
    u_ns: np.ndarray
    lag_ns: np.ndarray
    standing: np.ndarray
    inside: int

    @property
    def score(self) -> float:
        """Sum of the votes."""
        return float(self.standing.sum())


def candidates(source: Sound, target: Sound, limit: int = 4) -> list[Candidate]:
    """The lines with most support, best first, more than `DISTINCT_NS` apart.

    Args:
        source: at the working rate, the shorter of the two.
        target: at the working rate.
        limit: how many lines at most.
    """
    a, b = _picture(source), _picture(target)
    frame_ns = 1e9 / FRAME_HZ
    length = int(np.clip(len(a) / 3, min(3 * FRAME_HZ, len(a)), 20 * FRAME_HZ))
    count = int(np.clip(np.ceil(2 * len(a) / length) - 1, 1, MAX_CHUNKS))
    starts = np.unique(np.linspace(0, len(a) - length, count).astype(int))
    lags, scores = _lags(a, b, starts, length)
    centres_ns = (starts + length / 2) * frame_ns
    lags, end_ns = lags * frame_ns, len(b) * frame_ns
    found = []
    for line in _vote(centres_ns, lags, scores, limit):
        error = np.abs(lags - line.lag(centres_ns)[:, None])
        standing = np.where(error < TOLERANCE_NS, scores, 0.0)
        pick = standing.argmax(axis=1)
        rows = np.flatnonzero(standing.max(axis=1) > 0)
        v = centres_ns + line.lag(centres_ns)
        inside = int(np.sum((v > 0) & (v < end_ns)))
        found.append(Candidate(line, centres_ns[rows], lags[rows, pick[rows]], standing[rows, pick[rows]], inside))
    return sorted(found, key=lambda c: -c.score)


def _picture(sound: Sound) -> np.ndarray:
    """(frames, BANDS) float32: log band energy above its mean of the last half second, zero mean."""
    hop = sound.rate_hz / FRAME_HZ
    count = int((len(sound.x) - WINDOW) / hop)
    edges = np.geomspace(LOW_HZ, HIGH_HZ, BANDS + 1) / (sound.rate_hz / WINDOW)
    taper = signal.windows.hann(WINDOW, sym=False).astype(np.float32)
    power = np.empty((count, BANDS), np.float32)
    low = np.round(edges[:-1]).astype(int)
    for start in range(0, count, PER_BLOCK):
        index = np.rint(np.arange(start, min(start + PER_BLOCK, count)) * hop).astype(int)
        frames = sound.x[index[:, None] + np.arange(WINDOW)] * taper
        spectrum = np.abs(fft.rfft(frames, axis=1)) ** 2
        power[start : start + len(index)] = np.add.reduceat(spectrum[:, : round(edges[-1])], low, axis=1)
    power = np.log(power + 1e-3 * np.median(power, axis=0) + 1e-10)
    power -= ndimage.uniform_filter1d(power, FRAME_HZ // 2, axis=0, origin=FRAME_HZ // 4 - 1)
    power = np.clip(power, 0.0, None)
    return power - power.mean(axis=0)


def _lags(a: np.ndarray, b: np.ndarray, starts: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Best lags of each chunk in frames and how far they stand out: (chunks, PEAKS) float64 each."""
    size = fft.next_fast_len(len(b) + length)
    spectra = [fft.rfft(b[:, k], size) for k in range(b.shape[1])]
    energy = np.concatenate([[0.0], np.cumsum(np.square(b).sum(axis=1), dtype=np.float64)])
    begin = np.arange(len(b) + length - 1) - length + 1
    seen = energy[np.clip(begin + length, 0, len(b))] - energy[np.clip(begin, 0, len(b))]
    norm = np.sqrt(np.maximum(seen, 0.25 * np.median(seen) + 1e-9))
    lags, scores = np.zeros((len(starts), PEAKS)), np.zeros((len(starts), PEAKS))
    for i, start in enumerate(starts):
        chunk = a[start : start + length]
        product = sum(s * np.conj(fft.rfft(chunk[:, k], size)) for k, s in enumerate(spectra))
        r = np.roll(fft.irfft(product, size), length - 1)[: len(norm)] / norm
        r -= np.median(r)
        level = noise_level(r) + 1e-12
        for j in range(PEAKS):
            k = int(np.argmax(r))
            lags[i, j] = begin[k] + _parabola(r, k) - start
            scores[i, j] = max(r[k] / level, 0.0)
            r[max(k - 20, 0) : k + 21] = -np.inf
    return lags, scores


def _parabola(r: np.ndarray, k: int) -> float:
    if k == 0 or k == len(r) - 1 or not np.isfinite(r[k - 1 : k + 2]).all():
        return 0.0
    bend = r[k - 1] - 2 * r[k] + r[k + 1]
    return float(np.clip(0.5 * (r[k - 1] - r[k + 1]) / bend, -0.5, 0.5)) if bend < 0 else 0.0


def _vote(at_ns: np.ndarray, lag_ns: np.ndarray, score: np.ndarray, limit: int) -> list[Line]:
    t = np.repeat(at_ns, lag_ns.shape[1])
    lag = lag_ns.ravel()
    middle = float(at_ns.mean())
    i, j = np.triu_indices(len(t))
    apart = t[j] - t[i]
    possible = np.abs(lag[j] - lag[i]) <= MAX_SKEW_PPM * 1e-6 * apart + TOLERANCE_NS * (apart > 0)
    i, j, apart = i[possible], j[possible], apart[possible]
    limit_skew = MAX_SKEW_PPM * 1e-6
    skew = np.clip((lag[j] - lag[i]) / np.maximum(apart, 20e9), -limit_skew, limit_skew)
    offset = lag[i] + skew * (middle - t[i])
    error = np.abs(lag_ns[None] - (offset[:, None] + skew[:, None] * (at_ns - middle))[..., None])
    votes = np.where(error < TOLERANCE_NS, score[None] * (1 - 0.5 * error / TOLERANCE_NS), 0.0).max(axis=2).sum(axis=1)
    lines: list[Line] = []
    for k in np.argsort(-votes, kind="stable"):
        if all(abs(offset[k] - line.offset_ns) > DISTINCT_NS for line in lines):
            lines.append(Line(middle, float(offset[k]), float(skew[k])))
        if len(lines) == limit:
            break
    return lines
