"""TSL2591: illuminance from two photodiodes, one that sees everything and one that sees infrared.

The chip integrates without pause on an oscillator of its own and raises a flag at the end of each cycle, which
a special command clears: a reading is new where the flag is up. Five decades of light fit in no single gain, so
the driver changes it as it goes, and every row says at what gain and integration time it was taken, as the chip
itself told in the same slot. That costs one more transfer of 0.12 ms and also shows a chip that has reset.

A cycle during which the gain was changed belongs to neither; the first one to end after a change is dropped.

Lux is a convention here, for the maker gives no formula. Ours is that of Adafruit's Arduino library and of Linux,
``(C0 - C1) * (1 - C1 / C0) / (ms * gain / 408)``. Adafruit's CircuitPython driver has an older one, the larger of
``C0 - 1.64 C1`` and ``0.59 C0 - 0.86 C1`` over the same divisor: where C1 is 0.6 of C0, as under a filament, it
gives half as much. The counts are recorded, so that either can be had. Sources: ams163.5 (TSL2591 datasheet,
April 2013); Linux tsl2591.c; Adafruit_TSL2591_Library.
"""

from __future__ import annotations

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
)
from firmware_host.spec import Channel, Flag, TrackSpec

_REGISTER = 0xA0
"""Every register address goes out as a command: bit 7, and "normal operation, counting up" in bits 6 and 5."""
_ENABLE, _CONTROL, _PERSIST, _PRODUCT, _STATUS = (_REGISTER | r for r in (0x00, 0x01, 0x0C, 0x11, 0x13))
_CLEAR = put(0xE7)
_DATA, _SETTINGS = fetch(_STATUS, 5), fetch(_ENABLE, 2)
_IDENTITY = 0x50
_RESET, _RUN = 0x80, 0x13
"""Run: oscillator, light sensor, an interrupt at every cycle (with persistence 0)."""
_ENABLE_BITS = 0xD3
_VALID, _CYCLE_ENDED = 0x01, 0x10

GAINS = (1, 25, 428, 9876)
"""By gain code; typical values, of which single chips differ by some percent."""
_INTEGRATIONS_MS = (100, 200, 300, 400, 500, 600)
_SLOWEST = 1.08
"""The datasheet's longest integration over its typical one."""
_SLOT_NS = 17 * MILLISECOND_NS
_COUNTS_PER_LUX = 408
"""Of 1 ms at gain 1, the inverse: see the formula above."""
_TOO_BRIGHT, _ROOM_TO_GROW = 0.8, 0.5
"""Of full scale. The next gain is at least 17 times this one, so that coming down leaves 4.7 % and going up again
waits for 2.9 %: light that flickers about a limit does not make the gain flicker."""

LIGHT = TrackSpec(
    "light",
    (
        Channel("full", "count"),
        Channel("infrared", "count"),
        Channel("gain", "1"),  # code: 0 to 3 for 1, 25, 428, 9876 times
        Channel("integration", "1"),  # code: 0 to 5 for 100 to 600 ms
    ),
)
SI = (Channel("illuminance", "lux"), Channel("infrared_share", "1"))


class Tsl2591:
    """Driver of one TSL2591.

    Options: ``gain`` (25; 1, 25, 428 or 9876), with which it starts; ``auto_gain`` (True): change it with the
    light; ``integration_ms`` (200; 100 to 600 in hundreds, up to 400 at 2 Hz).
    """

    tracks = (LIGHT,)

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Raises ConfigError."""
        defaults = {"gain": 25, "auto_gain": True, "integration_ms": 200}
        self._options = chosen("tsl2591", options, defaults, {"gain": GAINS, "integration_ms": _INTEGRATIONS_MS})
        self.settings: Mapping[str, Any] = {}
        self._control = self._first_control
        self._settling = False

    @property
    def shortest_period_ns(self) -> int:
        return int(self._options["integration_ms"] * _SLOWEST * MILLISECOND_NS) + _SLOT_NS

    @property
    def costliest(self) -> tuple[Transfer, ...]:
        """The step of the start-up that configures."""
        orders = (put(_CONTROL, self._first_control), put(_PERSIST, 0), put(_ENABLE, _RUN), _CLEAR)
        return (*orders, _SETTINGS, fetch(_PERSIST, 1))

    @property
    def _first_control(self) -> int:
        return GAINS.index(self._options["gain"]) << 4 | _INTEGRATIONS_MS.index(self._options["integration_ms"])

    def start(self) -> Startup:
        """Identity, reset, configuration read back, one whole cycle."""
        (found,) = yield Step((fetch(_PRODUCT, 2),))
        if found[1] != _IDENTITY or found[0] & 0x30:
            raise StartError(f"no TSL2591: product {found[0]:#04x}, identity {found[1]:#04x}")
        # It resets on the spot, and does not always stay to acknowledge the byte that tells it to.
        yield Step((put(_CONTROL, _RESET),), wait_ns=5 * MILLISECOND_NS, may_fail=True)
        self._control, self._settling = self._first_control, False
        *_, settings, persist = yield Step(self.costliest, wait_ns=self.shortest_period_ns)
        if not self._kept(settings) or persist[0] & 0x0F:
            raise StartError(f"TSL2591 did not take its configuration (0x00 reads {settings.hex()})")
        self.settings = dict(self._options)

    def _kept(self, settings: bytes) -> bool:
        return settings[0] & _ENABLE_BITS == _RUN and settings[1] == self._control

    def read(self) -> Read:
        """The last cycle's counts; STALE where none has ended since the reading before."""
        data = yield _DATA
        if not self._kept((yield _SETTINGS)):
            return Answer(Flag.CORRUPT, restart=True)
        counts = decode(data, self._control)
        if not data[0] & _CYCLE_ENDED:
            unknown = self._settling or not data[0] & _VALID
            return Answer(Flag.NOT_READY) if unknown else Answer(Flag.STALE, (counts,))
        gain = counts[2]
        wanted = better_gain(*counts) if self._options["auto_gain"] and not self._settling else gain
        if wanted != gain:
            self._control = wanted << 4 | self._control & 0x07
            # Before the flag is cleared: whatever raises it next ended at the new gain, or partly.
            yield put(_CONTROL, self._control)
        yield _CLEAR
        dropped, self._settling = self._settling, wanted != gain
        return Answer(Flag.NOT_READY) if dropped else Answer(Flag.FRESH, (counts,))


def decode(data: bytes, control: int) -> tuple[int, ...]:
    """The 5 bytes from STATUS on, and CONTROL, to the counts of `LIGHT`."""
    full, infrared = int.from_bytes(data[1:3], "little"), int.from_bytes(data[3:5], "little")
    return full, infrared, control >> 4 & 0x03, control & 0x07


def full_scale(integration: Any) -> Any:
    """The largest count for an integration code, or for an array of them: 16 bits, but less in 100 ms."""
    return np.where(np.asarray(integration) == 0, 36_863, 65_535)


def better_gain(full: int, infrared: int, gain: int, integration: int) -> int:
    """The gain code to go on with: the highest that leaves room, or `gain` while that does.

    A saturated count says nothing about how bright it is, and starts again from the lowest.
    """
    limit, brightest = int(full_scale(integration)), max(full, infrared)
    if brightest >= limit:
        return 0
    if brightest > _TOO_BRIGHT * limit:
        return max(gain - 1, 0)
    higher = (code for code in (3, 2, 1) if code > gain)
    return next((c for c in higher if brightest * GAINS[c] / GAINS[gain] <= _ROOM_TO_GROW * limit), gain)


def to_si(track: str, counts: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:  # noqa: ARG001
    """(N, 4) counts to (N, 2) float32: lux, and channel 1 over channel 0.

    Both are NaN where a channel is saturated; the share is NaN where there is no light at all.
    """
    full, infrared, gain, integration = counts.astype(np.int64).T
    per_lux = 100 * (integration + 1) * np.array(GAINS)[gain] / _COUNTS_PER_LUX
    share = infrared / np.where(full == 0, np.nan, full)
    # In near darkness noise can make C1 the larger, and the formula, a square then, would call that light.
    lux = np.where(full > infrared, (full - infrared) * (1 - share) / per_lux, 0.0)
    saturated = np.maximum(full, infrared) >= full_scale(integration)
    return np.where(saturated[:, None], np.nan, np.stack([lux, share], axis=1)).astype(np.float32)


SPEC = SensorSpec(
    model="tsl2591",
    buses=("i2c",),
    addresses=(0x29,),
    identity=(fetch(_REGISTER | 0x12, 1), bytes((_IDENTITY,))),
    ranges="0.2 mlux to 88,000 lux, by changing gain",
    rate_hz=2,
    make=Tsl2591,
    to_si=to_si,
    si_channels=lambda track: SI if track == LIGHT.name else (),
)
