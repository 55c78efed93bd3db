"""AK9753: the warmth of what is in front of it, in four directions, as currents of four quantum infrared sensors.

It measures without pause on an oscillator of its own, low-passes digitally, and keeps one set of data until
that is read: a burst from ST1 on fetches the ready flag with the data, and its last byte, ST2, ends the
read-out and lets the next set in. Between two of our readings the chip usually makes two sets, so that its
overrun bit is up most of the time; that is information, and is recorded, not an error.

The cut-off is chosen for the rate: at 2 Hz whatever moves faster than 1 Hz aliases. SparkFun's default of
8.8 Hz, read at 2 Hz, does. Also wrong in SparkFun's library: its CNTL2 is 0x19, so that its reset overwrites a
hysteresis; the register is 0x1D. Sources: AK9750 datasheet 015002896-E-01 (the sister chip), Winer's and
flamingsteve's drivers, SparkFun_AK975x_Arduino_Library.
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

_IDENTITY, _STATUS, _MODE, _RESET = 0x00, 0x05, 0x1C, 0x1D
_MAKER, _DEVICE, _AK9750, _AK9753 = 0x48, 0x13, 0x00, 0x01
_BURST, _MODE_READ_BACK = fetch(_STATUS, 12), fetch(_MODE, 1)
_READY, _OVERRUN = 0x01, 0x02
_CONTINUOUS, _MODE_BITS = 0b100, 0x3F

PERIODS_MS = {0.3: 576, 0.6: 276, 1.1: 144, 2.2: 72, 4.4: 36, 8.8: 18}
"""Cut-off in Hz, by filter code from 0 on, and how long a measurement then takes in continuous mode 0."""
_SLOWEST = 1.1
"""The oscillator's tolerance is not published; 10 % is allowed for."""

PA_PER_COUNT = 14286.4 / 32767
WARMTH = TrackSpec(
    "warmth",
    (
        *(Channel(f"ir{i}", "pA", PA_PER_COUNT) for i in range(1, 5)),
        Channel("temperature", "degC", 0.125, 26.75),
        Channel("overrun", "1"),  # 1: a set of data was lost before this one, which is usual
    ),
)
SI = WARMTH.channels[:5]


class Ak9753:
    """Driver of one AK9753.

    Option: ``cutoff_hz`` (0.6; also 0.3, 1.1, 2.2, 4.4, 8.8) of its digital filter.
    """

    tracks = (WARMTH,)
    costliest: tuple[Transfer, ...] = (_BURST, _MODE_READ_BACK)

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Raises ConfigError."""
        o = chosen("ak9753", options, {"cutoff_hz": 0.6}, {"cutoff_hz": tuple(PERIODS_MS)})
        self._cutoff_hz = o["cutoff_hz"]
        self._mode = list(PERIODS_MS).index(self._cutoff_hz) << 3 | _CONTINUOUS
        self.settings: Mapping[str, Any] = {}
        self._measured = False

    @property
    def shortest_period_ns(self) -> int:
        return int(PERIODS_MS[self._cutoff_hz] * _SLOWEST * MILLISECOND_NS)

    def start(self) -> Startup:
        """Identity, reset, mode and filter read back, one whole measurement."""
        identity, found_mode = yield Step((fetch(_IDENTITY, 3), _MODE_READ_BACK))
        maker, device, variant = identity
        if (maker, device) != (_MAKER, _DEVICE):
            raise StartError(f"no AK9753: identity {maker:#04x} {device:#04x}, not 0x48 0x13")
        if variant != _AK9753:
            found = "an AK9750, whose scale is another" if variant == _AK9750 else f"variant {variant:#04x}"
            raise StartError(f"no AK9753 but {found}")
        yield Step((put(_RESET, 0x01),), wait_ns=5 * MILLISECOND_NS)
        # Bits 7 and 6 are nobody's, and go back as they came.
        order = put(_MODE, found_mode[0] & ~_MODE_BITS | self._mode)
        _, kept = yield Step((order, _MODE_READ_BACK), wait_ns=self.shortest_period_ns)
        if kept[0] & _MODE_BITS != self._mode:
            raise StartError(f"AK9753 did not take its configuration (0x1c reads {kept.hex()})")
        self._measured = False
        self.settings = {"cutoff_hz": self._cutoff_hz}

    def read(self) -> Read:
        """The last set of data; STALE where it was read before.

        Only a chip that has nothing new is asked whether it still measures, which costs a healthy one nothing.
        """
        burst = yield _BURST
        if burst[0] & _READY:
            self._measured = True
            return Answer(Flag.FRESH, (decode(burst),))
        mode = yield _MODE_READ_BACK
        if mode[0] & _MODE_BITS != self._mode:
            return Answer(Flag.CORRUPT, restart=True)
        return Answer(Flag.STALE, (decode(burst),)) if self._measured else Answer(Flag.NOT_READY)


def decode(burst: bytes) -> tuple[int, ...]:
    """The 12 bytes from ST1 to ST2 to the counts of `WARMTH`. Of the temperature's 16 bits the upper 10 count."""
    *infrared, temperature = struct.unpack("<5h", burst[1:11])
    return *infrared, temperature >> 6, burst[0] >> 1 & 1


def to_si(track: str, counts: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:  # noqa: ARG001
    """(N, 6) counts to (N, 5) float32: four currents in pA, up to +-14286.4, more where it is warmer; degC."""
    return scaled(WARMTH, counts)[:, : len(SI)]


SPEC = SensorSpec(
    model="ak9753",
    buses=("i2c",),
    addresses=(0x64, 0x65, 0x66),
    identity=(fetch(_IDENTITY, 2), bytes((_MAKER, _DEVICE))),
    ranges="±14,286 pA; −37 to 90 degC",
    rate_hz=2,
    make=Ak9753,
    to_si=to_si,
    si_channels=lambda track: SI if track == WARMTH.name else (),
)
