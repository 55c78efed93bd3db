"""What things sound like: waves at 48 kHz, as heard at 1 m."""

from __future__ import annotations

import numpy as np
from scipy.signal import butter, lfilter, sosfilt

from recorder.world.plan import RATE_HZ

# The first three resonances of some vowels, Hz (Peterson and Barney, "Control methods used in a study of the vowels",
# JASA 1952).
VOWELS = ((730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240))


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
        kind: ``step``, ``contact``, ``click``, ``rustle``, ``pour``, ``speech`` or ``door``.
    """
    if kind == "speech":
        return speech(random)
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


def speech(random: np.random.Generator) -> np.ndarray:
    """Two to four syllables: glottal pulses of a falling pitch through the resonances of vowels; peak 0.06."""
    count = int(random.integers(2, 5))
    starts, lasts = np.arange(count) * random.uniform(0.16, 0.24), random.uniform(0.12, 0.18, count)
    t = np.arange(round((starts[-1] + 0.25) * RATE_HZ)) / RATE_HZ
    pitch = random.uniform(95, 230) * (1.1 - 0.25 * t / t[-1]) * (1 + 0.03 * np.sin(2 * np.pi * 5 * t))
    pulses = np.diff(np.floor(np.cumsum(pitch) / RATE_HZ), prepend=0.0) + 0.02 * random.standard_normal(len(t))
    voice = lfilter([1.0], [1.0, -0.97], pulses)
    wave = np.zeros(len(t))
    for start, last in zip(starts, lasts, strict=True):
        envelope = np.sin(np.pi * np.clip((t - start) / last, 0, 1)) ** 2
        vowel = VOWELS[int(random.integers(len(VOWELS)))]
        for middle, gain in zip(vowel, (1.0, 0.6, 0.3), strict=True):
            wave += gain * envelope * _band(voice, 0.92 * middle, 1.08 * middle)
    return np.asarray(0.06 * wave / np.abs(wave).max())


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
