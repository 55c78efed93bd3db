"""Plain sine bursts, as many kits play them: found by their steadiness, timed by their edges.

A sine burst is a poor mark. Its correlation with itself is a hill as long as the burst, with a peak each period, so a
matched filter is wrong by tens of milliseconds in a room. What is sharp is its edges: in a band of a few hundred hertz
the sine is there, or it is not. So a burst is found where one frequency, and little else, stands for the known time
with quiet on both sides; the first step up and the first step down are then its times, and their mean is not moved by a
fade in and out. Two recordings are compared once more by the phases of all that sounded *around* the burst, which needs
no good tone at all; where that says nothing either, and the edges are not sure, there is no answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from firmware_host.errors import ConfigError, EvidenceError
from recorder.series import Sound
from sync import phat
from sync.alignment import MAX_SKEW_PPM, Match, Pairing, Recording
from sync.onsets import Line
from sync.tones import BLOCK, Tone, paired, path_errors, travel_ns
from sync.waveform import Wave, noise_level, working

HALF_BAND_HZ, MAX_HALF_BAND = 500.0, 0.5
"""The band around the sine, and its largest share of the sine's frequency."""
BASE_SIZE = 2**14
"""Samples of a block once the sine's band is moved to zero: about 2,000 a second."""
TURN_S, SHORT_TURN_S = 0.02, 0.002
"""A sine still turns as it did after this time, noise of that band does not; the shorter tells 1,100 Hz from 1,000."""
MAX_DETUNE = 0.01
MIN_PURE, MAX_BESIDE, MIN_QUARTER = 0.45, 0.25, 0.35
"""Of the band's energy in the burst, what turns evenly; of that power, what is there beside it and in its weakest
quarter."""
GUARD = 0.25
"""Quiet time that is wanted before and after the burst, over its length."""
EDGE_S, REACH_S = 0.01, 0.06
FIRST_STEP, OVER_NOISE = 0.25, 4.0
"""The direct sound's step over the highest of all reflections', and over what changes before it."""
MIN_EDGE = 0.4
"""An edge changes the sine by at least this share of its height; a note that dies away has no second edge."""
MAX_MISFIT_S = 0.025
EDGE_NS = 1.2e6
"""Standard error of an edge's time: a microphone's resonance delays one frequency by as much, and so do reflections."""
RINGING_S, MAX_RINGING = 0.04, 0.2
"""In a room that rings on after a burst at more than this share of its height, the direct sound and its reflections add
up to anything, and the sum's edges are up to 10 ms from the direct sound's."""
MAX_EDGES_APART_NS = 1.5e6
"""Both edges of a burst must name the same offset between two recordings, or neither is believed."""
MAX_SIGMA_NS = 2e6
"""Edges less sure than this are no answer: the promise is 3 ms."""
AROUND_LENGTH, AROUND_NS = 2**16, 1.5e6
"""What else sounds comes from elsewhere, over paths of another difference."""
STEADY_NS = 3e6
"""Bursts whose offsets differ by more than this, and what a clock may drift in between, are not the same bursts."""
AGREES_SIGMAS = 4.0


@dataclass(frozen=True)
class Sine:
    """A burst to look for: `hz` in hertz, for `length_s` seconds.

    Raises:
        ConfigError: it would not be heard, or is too short to be told from anything else.
    """

    hz: float
    length_s: float

    def __post_init__(self) -> None:
        if not (200 <= self.hz <= 7000 and 0.1 <= self.length_s <= 3):
            raise ConfigError(
                f"a sine burst of {self.hz:g} Hz and {self.length_s:g} s cannot be found; take 200 to 7000 Hz and "
                "0.1 to 3 s"
            )


@dataclass(frozen=True)
class Burst(Tone):
    """A burst that was heard; `t_ns` is halfway between what either edge says of its first sample.

    Attributes:
        length_ns: time from its first edge to its last.
        random_ns: what noise alone moves an edge by, one standard deviation.
        sharp: whether it ends at once, and does not ring on in the room.
    """

    length_ns: float
    random_ns: float
    sharp: bool


def find(sound: Sound | Wave, sine: Sine) -> tuple[Burst, ...]:
    """Every such burst in a sound, by time.

    Raises:
        EvidenceError: the sound is silent, or holds no such burst.
    """
    work = working(sound)
    kept: list[Burst] = []
    for burst in sorted(_candidates(work, sine), key=lambda b: -b.score):
        if all(abs(burst.t_ns - k.t_ns) > 0.5e9 * sine.length_s for k in kept):
            kept.append(burst)
    if not kept:
        raise EvidenceError(
            f"no burst of {sine.hz:g} Hz and {sine.length_s:g} s in the sound of {sound.clock}; check both figures, or "
            "compare the recordings by all of their sound"
        )
    return tuple(sorted(kept, key=lambda k: k.t_ns))


def match(source: Recording, target: Recording, sine: Sine) -> Pairing:
    """Pair the bursts of two recordings.

    Raises:
        EvidenceError: a recording without bursts, bursts that do not belong together, or none whose time is sure.
    """
    sounds = [working(r.heard()) for r in (source, target)]
    found = [find(s, sine) for s in sounds]
    pairs = paired(found[0], found[1], source.clock, target.clock)
    told = [(a, b, *_told(sounds[0], sounds[1], a, b, sine)) for a, b in pairs]
    told = _agreeing([t for t in told if t[3] <= MAX_SIGMA_NS])
    if len(told) < 2:
        raise EvidenceError(
            f"{source.clock} and {target.clock} have no two bursts in common with sharp edges, and one burst is like "
            "any other; compare the recordings by all of their sound"
        )
    travel = [round(travel_ns(r.tone_distance_m or 0.0)) for r in (source, target)]
    matches = tuple(
        Match(
            method="tones",
            source=source.clock,
            target=target.clock,
            t_ns=a.t_ns - travel[0],
            offset_ns=offset_ns - travel[1] + travel[0],
            sigma_ns=sigma_ns,
            score=min(a.score, b.score),
            shared=path_errors(source, target, "sine"),
        )
        for a, b, offset_ns, sigma_ns in told
    )
    evidence: dict[str, float] = {
        "tones_source": len(found[0]),
        "tones_target": len(found[1]),
        "tones_paired": len(pairs),
        "tones_sure": len(told),
    }
    return Pairing("tones", source.clock, target.clock, "ok", "", matches, evidence)


def _agreeing(told: list[tuple[Burst, Burst, int, float]]) -> list[tuple[Burst, Burst, int, float]]:
    """The most pairs whose offsets one clock's drift explains."""
    groups = [
        [t for t in told if abs(t[2] - one[2]) < STEADY_NS + MAX_SKEW_PPM * 1e-6 * abs(t[0].t_ns - one[0].t_ns)]
        for one in told
    ]
    return max(groups, key=len, default=[])


def _told(source: Wave, target: Wave, a: Burst, b: Burst, sine: Sine) -> tuple[int, float]:
    """Offset of one pair of bursts and its sigma, ns: by the sound around them, or by their edges."""
    apart_ns = b.length_ns - a.length_ns
    sigma_ns = float(np.linalg.norm([EDGE_NS, a.random_ns, b.random_ns, apart_ns / 2]))
    if a.sharp and b.sharp and abs(apart_ns) < MAX_EDGES_APART_NS:
        return b.t_ns - a.t_ns, sigma_ns
    u_ns = float(a.t_ns - source.t0_ns)
    line = Line(u_ns, float(b.t_ns - target.t0_ns) - u_ns, 0.0)
    middle = np.array([u_ns + 0.5e9 * sine.length_s])
    heard = phat.windows(source, target, line, middle, AROUND_LENGTH)
    away_ns = float(heard.lag_ns[0] - line.lag(middle[0]))
    if heard.clear[0] and abs(away_ns) < AGREES_SIGMAS * sigma_ns:
        return b.t_ns - a.t_ns + round(away_ns), AROUND_NS
    return b.t_ns - a.t_ns, float("inf")


def _candidates(work: Wave, sine: Sine) -> Iterator[Burst]:
    rate = BASE_SIZE * work.rate_hz / BLOCK
    length, turn = round(sine.length_s * rate), round(TURN_S * rate)
    guard = max(round(GUARD * sine.length_s * rate), 2 * turn)
    span = round((sine.length_s * (1 + 2 * GUARD) + 2 * REACH_S) * work.rate_hz)
    for start in range(-span, max(len(work), 1), BLOCK - 2 * span):
        z = _base(work.cut(start, BLOCK), work.rate_hz, sine.hz)
        for begin, detune in _steady(z, length, turn, guard, sine.hz / rate):
            burst = _timed(z * np.exp(-1j * detune * np.arange(len(z))), begin, length, rate)
            if burst is None:
                continue
            first, last, random, score, sharp = burst
            misfit = last - first - sine.length_s * rate
            t_ns = int(work.times_ns(np.array([start + (first + misfit / 2) * BLOCK / BASE_SIZE]))[0])
            sigma_ns = float(np.linalg.norm([EDGE_NS, 1e9 * random / rate, 0.5e9 * misfit / rate]))
            yield Burst("sine", t_ns, sigma_ns, score, 1e9 * (last - first) / rate, 1e9 * random / rate, sharp)


def _base(x: np.ndarray, rate_hz: float, hz: float) -> np.ndarray:
    """(BASE_SIZE,) complex64: the band around `hz`, moved to zero."""
    spectrum = fft.rfft(x.astype(np.float32), BLOCK)
    step = rate_hz / BLOCK
    half = min(HALF_BAND_HZ, MAX_HALF_BAND * hz)
    index = np.arange(-BASE_SIZE // 2, BASE_SIZE // 2)
    away = index * step
    at = index + round(hz / step)
    inside = (at > 0) & (at < len(spectrum))
    out = np.zeros(BASE_SIZE, np.complex64)
    taper = np.clip((half - np.abs(away)) / (0.3 * half), 0, 1)
    out[inside] = spectrum[at[inside]] * np.sin(np.pi / 2 * taper[inside]) ** 2
    return np.asarray(fft.ifft(np.roll(out, BASE_SIZE // 2)))


def _steady(z: np.ndarray, length: int, turn: int, guard: int, cycles: float) -> list[tuple[int, float]]:
    """Where one frequency stands for the length of a burst: its first sample, and radians a sample off `hz`."""
    turned = np.concatenate([[0], np.cumsum(z[turn:] * np.conj(z[:-turn]))])
    energy = np.concatenate([[0], np.cumsum(np.abs(z[:-turn]) ** 2)])
    short = max(round(turn * SHORT_TURN_S / TURN_S), 1)
    soon = np.concatenate([[0], np.cumsum(z[short:] * np.conj(z[:-short]))])
    first = np.arange(guard + turn, len(turned) - length - guard - 2 * turn)
    if not len(first):
        return []

    def power(begin: np.ndarray, count: int) -> np.ndarray:
        return np.asarray(turned[begin + count] - turned[begin]) / count

    inner = length - turn
    whole = power(first, inner)
    even = np.abs(whole)
    pure = even * inner / np.maximum(energy[first + inner] - energy[first], 1e-30)
    direction = np.where(even > 0, whole, 1) / np.maximum(even, 1e-30)
    along = [np.real(power(first + k * (inner // 4), inner // 4) / direction) for k in range(4)]
    beside = np.maximum(np.abs(power(first - guard - turn, guard)), np.abs(power(first + length + turn, guard)))
    detune = np.angle(direction) / turn
    good = (pure > MIN_PURE) & (beside < MAX_BESIDE * even) & (np.min(along, axis=0) > MIN_QUARTER * even)
    good &= np.abs(detune) < 2 * np.pi * cycles * MAX_DETUNE
    good &= np.abs(np.angle(soon[first + inner] - soon[first])) < np.pi * short / turn
    found = []
    for run in ndimage.find_objects(ndimage.label(good)[0]):
        best = run[0].start + int(np.argmax(even[run[0]] - beside[run[0]]))
        found.append((int(first[best]), float(detune[best])))
    return found


def _timed(z: np.ndarray, begin: int, length: int, rate: float) -> tuple[float, float, float, float, bool] | None:
    """First and last edge of a burst, their standard error in samples, its score, and whether it is sharp.

    None where it has no such edges. `z` turns no more within the burst.
    """
    reach, half = round(REACH_S * rate), round(EDGE_S * rate)
    first, last = (_first_step(z, at, reach, half) for at in (begin, begin + length))
    if first is None or last is None or abs(last[0] - first[0] - length) > MAX_MISFIT_S * rate:
        return None
    inside = z[int(first[0]) + half : int(last[0]) - half]
    steady = ndimage.uniform_filter1d(inside, min(2 * half, len(inside)))
    height = float(np.median(np.abs(steady))) + 1e-30
    if min(first[1], last[1]) < MIN_EDGE * height:
        return None
    noise = noise_level(np.abs(inside - steady))
    random = (noise / height) ** 2 * rate / (2 * HALF_BAND_HZ)
    return (
        first[0],
        last[0],
        random,
        height**2 / (height**2 + noise**2),
        _rings_on(z, first[0], last[0], half, rate) < MAX_RINGING * height,
    )


def _rings_on(z: np.ndarray, first: float, last: float, half: int, rate: float) -> float:
    """Root mean square of what is left just after a burst, less what was there just before it."""
    count = round(RINGING_S * rate)
    before, after = (z[k : k + count] for k in (max(int(first) - half - count, 0), int(last) + half))
    power = [float(np.mean(np.abs(x) ** 2)) if len(x) else 0.0 for x in (before, after)]
    return float(np.sqrt(max(power[1] - power[0], 0.0)))


def _first_step(z: np.ndarray, near: int, reach: int, half: int) -> tuple[float, float] | None:
    """Where the mean of `z` changes first, and much, within `reach` samples of `near`; and by how much."""
    low = near - reach - half
    if low < 0 or near + reach + half >= len(z):
        return None
    total = np.concatenate([[0], np.cumsum(z[low : near + reach + half])])
    mean = (total[half:] - total[:-half]) / half
    change = np.abs(mean[half:] - mean[:-half])
    peaks = np.flatnonzero((change[1:-1] >= change[:-2]) & (change[1:-1] > change[2:])) + 1
    before = float(np.median(change[: reach // 2]))
    high = peaks[change[peaks] > max(FIRST_STEP * change.max(), OVER_NOISE * before)]
    if not len(high):
        return None
    k = int(high[0])
    bend = change[k - 1] - 2 * change[k] + change[k + 1]
    between = 0.5 * (change[k - 1] - change[k + 1]) / bend if bend < 0 else 0.0
    return float(low + half + k + between), float(change[k])
