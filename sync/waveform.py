"""What both sound methods need: a sound read in stretches at one working rate, and peaks read between the samples.

An hour at 48 kHz is 700 MB of floats. So a recording is decoded once, block by block, into a scratch file of 16-bit
integers (half of that on disk, nothing in memory), and whoever wants a stretch gets it resampled to `WORK_HZ`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np
from scipy import fft

from firmware_host.errors import EvidenceError
from recorder import demux
from recorder.series import Sound
from recorder.session import Device, Session

WORK_HZ = 16_000
SILENT_RMS = 1e-5
"""-100 dBFS: below the noise of any microphone, so what is below it was never connected."""
SLOWEST_HZ, FASTEST_HZ = 4_000, 400_000
"""Sample rates outside of this are a damaged header's."""
LOUDEST = 1e3
"""Sixty decibels over full scale is no sound but a damaged sample."""
_REACH, _FINE = 16, 16
_MARGIN = 256
_FULL_SCALE = 32767


@dataclass(frozen=True)
class Scratch:
    """Samples in a temporary file that vanishes with it: int16, each block scaled by its own peak.

    What is lost lies 100 dB below the loudest sample of the same few seconds. Half floats would need no scale, but
    take ten times as long to make and to read: no processor that numpy is built for has them.

    Attributes:
        file: the samples.
        begins: (B,) int64, the first sample of each block, ascending from 0.
        step: (B,) float32, what one count of the block stands for.
    """

    file: IO[bytes]
    begins: np.ndarray
    step: np.ndarray

    def read(self, first: int, count: int) -> np.ndarray:
        """(count,) float32 samples from `first` on; all of them must be there."""
        self.file.seek(2 * first)
        out = np.frombuffer(self.file.read(2 * count), np.int16).astype(np.float32)
        block = int(np.searchsorted(self.begins, first, "right")) - 1
        while block < len(self.begins) and self.begins[block] < first + count:
            low, high = self.begins[block] - first, self.begins[block + 1 : block + 2] - first
            out[max(low, 0) : int(high[0]) if len(high) else count] *= self.step[block]
            block += 1
        return out


@dataclass(frozen=True)
class Wave:
    """A mono sound at the working rate, read in stretches from memory or from a scratch file that vanishes with it.

    Attributes:
        native: (N,) float32 samples at `native_hz`, or the scratch file that holds them.
        native_length: N.
        native_hz: samples per second of `clock` in `native`.
        ratio: working rate over native rate, a short fraction.
        t0_ns: time of sample 0, ns on `clock`.
        clock: name of the clock.
        rms: root mean square of all samples.
    """

    native: np.ndarray | Scratch
    native_length: int
    native_hz: float
    ratio: Fraction
    t0_ns: int
    clock: str
    rms: float

    @property
    def rate_hz(self) -> float:
        """Working samples per second of `clock`: about `WORK_HZ`, and true."""
        return self.native_hz * self.ratio.numerator / self.ratio.denominator

    def __len__(self) -> int:
        return int(self.native_length * self.ratio.numerator // self.ratio.denominator)

    @property
    def duration_s(self) -> float:
        return self.native_length / self.native_hz

    def times_ns(self, index: np.ndarray) -> np.ndarray:
        """(N,) working samples, fractions allowed, to (N,) int64 ns on `clock`."""
        return self.t0_ns + np.rint(np.asarray(index, dtype=np.float64) * (1e9 / self.rate_hz)).astype(np.int64)

    def raw(self, first: int, count: int) -> np.ndarray:
        """(count,) float32 native samples from `first` on, zeros where there are none."""
        out = np.zeros(count, np.float32)
        low, high = max(first, 0), min(first + count, self.native_length)
        if high > low:
            out[low - first : high - first] = self._stored(low, high - low)
        return out

    def _stored(self, first: int, count: int) -> np.ndarray:
        if isinstance(self.native, np.ndarray):
            return self.native[first : first + count]
        return self.native.read(first, count)

    def cut(self, first: int, count: int, oversampled: int = 1) -> np.ndarray:
        """(count * oversampled,) float32 samples at `oversampled` times the working rate; sample `first` is the first.

        The change of rate is exact in the frequency domain, and the band ends smoothly below the lower rate's half.
        """
        up, down = self.ratio.numerator * oversampled, self.ratio.denominator
        if up == down:
            return self.raw(first, count)
        chunk = self.ratio.numerator
        low = (first - _MARGIN) // chunk
        chunks = fft.next_fast_len(-(-(count + 2 * _MARGIN + chunk) // chunk), real=True)
        spectrum = fft.rfft(self.raw(low * down, chunks * down))
        size = chunks * up
        kept = min(len(spectrum), size // 2 + 1)
        edge = max(kept // 24, 1)
        spectrum = spectrum[:kept] * (size / (chunks * down))
        spectrum[-edge:] *= np.linspace(1, 0, edge, dtype=np.float32)
        begin = (first - low * chunk) * oversampled
        return fft.irfft(spectrum, size)[begin : begin + count * oversampled].astype(np.float32, copy=False)


def working(sound: Sound | Wave) -> Wave:
    """A sound ready to be read at the working rate; same clock, sample 0 at the same time.

    The ratio is a short fraction of the *nominal* rate; the true rate is scaled with it, so times stay true.

    Raises:
        EvidenceError: there is nothing to hear.
    """
    if not isinstance(sound, Wave):
        x = _sane(sound.x)
        sound = _wave(x, len(x), float(np.dot(x, x)), sound)
    if not SLOWEST_HZ <= sound.native_hz <= FASTEST_HZ:
        raise EvidenceError(
            f"the sound of {sound.clock} claims {sound.native_hz:g} samples a second; its header is damaged"
        )
    if sound.native_length < sound.native_hz or sound.rms < SILENT_RMS:
        what = "is silent" if sound.native_length >= sound.native_hz else "is shorter than a second"
        raise EvidenceError(f"the sound of {sound.clock} {what}; check that its microphone was recording")
    return sound


def spooled(path: Path, clock: str | None = None) -> Wave:
    """The sound of a media file, in a scratch file.

    Raises:
        SessionError: not a media file, or without audio.
    """
    return _spool(demux.sound_blocks(path, clock))


def recorded(session: Session, device: Device) -> Wave:
    """What a device recorded, in a scratch file, with its samples' times on the device's clock.

    Raises:
        SessionError: the device has no audio stream, or the file cannot be read.
    """
    stream = device.sound
    wave = spooled(session.path(device.file), device.clock)
    return replace(wave, native_hz=stream.rate_hz, t0_ns=stream.t0_ns) if device.kind == "kit" else wave


def _spool(blocks: Iterator[Sound]) -> Wave:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the wave
    begin: Sound | None = None
    begins, steps = [], []
    length, energy = 0, 0.0
    for block in blocks:
        begin = begin or replace(block, x=block.x[:0])
        x = _sane(block.x)
        begins.append(length)
        steps.append(max(_highest(x), 1e-9) / _FULL_SCALE)
        energy += float(np.dot(x, x))
        length += len(x)
        counts = x * np.float32(1 / steps[-1])
        file.write(np.rint(counts, out=counts).astype(np.int16).data)
    assert begin is not None  # `sound_blocks` raises where there is none
    scratch = Scratch(file, np.array(begins, np.int64), np.array(steps, np.float32))
    return _wave(scratch, length, energy, begin)


def _highest(x: np.ndarray) -> float:
    """The largest absolute value; NaN where one is."""
    return max(float(x.max(initial=0.0)), -float(x.min(initial=0.0)))


def _sane(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, np.float32)
    if not _highest(x) <= LOUDEST:  # true for NaN too
        x = np.nan_to_num(x, nan=0.0, posinf=0.0, neginf=0.0)
        return np.where(np.abs(x) <= LOUDEST, x, np.float32(0.0))
    return x


def _wave(native: np.ndarray | Scratch, length: int, energy: float, sound: Sound) -> Wave:
    ratio = Fraction(WORK_HZ, max(round(sound.rate_hz), 1)).limit_denominator(640)
    rms = float(np.sqrt(energy / max(length, 1)))
    return Wave(native, length, sound.rate_hz, ratio, sound.t0_ns, sound.clock, rms)


def peak(x: np.ndarray, index: int) -> float:
    """Position of the maximum near sample `index` of a band-limited signal, in fractions of a sample.

    Band-limited interpolation on a grid 16 times as fine, then a parabola through the three highest values.
    Near an edge the sample itself is the answer.
    """
    if index < _REACH + 1 or index >= len(x) - _REACH - 1:
        return float(index)
    near = np.asarray(x[index - _REACH : index + _REACH + 1], np.float64)
    fine = np.arange(-_FINE - 1, _FINE + 2) / _FINE
    lag = fine[:, None] - np.arange(-_REACH, _REACH + 1)
    kernel = np.sinc(lag) * np.cos(np.pi / 2 * np.clip(lag / (_REACH + 1), -1, 1)) ** 2
    y = kernel @ near
    k = int(np.argmax(y[1:-1])) + 1
    bend = y[k - 1] - 2 * y[k] + y[k + 1]
    step = 0.5 * (y[k - 1] - y[k + 1]) / bend if bend < 0 else 0.0
    return float(index + fine[k] + np.clip(step, -0.5, 0.5) / _FINE)


def noise_level(x: np.ndarray) -> float:
    """Robust standard deviation about zero: 1.4826 times the median absolute value."""
    return float(1.4826 * np.median(np.abs(x)))
