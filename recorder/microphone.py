"""The one door to sounddevice: a microphone whose blocks carry when they were heard.

PortAudio's time may be CLOCK_REALTIME or CLOCK_MONOTONIC depending on the sound server, so it is never compared
with ours. What is compared is the *age* of a block: how far the stream's own clock is past the block's first
sample, subtracted from CLOCK_MONOTONIC inside the callback.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from firmware_host.errors import PortError
from recorder.config import MicrophoneConfig
from recorder.tone import tone

NOMINAL_HZ = 48_000
BLOCK = 1024
WARM_UP_S = 2.5
MAX_AGE_NS = 1_000_000_000
"""A block older than this carries no usable stamp (some hosts report 0); its arrival tells instead."""


@dataclass(frozen=True)
class SoundBlock:
    """A run of samples.

    Attributes:
        first: index of the first sample since the device was opened.
        x: (n,) int32 counts of 24 bits.
        t_ns: stamp of the first sample, ns on the kit's clock; never early after the warm-up, sometimes late.
        overflowed: samples were lost before this block, and nobody knows how many.
    """

    first: int
    x: np.ndarray
    t_ns: int
    overflowed: bool = False


class Microphone(Protocol):
    """What the recorder needs of a microphone, real or simulated."""

    def start(self, sink: Callable[[SoundBlock], None]) -> None:
        """Begin to hand over blocks, from a thread of the microphone's own. May be called again after `stop`."""

    def stop(self) -> None:
        """End; no block comes after."""


def portaudio() -> Any:
    """The module `sounddevice`, which looks for PortAudio when it is imported.

    Raises:
        PortError: the library is missing.
    """
    try:
        import sounddevice
    except OSError as error:
        raise PortError(f"{error}; install it: apt install libportaudio2") from error
    return sounddevice


def stamp_ns(now_ns: int, age_s: float, length_ns: int) -> int:
    """When a block's first sample was taken, ns on the clock of `now_ns`.

    Args:
        now_ns: when the block was handed over.
        age_s: how old PortAudio says its first sample is then. Hosts have said 0, less than 0, and years.
        length_ns: the block's nominal length. Its last sample can have come no later than now.
    """
    age_ns = round(age_s * 1e9)
    return now_ns - (age_ns if 0 < age_ns < MAX_AGE_NS else length_ns)


def counts(data: bytes, channels: int, channel: int, low_bits: bool) -> np.ndarray:
    """Counts of 24 bits, (n,) int32, of one channel of interleaved 32-bit words; a copy.

    I2S microphones such as the SPH0645 give 24 bits in words of 32, at the high end. Drivers that have them at the low
    end leave the upper 8 undefined, and they are not looked at.
    """
    words = np.frombuffer(data, np.int32)[channel::channels]
    return (words << 8) >> 8 if low_bits else words >> 8


def open_microphone(config: MicrophoneConfig) -> Microphone:
    """The microphone that a kit file names; opens nothing yet."""
    return SoundDeviceMicrophone(
        config.device or None,
        config.rate_hz,
        channels=config.channels,
        channel=config.channel - 1,
        low_bits=config.low_bits,
    )


class SoundDeviceMicrophone:
    """A microphone through PortAudio. Open the ``hw:`` device: sound servers blur the stamps."""

    def __init__(
        self,
        device: str | int | None = None,
        rate_hz: int = NOMINAL_HZ,
        *,
        channels: int = 1,
        channel: int = 0,
        low_bits: bool = False,
    ) -> None:
        """An I2S device has two channels, and the microphone is on one of them; see `counts` for `low_bits`."""
        self._device = device
        self._rate_hz = rate_hz
        self._channels = channels
        self._pick = partial(counts, channels=channels, channel=channel, low_bits=low_bits)
        self._stream: Any = None
        self._opened = False

    def start(self, sink: Callable[[SoundBlock], None]) -> None:
        """Open the device and begin.

        Raises:
            PortError: no such device, or it does not do this rate.
        """
        sounddevice = portaudio()

        given = 0

        def heard(data: Any, frames: int, when: Any, status: Any) -> None:
            # PortAudio's thread: stamp, copy, leave. A stream's clock may be any, so only the difference counts.
            nonlocal given
            now_ns = time.monotonic_ns()
            age_s = when.currentTime - when.inputBufferAdcTime if when.inputBufferAdcTime else 0.0
            t_ns = stamp_ns(now_ns, age_s, frames * 1_000_000_000 // self._rate_hz)
            sink(SoundBlock(given, self._pick(bytes(data)), t_ns, bool(status.input_overflow)))
            given += frames

        try:
            if self._opened:  # PortAudio lists devices once: a microphone that was plugged in again would not be found
                sounddevice._terminate()
                sounddevice._initialize()
            self._opened = True
            self._stream = sounddevice.RawInputStream(
                samplerate=self._rate_hz,
                blocksize=BLOCK,
                device=self._device,
                channels=self._channels,
                dtype="int32",
                latency="low",
                callback=heard,
            )
            self._stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            raise PortError(
                f"microphone '{self._device or 'default'}' cannot be opened ({error}); "
                "`python -m sounddevice` lists the devices"
            ) from error

    def stop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.stop()
            stream.close()


class SoundDeviceSpeaker:
    """A loudspeaker through PortAudio."""

    def __init__(self, device: str | int | None = None) -> None:
        self._device = device

    def sound(self, kind: str) -> int:
        """Sound the start or end tone to its end; returns when its first sample left, ns of CLOCK_MONOTONIC.

        Raises:
            PortError: there is no such device, or it does not do 48 kHz.
        """
        sounddevice = portaudio()

        wave, rest = tone(kind).reshape(-1, 1), np.zeros((NOMINAL_HZ // 10, 1), np.float32)
        left_ns: list[int] = []
        given = 0
        ended = threading.Event()
        whole = np.concatenate([wave, rest])  # a last buffer that is cut short would cut the tone

        def fill(out: np.ndarray, frames: int, when: Any, _: Any) -> None:
            nonlocal given
            if not left_ns:
                ahead_ns = round((when.outputBufferDacTime - when.currentTime) * 1e9)
                left_ns.append(time.monotonic_ns() + (ahead_ns if 0 <= ahead_ns < MAX_AGE_NS else 0))
            part = whole[given : given + frames]
            out[: len(part)], out[len(part) :] = part, 0
            given += len(part)
            if given == len(whole):
                raise sounddevice.CallbackStop

        try:
            with sounddevice.OutputStream(
                samplerate=NOMINAL_HZ, device=self._device, channels=1, callback=fill, finished_callback=ended.set
            ):
                ended.wait(len(whole) / NOMINAL_HZ + 5)
        except (sounddevice.PortAudioError, ValueError) as error:
            raise PortError(
                f"speaker '{self._device or 'default'}' cannot be opened ({error}); "
                "`python -m sounddevice` lists the devices"
            ) from error
        if not left_ns:
            raise PortError(f"speaker '{self._device or 'default'}' did not ask for sound; try another device")
        return left_ns[0]
