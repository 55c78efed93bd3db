"""AMG8833 (Grid-EYE): an 8x8 thermal image and the chip's own temperature.

The chip makes ten frames a second on an oscillator of its own, has no data-ready flag and no frame counter.
Two facts follow. A frame is only whole if all 128 bytes come in one transfer, during which the chip does not
swap its buffer; and a repeated frame can only be recognised by being equal to the one before, which 64 noisy
pixels make safe. Source: Panasonic Grid-EYE reference specification.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from firmware_host.driver import (
    MILLISECOND_NS,
    Answer,
    Read,
    SensorSpec,
    StartError,
    Startup,
    Step,
    Transfer,
    chosen,
    fetch,
    put,
    scaled,
)
from firmware_host.spec import Channel, Flag, TrackSpec

_POWER, _RESET, _RATE, _INTERRUPT, _THERMISTOR, _PIXELS = 0x00, 0x01, 0x02, 0x03, 0x0E, 0x80
_SLEEP, _NORMAL = 0x10, 0x00
_INITIAL_RESET, _FLAG_RESET = 0x3F, 0x30

TRACKS = (
    TrackSpec("pixels", tuple(Channel(f"column{i}", "degC", 0.25) for i in range(8)), rows_per_tick=8),
    TrackSpec("thermistor", (Channel("temperature", "degC", 0.0625),)),
)

_FRAME = fetch(_PIXELS, 128)
_HOUSING = fetch(_THERMISTOR, 2)


class Amg8833:
    """Driver of one AMG8833. It takes no options."""

    tracks = TRACKS
    settings: Mapping[str, Any] = {}
    shortest_period_ns = 100 * MILLISECOND_NS
    costliest: tuple[Transfer, ...] = (_FRAME, _HOUSING)

    def __init__(self, options: Mapping[str, Any]) -> None:
        chosen("amg8833", options, {})
        self._previous = b""

    def start(self) -> Startup:
        """There is no identity register: a plausible housing temperature has to do for one."""
        (raw,) = yield Step((_HOUSING,))
        housing = thermistor(raw) * 0.0625
        if not -20 <= housing <= 80:
            raise StartError(f"no Grid-EYE: its thermistor would be at {housing:.0f} degC")
        # The initial reset is only allowed after a wake-up from sleep.
        yield Step((put(_POWER, _SLEEP), put(_POWER, _NORMAL)), wait_ns=50 * MILLISECOND_NS)
        yield Step((put(_RESET, _INITIAL_RESET),), wait_ns=2 * MILLISECOND_NS)
        *_, rate = yield Step(
            (put(_RESET, _FLAG_RESET), put(_RATE, 0), put(_INTERRUPT, 0), fetch(_RATE, 1)),
            wait_ns=200 * MILLISECOND_NS,  # two frames
        )
        if rate[0] & 1:
            raise StartError("no Grid-EYE: it does not keep its frame rate")
        self._previous = b""

    def read(self) -> Read:
        """STALE where the frame is the one before."""
        frame = yield _FRAME
        housing = yield _HOUSING
        flag = Flag.STALE if frame == self._previous else Flag.FRESH
        self._previous = frame
        return Answer(flag, (pixels(frame), (thermistor(housing),)))


def pixels(raw: bytes) -> tuple[int, ...]:
    """128 bytes to 64 counts of 0.25 degC: 12-bit two's complement, row by row."""
    return tuple(((word & 0xFFF) ^ 0x800) - 0x800 for word in struct.unpack("<64H", raw))


def thermistor(raw: bytes) -> int:
    """2 bytes to a count of 0.0625 degC: 12 bits, *sign and magnitude*, unlike the pixels."""
    word = int.from_bytes(raw, "little")
    return -(word & 0x7FF) if word & 0x800 else word & 0x7FF


def _track(name: str) -> TrackSpec:
    return next(t for t in TRACKS if t.name == name)


def to_si(track: str, counts: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:  # noqa: ARG001
    """Counts to degC. `pixels`: (8 N, 8), eight rows a frame; `thermistor`: (N, 1)."""
    return scaled(_track(track), counts)


SPEC = SensorSpec(
    model="amg8833",
    buses=("i2c",),
    addresses=(0x69, 0x68),
    rate_hz=10,
    make=Amg8833,
    to_si=to_si,
    si_channels=lambda track: _track(track).channels,
)
