"""The start and end tones: what a speaker sounds so that every microphone marks the same instant.

A linear chirp over 500-7000 Hz has an autocorrelation a fraction of a millisecond wide and survives cheap
speakers, rooms and codecs; a sine burst is ambiguous by whole periods. Rising means start, falling means end:
the two are each other's reversal in time, and their cross-correlation is as flat as noise.
"""

from __future__ import annotations

import numpy as np

KINDS = ("start", "end")
TONE_S = 1.0
LOW_HZ, HIGH_HZ = 500.0, 7000.0
RAMP_S = 0.02
AMPLITUDE = 0.8


def tone(kind: str, rate_hz: float = 48_000.0) -> np.ndarray:
    """The waveform of one tone.

    Args:
        kind: ``start`` (rising) or ``end`` (falling).
        rate_hz: samples per second.

    Returns:
        (TONE_S * rate_hz,) float32, peak `AMPLITUDE`; the first sample is the tone's instant.
    """
    if kind not in KINDS:
        raise ValueError(f"a tone is 'start' or 'end', not '{kind}'")
    t = np.arange(round(TONE_S * rate_hz)) / rate_hz
    phase = 2 * np.pi * (LOW_HZ * t + (HIGH_HZ - LOW_HZ) * t**2 / (2 * TONE_S))
    edge = np.minimum(1.0, np.minimum(t, TONE_S - t) / RAMP_S)
    wave = AMPLITUDE * np.sin(phase) * np.sin(np.pi / 2 * edge) ** 2
    return (wave if kind == "start" else wave[::-1]).astype(np.float32)
