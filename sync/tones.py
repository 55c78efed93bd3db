"""Start and end tones, found in any sound.

The tone is a chirp of known shape, so the matched filter is the best detector there is, provided that the
noise is white. It is not: rooms hum and people speak. So each block is first *whitened* (divided by its own
smoothed spectrum), and the filter's output is divided by the energy it saw. What comes out is a correlation
coefficient: 1 for the tone alone, about ``1 / sqrt(2 * bandwidth * duration) = 0.009`` for anything else
that is loud. A threshold at ten times that is crossed by the tone 20 dB below the noise, and now and then by a
household. But what is no tone fits a part of it only, so most quarters must be heard at the same instant. Rising and
falling chirps are uncorrelated, which tells start from end.

Sound takes 2.9 ms a metre. A tone heard here is late by the distance to the speaker; `match` subtracts what
was noted of that distance and keeps what remains as an error shared by both tones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from scipy import fft, ndimage, signal

from firmware_host.errors import EvidenceError
from recorder.series import Sound
from recorder.tone import HIGH_HZ, KINDS, LOW_HZ, TONE_S, tone
from sync.alignment import MAX_SKEW_PPM, SPEED_OF_SOUND_M_S, Match, Pairing, Recording
from sync.waveform import WORK_HZ, Wave, noise_level, peak, working

BLOCK = 2**17
SMOOTH_HZ = 40.0
MIN_SCORE = 0.09
MIN_OVER_BACKGROUND = 9.0
QUARTERS, QUARTER_SHARE = 4, 0.75
"""Parts of a tone, and which share of the whole's score all but the worst of them must have: a cheap speaker may lack
one. Weak tones in echo had 0.9 and more. Of the 43 places in five hours of speech and household that score 0.08 and
more all but three had less than 0.8, and those three do not reach `MIN_SCORE`."""
QUARTER_REACH_S = 0.001
"""A room delays high and low differently, and a clock that drifts the begin and the end."""
MIN_OVER_RUNNER_UP = 1.5
STRETCHED_S = 0.002
"""How far from the unstretched filter's peak the stretched ones' may lie."""
ECHO_S = 0.06
"""Peaks this near may be reflections of the same tone and are no rivals."""
FIRST_SHARE, FIRST_OVER_NOISE = 0.5, 8.0
"""The direct sound has at least this share of the highest peak; the side lobes of the tone have a quarter."""
SIGMA_FLOOR_NS = 40e3
"""What early reflections, and a clock 50 ppm off the speaker's, move the peak even without noise."""
STRETCHES_PPM, STRETCH_SHARE = tuple(range(-700, 701, 100)), 0.8
"""A clock that runs fast stretches the tone, and from 100 ppm on its own filter's peak is a plateau with many tops; so
each tone that was heard is timed by the filter that is stretched as it is. What scores less than the share of the
highest says nothing of it."""
EFFECTIVE_HZ = 4_190.0
"""Root mean square frequency of the whitened tone: sqrt((500^2 + 500 * 7000 + 7000^2) / 3)."""

NOTED_FIXED_M, NOTED_WORN_M, UNKNOWN_M = 0.02, 0.04, 1.0
"""Standard error of the distance to the speaker: noted with a tape to 5 cm for a device that stands, the same for one
that someone wears who steps on a mark (1.4 cm of rounding, 3 to 4 cm of standing), and where nobody noted it."""
REPEAT_M = 0.03
"""How far someone stands at the second tone from where they stood at the first."""


@dataclass(frozen=True)
class Tone:
    """One tone that was heard.

    Attributes:
        kind: ``start`` or ``end``.
        t_ns: time of its first sample at the microphone, ns on the sound's clock.
        sigma_ns: standard error of `t_ns`, propagation not included.
        score: correlation coefficient with the whitened tone, in [0, 1].
    """

    kind: str
    t_ns: int
    sigma_ns: float
    score: float


T = TypeVar("T", bound=Tone)


def find(sound: Sound | Wave, worn: bool = False) -> tuple[Tone, ...]:
    """Every tone in a sound, by time.

    Memory is bounded: the filter sees blocks of eight seconds.

    Args:
        sound: where to look.
        worn: somebody wears the microphone, whose movements stretch each tone otherwise.

    Raises:
        EvidenceError: the sound is silent, or holds no tone.
    """
    work = working(sound)
    kept: list[_Place] = []
    for found in sorted(_places(work), key=lambda p: -p.score):
        if all(abs(found.sample - k.sample) > 0.5 * TONE_S * work.rate_hz for k in kept):
            kept.append(found)
    if not kept:
        raise EvidenceError(
            f"no start or end tone in the sound of {sound.clock}; play `syncctl tone start` near every microphone"
        )
    stretches = [_stretch(work, [k]) for k in kept] if worn else [_stretch(work, kept)] * len(kept)
    return tuple(sorted((_timed(work, k, ppm) for k, ppm in zip(kept, stretches, strict=True)), key=lambda t: t.t_ns))


def match(source: Recording, target: Recording) -> Pairing:
    """Pair the tones of two recordings.

    Raises:
        EvidenceError: a recording without tones, or tones that do not belong together.
    """
    found = [find(r.heard(), r.wearer is not None) for r in (source, target)]
    pairs = paired(found[0], found[1], source.clock, target.clock)
    matches = tuple(_match(source, target, a, b) for a, b in pairs)
    evidence: dict[str, float] = {
        "tones_source": len(found[0]),
        "tones_target": len(found[1]),
        "tones_paired": len(pairs),
    }
    note = "" if len(pairs) > 1 else "only one common tone, so the drift is not measured"
    return Pairing("tones", source.clock, target.clock, "ok", note, matches, evidence)


def _match(source: Recording, target: Recording, a: Tone, b: Tone) -> Match:
    travel = [travel_ns(r.tone_distance_m or 0.0) for r in (source, target)]
    t_ns = a.t_ns - round(travel[0])
    return Match(
        method="tones",
        source=source.clock,
        target=target.clock,
        t_ns=t_ns,
        offset_ns=b.t_ns - round(travel[1]) - t_ns,
        sigma_ns=float(np.hypot(a.sigma_ns, b.sigma_ns)),
        score=min(a.score, b.score),
        shared=path_errors(source, target, a.kind),
    )


def path_errors(source: Recording, target: Recording, kind: str) -> tuple[tuple[str, float], ...]:
    """What the ways from the speaker may be off, as `Match.shared` wants it: name and signed ns."""
    shared: dict[str, float] = {}
    for recording, sign in ((source, -1.0), (target, 1.0)):
        shared[f"distance of {recording.clock} to the speaker"] = sign * travel_ns(_noted_m(recording))
        if recording.wearer:
            place = f"place of {recording.wearer} at the {kind} tone"
            shared[place] = shared.get(place, 0.0) + sign * travel_ns(REPEAT_M)
    return tuple((name, error) for name, error in shared.items() if error)


def _noted_m(recording: Recording) -> float:
    if recording.tone_distance_m is None:
        return UNKNOWN_M
    return NOTED_WORN_M if recording.wearer else NOTED_FIXED_M


def travel_ns(distance_m: float) -> float:
    """How long sound takes for a distance in metres, ns."""
    return distance_m / SPEED_OF_SOUND_M_S * 1e9


def paired(source: tuple[T, ...], target: tuple[T, ...], name: str, other: str) -> list[tuple[T, T]]:
    """The pairs of tones that one offset explains; refused where two offsets explain as many."""
    options = [_explained(source, target, a, b) for a in source for b in target if a.kind == b.kind]
    if not options:
        kinds = [" and ".join(sorted({t.kind for t in tones})) for tones in (source, target)]
        raise EvidenceError(
            f"{name} heard the {kinds[0]} tone and {other} the {kinds[1]} tone, none in common; "
            "align them by another device"
        )
    best = max(options, key=len)
    single = all(len({t.kind for t in tones}) == len(tones) for tones in (source, target))
    if len(best) == 1 and len(options) == 2 and single:
        # Each tone is there once and only the time between them differs: one of the recorders lost samples in between.
        return sorted((pair for option in options for pair in option), key=lambda pair: pair[0].t_ns)
    if any(len(o) == len(best) and not set(best) & set(o) for o in options):
        raise EvidenceError(
            f"the tones of {name} and {other} fit together in more than one way; cut the extra tones away"
        )
    return best


def _explained(source: tuple[T, ...], target: tuple[T, ...], first: T, partner: T) -> list[tuple[T, T]]:
    """Pairs that agree with `first` being `partner`, within the drift that clocks can have."""
    offset_ns = partner.t_ns - first.t_ns
    pairs = []
    for a in source:
        slack_ns = 20e6 + MAX_SKEW_PPM * 1e-6 * abs(a.t_ns - first.t_ns)
        near = [b for b in target if b.kind == a.kind and abs(b.t_ns - a.t_ns - offset_ns) < slack_ns]
        pairs += [(a, near[0])] if near else []
    return pairs


@lru_cache(maxsize=1)
def _band() -> np.ndarray:
    """Share of each frequency of a block at `WORK_HZ` that belongs to the tone."""
    hz = fft.rfftfreq(BLOCK, 1 / WORK_HZ)
    low = np.clip((hz - 0.9 * LOW_HZ) / (0.1 * LOW_HZ), 0, 1)
    return np.asarray(low * np.clip(1 - (hz - HIGH_HZ) / 200, 0, 1), np.float32)


def _heard(kind: str, ppm: int) -> np.ndarray:
    """(BLOCK,) a tone in its band, on a clock that is `ppm` fast, with norm 1; its first sample stays where it is."""
    wave = tone(kind)
    at = np.arange(round(len(wave) * (1 + ppm * 1e-6))) / (1 + ppm * 1e-6)
    fine = ndimage.map_coordinates(wave, [at], order=5, mode="constant") if ppm else wave
    sounded = signal.resample_poly(fine, 1, 3)  # as a speaker plays it, then as `working` hears it
    heard = fft.irfft(fft.rfft(sounded, BLOCK) * _band(), BLOCK)
    return np.asarray(heard / np.linalg.norm(heard))


@lru_cache(maxsize=4 * len(STRETCHES_PPM))
def _filter(kind: str, ppm: int) -> np.ndarray:
    return np.asarray(np.conj(fft.rfft(_heard(kind, ppm))), np.complex64)


@lru_cache(maxsize=len(KINDS))
def _quarters(kind: str) -> np.ndarray:
    """(QUARTERS, N) float32, the parts of a tone one after the other, each with norm 1."""
    parts = _heard(kind, 0)[: round(TONE_S * WORK_HZ)].reshape(QUARTERS, -1)
    return np.asarray(parts / np.linalg.norm(parts, axis=1, keepdims=True), np.float32)


@dataclass(frozen=True)
class _Place:
    """Where a tone was heard: in the block that begins at sample `begin`, at its sample `at`."""

    kind: str
    begin: int
    at: int
    score: float

    @property
    def sample(self) -> int:
        return self.begin + self.at


@dataclass(frozen=True)
class _Block:
    """Eight seconds, whitened; `seen` is the norm of the second that follows each sample."""

    white: np.ndarray
    spectrum: np.ndarray
    seen: np.ndarray

    def score(self, kind: str, ppm: int) -> np.ndarray:
        """Signed correlation coefficient with a tone that begins at each sample."""
        return np.asarray(fft.irfft(self.spectrum * _filter(kind, ppm), BLOCK)[: len(self.seen)] / self.seen)


def _block(work: Wave, begin: int) -> _Block:
    length = round(TONE_S * work.rate_hz)
    white = _whitened(work.cut(begin, BLOCK))
    energy = np.concatenate([[0.0], np.cumsum(np.square(white), dtype=np.float64)])
    seen = np.sqrt(np.maximum(energy[length:] - energy[:-length], 1e-6 * energy[-1] + 1e-30))
    return _Block(white, fft.rfft(white), seen)


def _places(work: Wave) -> Iterator[_Place]:
    length = round(TONE_S * work.rate_hz)
    for begin in range(0, max(len(work) - length, 0) + 1, BLOCK - 2 * length):
        block = _block(work, begin)
        for kind in KINDS:
            score = block.score(kind, 0)
            for at in _peaks(score, work.rate_hz):
                height = abs(float(score[at]))
                if _throughout(block.white, kind, at, height):
                    yield _Place(kind, begin, at, height)


def _stretch(work: Wave, places: list[_Place]) -> int:
    """By how many ppm some tones are longer than the speaker's, as all of them together say.

    Up to 150 ppm off, a filter scores nearly as high as the right one, and which is highest depends on the reflections.
    But the scores fall alike on either side, so the middle of what is high is right.
    """
    reach = round(STRETCHED_S * work.rate_hz)
    heights = np.zeros(len(STRETCHES_PPM))
    for place in places:
        block, near = _block(work, place.begin), slice(max(place.at - reach, 0), place.at + reach)
        for k, ppm in enumerate(STRETCHES_PPM):
            # Between two samples a peak has two thirds of its height, which is more than a wrong stretch costs.
            heights[k] += np.abs(signal.resample_poly(block.score(place.kind, ppm)[near], 8, 1)).max()
    high = np.maximum(heights - STRETCH_SHARE * heights.max(), 0.0)
    return round(float(high @ STRETCHES_PPM / high.sum()))


def _timed(work: Wave, place: _Place, ppm: int) -> Tone:
    """The tone at a place, by the filter that is stretched as its recording is."""
    score = _block(work, place.begin).score(place.kind, ppm)
    reach = round(STRETCHED_S * work.rate_hz)
    low = max(place.at - reach, 0)
    noise, height = noise_level(score), np.abs(score)
    top = low + int(np.argmax(height[low : place.at + reach]))
    needed = max(FIRST_SHARE * height[top], FIRST_OVER_NOISE * noise)
    first = _first_arrival(height, top, needed, round(ECHO_S * work.rate_hz))
    at = peak(score * np.sign(score[first]), first)
    value = float(min(height[first], 1.0))
    random_ns = 1e9 * noise / (2 * np.pi * EFFECTIVE_HZ * value)
    t_ns = int(work.times_ns(np.array([place.begin + at]))[0])
    return Tone(place.kind, t_ns, float(np.hypot(SIGMA_FLOOR_NS, random_ns)), value)


def _throughout(white: np.ndarray, kind: str, place: int, score: float) -> bool:
    """Whether most quarters of a tone begin with it at sample `place`, or one alone was like a part of it."""
    reach, heard = round(QUARTER_REACH_S * WORK_HZ), []
    for number, part in enumerate(_quarters(kind)):
        begin = place + number * len(part)
        near = white[max(begin - reach, 0) : begin + len(part) + reach]
        loud = np.linalg.norm(white[begin : begin + len(part)])
        heard.append(float(np.abs(np.correlate(near, part, "valid")).max()) / (loud + 1e-30))
    return bool(sorted(heard)[1] >= QUARTER_SHARE * score)


def _whitened(x: np.ndarray) -> np.ndarray:
    spectrum = fft.rfft(x.astype(np.float32), BLOCK)
    power = ndimage.uniform_filter1d(np.abs(spectrum) ** 2, round(SMOOTH_HZ * BLOCK / WORK_HZ), mode="nearest")
    return fft.irfft(spectrum * (_band() / np.sqrt(power + 1e-12 * power.max() + 1e-30)), BLOCK)


def _peaks(score: np.ndarray, rate_hz: float) -> list[int]:
    """Samples that stand out against the block and against their own second; a microphone may be wired either way."""
    echo, around = round(ECHO_S * rate_hz), round(TONE_S * rate_hz)
    height = np.abs(score)
    noise = noise_level(score)
    needed = max(MIN_SCORE, MIN_OVER_BACKGROUND * noise)
    found: list[int] = []
    rest = height.copy()
    while True:
        place = int(np.argmax(rest))
        if rest[place] < needed:
            return found
        low, high = max(place - around, 0), place + around
        rivals = np.concatenate([height[low : max(place - echo, 0)], height[place + echo : high]])
        if rivals.size == 0 or height[place] > MIN_OVER_RUNNER_UP * rivals.max():
            found.append(place)
        rest[low:high] = 0.0


def _first_arrival(height: np.ndarray, place: int, needed: float, echo: int) -> int:
    """The first of the peaks near the highest: two reflections that meet are louder than the direct sound."""
    near = height[max(place - echo // 2, 1) - 1 : place + 1]
    peaks = np.flatnonzero((near[1:-1] >= needed) & (near[1:-1] >= near[:-2]) & (near[1:-1] >= near[2:])) + 1
    return place - (len(near) - 1) + int(peaks[0]) if len(peaks) else place
