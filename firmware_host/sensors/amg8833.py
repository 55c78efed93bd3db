"""AMG8833 (Grid-EYE): an 8x8 thermal image and the chip's own temperature.

The chip makes ten frames a second on an oscillator of its own, has no data-ready flag and no frame counter.
Two facts follow. A frame is only whole if all 128 bytes come in one transfer, during which the chip does not
swap its buffer; and a repeated frame can only be recognised by being equal to the one before, which 64 noisy
pixels make safe. Nor has it an identity, and clocks and motion sensors sit at its addresses as well: what is there
is first looked at, and only written to once it looks like a Grid-EYE. Source: Panasonic Grid-EYE reference
specification.
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

_POWER, _RESET, _RATE, _INTERRUPT, _STATUS, _AVERAGE = 0x00, 0x01, 0x02, 0x03, 0x04, 0x07
_THERMISTOR, _UNLOCK, _PIXELS = 0x0E, 0x1F, 0x80
_SLEEP, _NORMAL = 0x10, 0x00
_POWER_STATES = frozenset({_NORMAL, _SLEEP, 0x20, 0x21})
_INITIAL_RESET, _FLAG_RESET = 0x3F, 0x30
_TWICE_AVERAGED = 0x20
_UNLOCKED = tuple(put(_UNLOCK, key) for key in (0x50, 0x45, 0x57))
_HOUSING_DEGC, _PIXEL_DEGC = (-20, 80), (-55, 125)
"""What can be believed: the chip's operating range, and a margin round what it can see."""

TRACKS = (
    TrackSpec("pixels", tuple(Channel(f"column{i}", "degC", 0.25) for i in range(8)), rows_per_tick=8),
    TrackSpec("thermistor", (Channel("temperature", "degC", 0.0625),)),
)

_FRAME = fetch(_PIXELS, 128)
_HOUSING = fetch(_THERMISTOR, 2)
_CONTROL = fetch(_POWER, 16)
LOOK = (_CONTROL, _FRAME)
"""What `plausible` wants to see: reading it changes nothing, whatever chip it is."""


class Amg8833:
    """Driver of one AMG8833.

    Options: ``moving_average`` (False): each frame is the mean of two, with less noise and half a frame older.
    """

    tracks = TRACKS
    shortest_period_ns = 100 * MILLISECOND_NS
    costliest: tuple[Transfer, ...] = (_FRAME, _HOUSING)

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Raises ConfigError."""
        self._options = chosen("amg8833", options, {"moving_average": False})
        self.settings: Mapping[str, Any] = {}
        self._previous = b""

    def start(self) -> Startup:
        """A look at what is there; wake-up, reset, configuration read back, and two frames until one is valid."""
        (control,) = yield Step((_CONTROL,))
        (frame,) = yield Step((_FRAME,))
        # One that has just been given power, or sleeps, has no image yet.
        if not plausible(control, frame) and not (plausible_control(control) and not any(frame)):
            raise StartError(f"no Grid-EYE: what is there reads {control.hex()} from 0x00")
        # The initial reset is only allowed after a wake-up from sleep.
        yield Step((put(_POWER, _SLEEP), put(_POWER, _NORMAL)), wait_ns=50 * MILLISECOND_NS)
        yield Step((put(_RESET, _INITIAL_RESET),), wait_ns=2 * MILLISECOND_NS)
        yield Step((put(_RESET, _FLAG_RESET), put(_RATE, 0), put(_INTERRUPT, 0)))
        average = _TWICE_AVERAGED if self._options["moving_average"] else 0
        if average:
            yield Step((*_UNLOCKED, put(_AVERAGE, average), put(_UNLOCK, 0x00)))
        (found,) = yield Step((fetch(_RATE, 6),), wait_ns=200 * MILLISECOND_NS)
        if (found[0] & 1, found[_AVERAGE - _RATE] & _TWICE_AVERAGED) != (0, average):
            raise StartError(f"no Grid-EYE: it does not keep its settings (0x02 reads {found.hex()})")
        (frame,) = yield Step((_FRAME,))
        if not plausible(control, frame):
            raise StartError("no Grid-EYE: its image is flat or beyond belief")
        self._previous = b""
        self.settings = dict(self._options)

    def read(self) -> Read:
        """STALE where the frame is the one before."""
        frame = yield _FRAME
        housing = yield _HOUSING
        flag = Flag.STALE if frame == self._previous else Flag.FRESH
        self._previous = frame
        return Answer(flag, (pixels(frame), (thermistor(housing),)))


def plausible_control(control: bytes) -> bool:
    """Could the 16 bytes from 0x00 be a Grid-EYE's? Of a clock's seconds, hours and days they seldom are."""
    low, high = _HOUSING_DEGC
    return (
        control[_POWER] in _POWER_STATES
        and control[_RATE] <= 1
        and control[_INTERRUPT] <= 3
        and not control[_STATUS] & ~0x0E
        and low <= thermistor(control[_THERMISTOR:]) / 16 <= high
    )


def plausible(control: bytes, frame: bytes) -> bool:
    """Could the 16 bytes from 0x00 and the 128 from 0x80 be a Grid-EYE's? Its pixels are never all equal."""
    low, high = _PIXEL_DEGC
    counts = pixels(frame)
    return plausible_control(control) and len(set(counts)) > 1 and all(low <= c / 4 <= high for c in counts)


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
    identity=None,
    ranges="0 to 80 degC, ±2.5 degC",
    rate_hz=10,
    make=Amg8833,
    to_si=to_si,
    si_channels=lambda track: _track(track).channels,
)
