"""MLX90393: the magnetic field along three axes, and the chip's temperature.

It speaks in commands, not registers: every message is a command byte, every answer begins with a status byte,
and even nonsense is acknowledged, so that *only the status tells* whether a command was taken. One slot reads
the measurement that the slot before ordered and orders the next. The field was thus felt a period before the
reading's time: temperature, x, y and z one after the other, 9 ms each at the default settings.

The chip has no identity register. What it does have is a status bit that shows a reset once. Sources: Melexis
3901090393 Rev002; for what later revisions say, the drivers named beside the numbers.
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
)
from firmware_host.errors import ConfigError
from firmware_host.spec import Channel, Flag, TrackSpec

_SINGLE, _READ, _READ_REGISTER, _WRITE_REGISTER, _EXIT, _RESET = 0x30, 0x40, 0x50, 0x60, 0x80, 0xF0
_ALL = 0x0F
"""Z, Y, X and temperature."""
_BURST_OR_WAKE, _MEASURING, _ERROR, _WAS_RESET, _LENGTH = 0xC0, 0x20, 0x10, 0x04, 0x03

_MEASURE = Transfer(_SINGLE | _ALL, read=1)
_RESULT = Transfer(_READ | _ALL, read=9)
_EXIT_WAIT_NS, _RESET_WAIT_NS = 1 * MILLISECOND_NS, 2 * MILLISECOND_NS

_HALLCONF = 0xC
_GAIN_BITS, _COMPENSATION_BITS, _CONVERSION_BITS = 0x01FF, 0x0C00, 0x1FFF
"""What is ours of registers 0, 1 and 2; the other bits stay as the chip's memory has them."""
_OPTIONS = {"gain_sel": 7, "res": 0, "dig_filt": 6, "osr": 1, "osr2": 0}
_ALLOWED = {"gain_sel": range(8), "res": range(4), "dig_filt": range(8), "osr": range(4), "osr2": range(4)}
_PROHIBITED = frozenset({(0, 0), (1, 0), (0, 1)})
"""(DIG_FILT, OSR) that give no valid data with HALLCONF 0xC: marked in the datasheet's table of conversion
times, read from RIOT's driver, since the colour is lost in the text; (0, 0) is Adafruit_MLX90393_Library #11."""

_OSCILLATOR = 1.10
"""Trimmed to 5 %, drifts by 5 %."""
_SLOT_NS = 17 * MILLISECOND_NS

RAW = TrackSpec(
    "raw",
    (
        Channel("temperature_adc", "count"),
        *(Channel(f"{axis}_adc", "count") for axis in "xyz"),  # as signed 16 bit, whatever the resolution means
    ),
)
SI = (Channel("x", "uT"), Channel("y", "uT"), Channel("z", "uT"), Channel("temperature", "degC"))


class Mlx90393:
    """Driver of one MLX90393.

    Options, by the datasheet's names and codes: ``gain_sel`` (7, the finest: 4.9 mT is the most it can tell; 0 reaches
    five times as far), ``res`` (0, the finest 16 of 19 bits), ``dig_filt`` (6) and ``osr`` (1), which together take
    26 ms, and ``osr2`` (0) of the temperature. Both public libraries' ``dig_filt`` 7 and ``osr`` 3 take 200 ms.
    """

    tracks = (RAW,)

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Raises ConfigError."""
        self._options = chosen("mlx90393", options, _OPTIONS, _ALLOWED)
        dig_filt, osr = self._options["dig_filt"], self._options["osr"]
        if (dig_filt, osr) in _PROHIBITED:
            raise ConfigError(f"mlx90393: dig_filt {dig_filt} with osr {osr} gives no valid data; raise either")
        self.settings: Mapping[str, Any] = {}

    @property
    def shortest_period_ns(self) -> int:
        o = self._options
        return int(measuring_ns(o["dig_filt"], o["osr"], o["osr2"]) * _OSCILLATOR) + _SLOT_NS

    @property
    def costliest(self) -> tuple[Transfer, ...]:
        return tuple(_read_register(n) for n in range(3))

    def start(self) -> Startup:
        """Leave whatever mode it is in, reset, see that it says so, configure and read back, first order."""
        yield Step((Transfer(_EXIT, read=1),), wait_ns=_EXIT_WAIT_NS)
        yield Step((Transfer(_RESET),), wait_ns=_RESET_WAIT_NS)
        found = yield Step(tuple(_read_register(n) for n in range(3)))
        first = found[0][0]
        if not first & _WAS_RESET or first & (_BURST_OR_WAKE | _MEASURING | _ERROR):
            raise StartError(f"no MLX90393: its status is {first:#04x} after a reset, not 0x04")
        wanted = self._registers([int.from_bytes(r[1:], "big") for r in found])
        taken = yield Step(tuple(_write_register(n, value) for n, value in enumerate(wanted)))
        kept = yield Step(tuple(_read_register(n) for n in range(3)))
        if any(r[0] & _ERROR for r in taken) or [int.from_bytes(r[1:], "big") for r in kept] != wanted:
            raise StartError(f"MLX90393 did not take its configuration (0x00 reads {b''.join(kept).hex(' ')})")
        # The status of the first order after a reset must be read, or its data are not valid.
        (status,) = yield Step((_MEASURE,))
        if status[0] & _ERROR or not status[0] & _MEASURING:
            raise StartError(f"MLX90393 does not measure (status {status[0]:#04x})")
        self.settings = {**self._options, "hallconf": _HALLCONF}

    def _registers(self, found: list[int]) -> list[int]:
        """Registers 0 to 2 as found, with the settings in place."""
        o = self._options
        ours = (
            o["gain_sel"] << 4 | _HALLCONF,
            0,  # neither temperature compensation, which changes the format, nor an external trigger
            o["osr2"] << 11 | o["res"] * 0b10101 << 5 | o["dig_filt"] << 2 | o["osr"],
        )
        masks = (_GAIN_BITS, _COMPENSATION_BITS, _CONVERSION_BITS)
        return [old & ~mask & 0xFFFF | new for old, new, mask in zip(found, ours, masks, strict=True)]

    def read(self) -> Read:
        """The last measurement; then the next order. NOT_READY while it measures, and then nothing is ordered."""
        result = yield _RESULT
        status = result[0]
        if status & _BURST_OR_WAKE:
            return Answer(Flag.CORRUPT)  # modes that nobody ordered
        if status & _WAS_RESET:
            return Answer(Flag.CORRUPT, restart=True)
        if status & _ERROR and status & _MEASURING:
            return Answer(Flag.NOT_READY)
        ordered = yield _MEASURE
        if ordered[0] & _WAS_RESET:
            return Answer(Flag.CORRUPT, restart=True)
        if status & _ERROR:  # it had nothing: an earlier order was not taken
            return Answer(Flag.NOT_READY)
        if status & _LENGTH != _LENGTH:
            return Answer(Flag.CORRUPT)  # not the eight bytes that were asked for
        return Answer(Flag.FRESH, (decode(result),))


def _read_register(n: int) -> Transfer:
    return Transfer(_READ_REGISTER, bytes((n << 2,)), 3)


def _write_register(n: int, value: int) -> Transfer:
    return Transfer(_WRITE_REGISTER, bytes((value >> 8, value & 0xFF, n << 2)), 1)


def measuring_ns(dig_filt: int, osr: int, osr2: int) -> int:
    """How long a single measurement of temperature and three axes takes by a nominal oscillator, ns.

    0.6 ms from stand-by, 8 us to begin, then one conversion after the other. Rev002 has no 67 us of overhead
    for each; later tables do (1.27 ms for three axes at 0/0, 200.37 at 7/3), and the longer is the safe one.
    """
    axis_us = 67 + 64 * 2**osr * (2 + 2**dig_filt)
    temperature_us = 67 + 192 * 2**osr2
    return (600 + 8 + temperature_us + 3 * axis_us) * 1000


def decode(result: bytes) -> tuple[int, ...]:
    """Status and 8 bytes to the counts of `RAW`: temperature unsigned, axes signed, most significant byte first."""
    counts: tuple[int, ...] = struct.unpack(">H3h", result[1:9])
    return counts


_GAIN = (5, 4, 3, 2.5, 2, 5 / 3, 4 / 3, 1)
_UT_PER_COUNT = np.array((0.150, 0.150, 0.242))
"""Sensitivity of x, y and z at GAIN_SEL 7, RES 0, HALLCONF 0xC.

Rev002 (2015) says 0.161 and 0.294; later revisions, and with them both of Adafruit's drivers and tedyapo's, say
0.150 and 0.242: the newer is taken, 7 % and 18 % apart. For HALLCONF 0, which is not used here, they differ
again: Adafruit's 0.157 and 0.253 are those of 0xC at 35 degC, Rev006 says times 98/75
(Adafruit_MLX90393_Library #7). The raw counts and the settings are recorded, so either can be applied later."""
_ZERO = {2: 0x8000, 3: 0x4000}
"""What no field reads, of 16 bits unsigned. RES 0 and 1 are two's complement. For RES 3 Rev002's table has
0x8000 beside a range of +-11000, which only 0x4000 fits; both public drivers use 0x4000."""
_COUNT_AT_25, _COUNTS_PER_DEGC = 46244, 45.2


def to_si(track: str, counts: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:  # noqa: ARG001
    """(N, 4) counts to (N, 4) float32: x, y, z uT and degC (typical, not calibrated: good to a few degrees)."""
    axes, res = counts[:, 1:], settings["res"]
    if res in _ZERO:
        axes = (axes & 0xFFFF) - _ZERO[res]
    field = axes * _UT_PER_COUNT * _GAIN[settings["gain_sel"]] * 2**res
    degc = 25 + (counts[:, :1] - _COUNT_AT_25) / _COUNTS_PER_DEGC
    return np.hstack([field, degc]).astype(np.float32)


SPEC = SensorSpec(
    model="mlx90393",
    buses=("i2c",),
    addresses=(0x0C, 0x0D, 0x0E, 0x0F, 0x18, 0x19, 0x1A, 0x1B),
    identity=None,
    ranges="x, y ±4.9 mT, z ±7.9 mT; with `gain_sel` 0 five times that",
    rate_hz=10,
    make=Mlx90393,
    to_si=to_si,
    si_channels=lambda track: SI if track == RAW.name else (),
)
