"""Offset and drift of two recordings, beside whole-signal GCC-PHAT: what one would write in ten lines.

Planted pairs: the same noisy room heard by two devices whose clocks differ by an offset and a skew. The error is that
of the mapped time, at the start and at the end of the recording. Unrelated pairs must be refused; GCC-PHAT has no way
to.
"""

from __future__ import annotations

import time
from functools import partial

import numpy as np

from firmware_host.errors import EvidenceError
from recorder.series import Sound
from sync.offset import measure

RATE = 16_000
CASES = [(60, 0.0, 10.0), (60, 40.0, 0.0), (600, 20.0, 0.0), (600, 100.0, -5.0)]
"""(seconds, skew in ppm, SNR in dB)."""


def main() -> None:
    """Run and print."""
    print(f"{'':20}{'syncctl':>12}{'':20}{'GCC-PHAT':>12}")
    print("    s   ppm    dB " + "   start ms   end ms   CPU s" * 2 + "   CPU ratio")
    for case, (seconds, ppm, snr_db) in enumerate(CASES):
        rng = np.random.default_rng(case)
        offset_s = float(rng.uniform(-3, 3))
        other, reference = pair(rng, seconds, offset_s, ppm, snr_db)
        ours, ours_s = timed(partial(syncctl, other, reference))
        phat, phat_s = timed(partial(gcc_phat, other.x, reference.x))
        true = np.array([offset_s, offset_s + seconds * ppm * 1e-6])
        found = f"{'refused':>20}"
        if ours is not None:
            found = cells(ours[0] + np.array([0, seconds * ours[1] * 1e-6]) - true)
        row = f"{found}{ours_s:8.2f}{cells(phat - true)}{phat_s:8.2f}{ours_s / phat_s:12.1f}"
        print(f"{seconds:5}{ppm:6.0f}{snr_db:6.0f} {row}", flush=True)
    refused = sum(syncctl(*strangers(seed)) is None for seed in range(10))
    print(f"unrelated pairs refused: {refused} of 10 (GCC-PHAT answers every one)")


def pair(rng: np.random.Generator, seconds: int, offset_s: float, ppm: float, snr_db: float) -> tuple[Sound, Sound]:
    """(other, reference): ``t_reference = offset + t_other * (1 + skew)``."""
    lead = 4 * RATE
    room = home_noise(rng, seconds * RATE + 2 * lead)
    t_other = np.arange(seconds * RATE) / RATE
    at = (offset_s + t_other * (1 + ppm * 1e-6)) * RATE + lead
    heard = np.interp(at, np.arange(len(room)), room)
    noise = 10 ** (-snr_db / 20) * room.std()
    other = heard + rng.normal(0, noise, len(heard))
    reference = room[lead : lead + seconds * RATE] + rng.normal(0, noise, seconds * RATE)
    return Sound(other.astype(np.float32), RATE, 0, "other"), Sound(reference.astype(np.float32), RATE, 0, "reference")


def strangers(seed: int) -> tuple[Sound, Sound]:
    """Two recordings of different rooms."""
    rng = np.random.default_rng([seed, 7])
    first, second = (home_noise(rng, 60 * RATE).astype(np.float32) for _ in range(2))
    return Sound(first, RATE, 0, "a"), Sound(second, RATE, 0, "b")


def home_noise(rng: np.random.Generator, n: int) -> np.ndarray:
    """Bursts of band-limited noise at irregular times over a quiet floor: contacts, steps, voices."""
    x = rng.normal(0, 0.01, n)
    for start in np.sort(rng.integers(0, n - RATE, n // RATE * 3)):
        length = int(rng.integers(RATE // 20, RATE // 2))
        smooth = int(rng.integers(1, 8))
        burst = np.convolve(rng.normal(0, 1, length), np.ones(smooth) / smooth, "same")
        x[start : start + length] += rng.uniform(0.05, 0.4) * burst * np.exp(-np.arange(length) / (0.3 * length))
    return x


def syncctl(other: Sound, reference: Sound) -> tuple[float, float] | None:
    """(offset in s, skew in ppm), None where refused."""
    try:
        found = measure(other, reference, apart_m=0.0)
    except EvidenceError:
        return None
    return found["offset_s"], found["skew_ppm"]


def gcc_phat(other: np.ndarray, reference: np.ndarray) -> float:
    """One lag for the whole recording, s."""
    n = 1 << (len(other) + len(reference)).bit_length()
    cross = np.fft.rfft(reference, n) * np.conj(np.fft.rfft(other, n))
    r = np.fft.irfft(cross / (np.abs(cross) + 1e-12), n)
    lag = int(np.abs(r).argmax())
    return (lag - n if lag > n // 2 else lag) / RATE


def timed(run):
    """The result and the CPU seconds it took."""
    begun = time.process_time()
    result = run()
    return result, time.process_time() - begun


def cells(error_s: np.ndarray) -> str:
    """Two errors in ms."""
    return f"{1e3 * error_s[0]:11.3f}{1e3 * error_s[1]:9.3f}"
