"""Sounds with planted truth: one scene, heard by two microphones on two clocks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage, signal

from recorder.series import Sound
from recorder.tone import tone

RATE = 16_000
SCENE_S = 102.0


@dataclass(frozen=True)
class Pair:
    """Two sounds and the truth: ``t_target = t_source + offset_ns + skew * (t_source - source.t0_ns)``."""

    source: Sound
    target: Sound
    offset_ns: int
    skew_ppm: float

    def true_offset_ns(self, t_ns: np.ndarray) -> np.ndarray:
        return self.offset_ns + self.skew_ppm * 1e-6 * (t_ns - self.source.t0_ns)


@lru_cache(maxsize=8)
def speech(seconds: float, seed: int) -> np.ndarray:
    """Something like speech: voiced and unvoiced syllables of changing pitch and colour, with pauses."""
    rng = np.random.default_rng(seed)
    out = np.zeros(int(seconds * RATE), np.float32)
    at = 0.0
    while at < seconds:
        length = rng.uniform(0.08, 0.35)
        n = int(length * RATE)
        t = np.arange(n) / RATE
        if rng.random() < 0.7:
            pitch = rng.uniform(90, 260) * (1 + rng.uniform(-0.3, 0.3) * t / length)
            wave = signal.sawtooth(2 * np.pi * np.cumsum(pitch) / RATE)
        else:
            wave = rng.standard_normal(n)
        for centre in rng.uniform([300, 900, 2200], [900, 2200, 5000]):
            wave = wave + 3 * signal.lfilter(*signal.iirpeak(centre, 6, fs=RATE), wave)
        wave = wave * np.sin(np.pi * np.arange(n) / n) * rng.uniform(0.3, 1.0)
        first = int(at * RATE)
        out[first : first + n] += wave[: len(out) - first].astype(np.float32)
        at += length + (rng.uniform(0.3, 1.2) if rng.random() < 0.15 else rng.uniform(0.0, 0.1))
    return 0.1 * out / out.std()


@lru_cache(maxsize=8)
def music(seconds: float, seed: int) -> np.ndarray:
    """Chords with harmonics, glides and a beat."""
    rng = np.random.default_rng(seed)
    out = np.zeros(int(seconds * RATE))
    for start in np.arange(0, seconds, 0.5):
        here = slice(round(start * RATE), round((start + 0.9) * RATE))
        age = np.arange(len(out[here])) / RATE
        for _ in range(3):
            base = 110 * 2 ** (rng.integers(0, 36) / 12)
            glide = base * (1 + rng.uniform(-0.2, 1.0) * age * (rng.random() < 0.3))
            phase = 2 * np.pi * np.cumsum(glide) / RATE
            for harmonic in range(1, 8):
                out[here] += np.sin(harmonic * phase) / harmonic * np.exp(-3 * age)
        out[here] += rng.standard_normal(len(age)) * np.exp(-60 * age) * 2
    return (0.1 * out / out.std()).astype(np.float32)


def heard(scene: np.ndarray, start_s: float, seconds: float, skew_ppm: float = 0.0) -> np.ndarray:
    """What a microphone records from `start_s` of a scene on, if its seconds are `skew_ppm` too long."""
    at = start_s * RATE + np.arange(int(seconds * RATE)) * (1 + skew_ppm * 1e-6)
    return ndimage.map_coordinates(scene, [at], order=5, mode="constant").astype(np.float32)


def noisy(x: np.ndarray, snr_db: float, seed: int) -> np.ndarray:
    """With noise of its own, a little darker than white, `snr_db` below the sound."""
    rng = np.random.default_rng(seed)
    noise = signal.lfilter([1.0], [1.0, -0.6], rng.standard_normal(len(x)))
    return (x + noise * x.std() / noise.std() * 10 ** (-snr_db / 20)).astype(np.float32)


def room(x: np.ndarray, seed: int, strength: float = 0.5) -> np.ndarray:
    """With a decaying tail of reflections after the direct sound, 0.3 s long."""
    rng = np.random.default_rng(seed)
    tail = rng.standard_normal(int(0.3 * RATE)) * np.exp(-np.arange(int(0.3 * RATE)) / (0.06 * RATE))
    tail[: int(0.002 * RATE)] = 0.0
    tail *= strength / np.linalg.norm(tail)
    tail[0] = 1.0
    return signal.fftconvolve(x, tail)[: len(x)].astype(np.float32)


@lru_cache(maxsize=1)
def _scene() -> np.ndarray:
    """What all pairs are stretches of: made once."""
    return speech(SCENE_S, 0) + 0.3 * music(SCENE_S, 1)


def pair(
    seconds: float = 60.0,
    offset_s: float = 7.3,
    skew_ppm: float = 40.0,
    snr_db: float = 20.0,
    seed: int = 0,
    reverberant: bool = False,
    tones: dict[str, float] | None = None,
) -> Pair:
    """Two recordings of one scene; the source starts `offset_s` after the target, on another clock.

    `seconds` and `offset_s` together may be up to 70 s; which stretch of the scene sounds follows from `seed`.

    `tones` sound at times of the scene; where `offset_s` is positive those are the target's. The source's clock
    starts at a large number, as CLOCK_MONOTONIC does.
    """
    scene = _scene()[RATE * (7 * seed % 30) :][: int((seconds + abs(offset_s) + 2) * RATE)]
    scene = with_tones(scene, tones or {}, level=0.2)
    first = max(offset_s, 0.0)
    sounds = []
    for k, (start_s, skew) in enumerate(((first, skew_ppm), (first - offset_s, 0.0))):
        x = heard(scene, start_s, seconds, skew)
        x = room(x, seed + 10 + k) if reverberant else x
        sounds.append(noisy(x, snr_db, seed + 20 + k))
    t0_ns = 86_400_000_000_123
    return Pair(
        Sound(sounds[0], float(RATE), t0_ns, "source"),
        Sound(sounds[1], float(RATE), 0, "target"),
        round(offset_s * 1e9) - t0_ns,
        skew_ppm,
    )


def with_tones(x: np.ndarray, at_s: dict[str, float], level: float = 0.3) -> np.ndarray:
    """A copy in which the tones sound from `at_s` on, between samples where that is where they fall."""
    out = x.astype(np.float64)
    for kind, start_s in at_s.items():
        n = len(tone(kind, RATE))
        first = int(start_s * RATE)
        fine = ndimage.map_coordinates(tone(kind), [3 * (np.arange(n + 1) - (start_s * RATE - first))], order=5)
        out[first : first + n + 1] += level * fine
    return out.astype(np.float32)
