"""What each microphone hears.

A sound that leaves a source at s reaches a microphone at m after |m - s| / 343 m/s, weakened by 1/|m - s|. Both
follow the microphone as it moves, sample by sample: the delay curve resamples the source, so walking shifts and
stretches what is heard as it does in a real room. Each source has mirror images in the walls, floor and ceiling
(Allen and Berkley, "Image method for efficiently simulating small-room acoustics", JASA 1979, first order).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, lfilter, sosfilt

from recorder.tone import KINDS, tone
from recorder.world.plan import RATE_HZ, WorldPlan
from recorder.world.scene import ROOM, SPEAKER
from recorder.world.script import Noise

SPEED_M_S = 343.0
WALL, FLOOR = 0.28, 0.22
# Peak or RMS pressure at 1 m, in units of full scale.
TONE_LEVEL, RADIO_LEVEL, HUM_LEVEL, ROOM_NOISE = 0.12, 0.010, 0.0035, 0.0008
KNOT_HZ = 100
BLOCK = 1 << 14
LONGEST_WAY_M = 15.0
Path = Callable[[np.ndarray], np.ndarray]


def _burst(random: np.random.Generator, seconds: float, decay_s: float) -> tuple[np.ndarray, np.ndarray]:
    """(time, decaying white noise) of some length."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return t, random.standard_normal(len(t)) * np.exp(-t / decay_s)


def _band(wave: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.asarray(sosfilt(butter(2, (low, high), "bandpass", fs=RATE_HZ, output="sos"), wave))


def _rings(t: np.ndarray, random: np.random.Generator, low: float, high: float, decay_s: float) -> np.ndarray:
    """A few damped resonances, as of a struck thing."""
    pitch, phase = random.uniform(low, high, 5), random.uniform(0, 6.28, 5)
    decay = decay_s * random.uniform(0.4, 1.6, 5)
    return np.sum(np.sin(2 * np.pi * pitch * t[:, None] + phase) * np.exp(-t[:, None] / decay), axis=1)


def clip(kind: str, random: np.random.Generator) -> np.ndarray:
    """One sound event at 48 kHz, as heard at 1 m.

    Args:
        kind: ``step``, ``contact``, ``click``, ``rustle``, ``pour`` or ``door``.
    """
    if kind == "step":
        t, noise = _burst(random, 0.25, 0.03)
        wave = 1.5 * _rings(t, random, 70, 220, 0.04) + 0.8 * _band(noise, 200, 3000)
        return 0.03 * wave
    if kind == "contact":
        t, noise = _burst(random, 0.3, 0.006)
        return 0.035 * (_rings(t, random, 600, 5500, 0.035) + noise)
    if kind == "click":
        t, noise = _burst(random, 0.08, 0.003)
        return 0.05 * (noise + 0.6 * _rings(t, random, 1500, 6000, 0.008))
    if kind == "door":
        t, noise = _burst(random, 0.5, 0.05)
        return 0.03 * (_rings(t, random, 90, 700, 0.08) + _band(noise, 150, 2500))
    seconds = 1.6 if kind == "pour" else 0.35
    t, noise = _burst(random, seconds, 1e9)
    swell = np.sin(np.pi * t / seconds) ** 2
    if kind == "rustle":
        return 0.007 * _band(noise, 1200, 9000) * swell
    gurgle = 1 + 0.7 * np.sin(2 * np.pi * np.cumsum(random.uniform(6, 14, len(t))) / RATE_HZ)
    return 0.03 * _band(noise, 500, 4500) * swell * gurgle


def radio(random: np.random.Generator, seconds: float) -> np.ndarray:
    """Music: a seeded tune of plucked notes over a murmur with the rhythm of speech; RMS 1."""
    count = round(seconds * RATE_HZ)
    wave = np.zeros(count + 2 * RATE_HZ)
    scale = 220.0 * 2 ** (np.array([0, 2, 4, 7, 9, 12, 14, 16]) / 12)
    t = np.arange(round(0.6 * RATE_HZ)) / RATE_HZ
    notes = {}
    for number, pitch in enumerate(scale):
        partials = [np.sin(2 * np.pi * pitch * k * t) * np.exp(-t * (3 + 2 * k)) / k for k in range(1, 7)]
        notes[number] = np.sum(partials, axis=0) * np.minimum(1, t / 0.004)
    at = 0.0
    while at < seconds:
        start = round(at * RATE_HZ)
        wave[start : start + len(t)] += random.uniform(0.4, 1.0) * notes[int(random.integers(len(scale)))]
        at += float(random.choice([0.15, 0.3, 0.3, 0.45]))
    wave = wave[:count]
    knots = np.arange(0, seconds + 1, 0.11)
    for low, high in ((200, 900), (900, 2200), (2200, 3800)):
        syllables = np.interp(np.arange(count) / RATE_HZ, knots, random.random(len(knots)) ** 3)
        wave = wave + 0.8 * _band(random.standard_normal(count), low, high) * syllables
    return wave / np.sqrt(np.mean(wave**2))


def hum(random: np.random.Generator, seconds: float) -> np.ndarray:
    """A refrigerator: mains harmonics and a breath of noise; RMS 1."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    wave = sum(np.sin(2 * np.pi * 50 * k * t + random.uniform(0, 6.28)) / k for k in (1, 2, 3, 4, 6))
    wave = wave + 3 * _band(random.standard_normal(len(t)), 100, 600)
    return np.asarray(wave / np.sqrt(np.mean(wave**2)))


@dataclass(frozen=True)
class Source:
    """A sound: `wave` (M,) float32 at 48 kHz as at 1 m, leaving `at` (3,) metres from `t0` seconds on."""

    wave: np.ndarray
    t0: float
    at: np.ndarray
    gain: float


def hear(into: np.ndarray, source: Source, microphone: Path) -> None:
    """Add a source to what a microphone hears.

    Sample n of the microphone is the source at n / 48000 - t0 - distance / 343 seconds, between the source's
    samples by Lagrange's cubic.

    Args:
        into: (N,) float32, the microphone's signal from world time 0, changed in place.
        source: what sounds.
        microphone: position (K, 3) metres at times (K,) seconds.
    """
    start = source.t0 * RATE_HZ
    first = max(0, int(np.floor(start)))
    last = min(len(into), int(np.ceil(start)) + len(source.wave) + round(LONGEST_WAY_M / SPEED_M_S * RATE_HZ))
    if last - first < 2:
        return
    padded = np.concatenate([np.zeros(4), source.wave, np.zeros(4)]).astype(np.float32)
    knots = np.linspace(first, last, max(2, round((last - first) / RATE_HZ * KNOT_HZ)))
    distance = np.linalg.norm(microphone(knots / RATE_HZ) - source.at, axis=1)
    for begin in range(first, last, BLOCK):  # blocks fit the processor's cache
        n = np.arange(begin, min(begin + BLOCK, last))
        away = np.interp(n, knots, distance)
        at = np.clip(n - start - away * (RATE_HZ / SPEED_M_S) + 4, 1, len(padded) - 3)
        k = at.astype(np.int32)
        f = (at - k).astype(np.float32)
        g, h = f - 1, f - 2
        value = padded[k] * ((f + 1) * g * h / 2) - padded[k - 1] * (f * g * h / 6)
        value += padded[k + 2] * ((f + 1) * f * g / 6) - padded[k + 1] * ((f + 1) * f * h / 2)
        into[begin : begin + len(n)] += value * (source.gain / np.maximum(away, 0.15)).astype(np.float32)


def images(source: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """The source and its first mirror images: (position, how much is reflected)."""
    result = [(source, 1.0)]
    half = ROOM / 2
    for axis, side in ((0, 1), (0, -1), (1, 1), (1, -1)):
        mirrored = source.copy()
        mirrored[axis] = 2 * side * half[axis] - source[axis]
        result.append((mirrored, WALL))
    for plane, loss in ((0.0, FLOOR), (ROOM[2], WALL)):
        mirrored = source.copy()
        mirrored[2] = 2 * plane - source[2]
        result.append((mirrored, loss))
    return result


def sources(plan: WorldPlan, events: list[Noise], ambience: dict[str, np.ndarray]) -> list[Source]:
    """Everything that sounds in a session, mirror images included.

    Args:
        plan: the session.
        events: what sounds once.
        ambience: positions (3,) of ``radio`` and ``hum``.
    """
    result = []
    for kind in KINDS:
        for at, gain in images(SPEAKER):
            result.append(Source(tone(kind, RATE_HZ), plan.tone_s[kind], at, gain * TONE_LEVEL))
    for number, event in enumerate(events):
        wave = clip(event.kind, plan.rng(f"clip{number}"))
        for at, gain in images(np.array(event.at)):
            result.append(Source(wave, event.t, at, gain * event.gain))
    for kind, level, make in (("radio", RADIO_LEVEL, radio), ("hum", HUM_LEVEL, hum)):
        wave = make(plan.rng(kind), plan.duration_s + 1.0)
        for at, gain in images(ambience[kind])[:3]:
            result.append(Source(wave, -0.5, at, gain * level))
    return result


def listen(plan: WorldPlan, name: str, microphone: Path, around: list[Source]) -> np.ndarray:
    """(N,) float32 at 48 kHz: what one microphone hears from world time 0.

    Args:
        plan: the session.
        name: the microphone; keys its own noise.
        microphone: position (K, 3) metres at times (K,) seconds.
        around: what sounds.
    """
    own = plan.rng(f"microphone-{name}").standard_normal(round(plan.duration_s * RATE_HZ), np.float32)
    heard = (ROOM_NOISE * lfilter([1.0], [1.0, -0.7], own)).astype(np.float32)
    for source in around:
        hear(heard, source, microphone)
    return np.clip(heard, -1, 1)
